"""Prefixes of requests: drawn from templates, recorded, thinned out and repeated."""

import random

import numpy as np
import pytest

from adaptwin import Adapter, Lengths, SpecError, Template, Workload
from adaptwin.workload.drawing.prefixes import NO_PREFIXES, Prefixes
from adaptwin.workload.drawing.requests import draw_requests

LENGTHS = Lengths(kind="lognormal", input_mean=60, output_mean=5, input_cv=1.0, output_cv=0.5)


def streams(prefixes, lengths):
    """Return tokens that begin alike just as the prefixes say: those that no other request has are unique."""
    every = []
    for r, length in enumerate(lengths):
        source, tokens = int(prefixes.source[r]), int(prefixes.tokens[r])
        every.append((every[source][:tokens] if source >= 0 else []) + [(r, j) for j in range(tokens, length)])
    return every


def common(one, other):
    shorter = min(len(one), len(other))
    return next((j for j in range(shorter) if one[j] != other[j]), shorter)


def random_prefixes(rng, count=30, longest=20):
    source, tokens = np.full(count, -1, np.int32), np.zeros(count, np.int32)
    for r in range(1, count):
        if rng.random() < 0.7:
            source[r], tokens[r] = rng.randrange(r), rng.randint(1, longest)
    return Prefixes(source, tokens)


def test_without_templates_the_draws_are_those_of_before_and_nothing_is_shared():
    plain = draw_requests(Workload([Adapter("a", 8, 2.0)], lengths=LENGTHS, duration=100.0))
    shared = draw_requests(
        Workload([Adapter("a", 8, 2.0, templates=[Template(tokens=20)])], lengths=LENGTHS, duration=100.0)
    )
    assert plain.prefixes is NO_PREFIXES
    assert all(np.array_equal(one, other) for one, other in zip(plain[:5], shared[:5], strict=True))


def test_requests_begin_with_a_template_in_its_share_if_their_prompts_are_longer():
    templates = [Template(tokens=20, share=0.25), Template(tokens=50, share=0.5)]
    workload = Workload([Adapter("a", 8, 50.0), Adapter("b", 0, 50.0)], lengths=LENGTHS, templates=templates)
    requests = draw_requests(workload.model_copy(update={"duration": 400.0}))
    source, tokens = requests.prefixes
    has = source >= 0
    assert set(tokens[has].tolist()) == {20, 50}
    assert (requests.input[has] > tokens[has]).all()
    assert (requests.adapter[source[has]] == requests.adapter[has]).all()
    for template in templates:
        share = (tokens[requests.input > template.tokens] == template.tokens).mean()
        assert share == pytest.approx(template.share, abs=0.01)
    firsts = {int(s) for s in source[has]}
    assert len(firsts) == 4  # of two templates of two adapters


def test_templates_are_drawn_from_the_seed_and_the_name_of_the_adapter():
    adapters = [Adapter("a", 8, 5.0), Adapter("b", 8, 5.0)]
    workload = Workload(adapters, lengths=LENGTHS, duration=60.0, templates=[Template(tokens=9, share=0.5)])
    both, alone = draw_requests(workload, 3), draw_requests(workload.without({"b"}), 3)
    assert np.array_equal(both.prefixes.tokens[both.adapter == 0], alone.prefixes.tokens)
    assert not np.array_equal(draw_requests(workload, 4).prefixes.tokens, both.prefixes.tokens)


def test_recorded_prefixes_belong_to_the_timestamps_inside_the_window():
    chat = Adapter("chat", 8, 0.0, arrivals=(1.0, 2.0, 3.0, 9.0), prefixes=((-1, 0), (0, 5), (1, 7), (0, 2)))
    other = Adapter("other", 8, 0.0, arrivals=(1.5, 2.5))
    lengths = Lengths(kind="fixed", pairs=((8, 4),))
    requests = draw_requests(Workload([other, chat], lengths=lengths, duration=5.0))
    assert requests.adapter.tolist() == [1, 0, 1, 0, 1]
    assert requests.prefixes.source.tolist() == [-1, -1, 0, -1, 2]
    assert requests.prefixes.tokens.tolist() == [0, 0, 5, 0, 7]


@pytest.mark.parametrize("seed", range(30))
def test_prefixes_of_some_requests_are_what_these_have_in_common(seed):
    rng = random.Random(seed)
    prefixes = random_prefixes(rng)
    chosen = np.array([rng.random() < 0.5 for _ in prefixes.source])
    whole, part = streams(prefixes, [20] * 30), streams(prefixes.of(chosen), [20] * int(chosen.sum()))
    kept = [stream for stream, is_chosen in zip(whole, chosen, strict=True) if is_chosen]
    for r in range(len(kept)):
        for q in range(r):
            assert common(part[r], part[q]) == common(kept[r], kept[q])


@pytest.mark.parametrize("seed", range(30))
def test_a_copy_has_as_much_in_common_with_a_copy_of_another_request_as_these_two(seed):
    rng = random.Random(seed)
    prefixes = random_prefixes(rng, count=12)
    number = np.array([rng.choice((0, 1, 1, 2, 3)) for _ in range(12)])
    whole, copied = streams(prefixes, [20] * 12), streams(prefixes.repeated(number), [20] * int(number.sum()))
    at = np.repeat(np.arange(12), number)
    for r in range(len(at)):
        most = max((common(copied[r], copied[q]) for q in range(r) if at[q] != at[r]), default=0)
        assert most == max((common(whole[at[r]], whole[at[q]]) for q in range(r) if at[q] != at[r]), default=0)


def test_recorded_prefixes_follow_their_timestamps_when_these_are_thinned_out_or_repeated():
    chat = Adapter("chat", 8, 0.0, arrivals=(1.0, 2.0, 3.0), prefixes=((-1, 0), (0, 5), (1, 7)))
    assert chat.scaled(2.0).prefixes == ((-1, 0), (-1, 0), (0, 5), (1, 5), (2, 7), (3, 7))
    one, rest = chat.split(0.4)
    assert len(one.prefixes) == len(one.arrivals)
    assert len(rest.prefixes) == len(rest.arrivals)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prefixes": ((-1, 0),)}, "prefixes: need timestamps"),
        ({"arrivals": (0.0,), "prefixes": ()}, "prefixes: 0 for 1 timestamps"),
        ({"arrivals": (0.0,), "prefixes": ((0, 3),)}, r"prefixes\[0\]: 0 is not an earlier timestamp"),
        ({"arrivals": (0.0, 1.0), "prefixes": ((-1, 0), (0, 0))}, r"prefixes\[1\]: 0 tokens of timestamp 0"),
        ({"arrivals": (0.0, 1.0), "prefixes": ((-1, 0), (-1, 3))}, r"prefixes\[1\]: 3 tokens of timestamp -1"),
        (
            {
                "arrivals": (0.0, 1.0),
                "prefixes": ((-1, 0), (0, 9)),
                "lengths": Lengths(kind="empirical", pairs=((8, 2), (8, 2))),
            },
            r"prefixes\[1\]: 9 tokens, but the prompt has 8",
        ),
        ({"arrivals": (0.0,), "prefixes": ((-1, 0),), "templates": (Template(tokens=3),)}, "no templates as well"),
        ({"templates": (Template(tokens=3, share=0.6), Template(tokens=4, share=0.6))}, "add up to 1.2, over 1"),
    ],
)
def test_prefixes_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(SpecError, match=said):
        Adapter("a", 8, 1.0, **fields)
