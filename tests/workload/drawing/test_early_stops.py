"""Early stops: a share of the answers ends before the limit; each adapter has its own generator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, Lengths, Workload
from adaptwin.workload.drawing.early_stops import end_early
from adaptwin.workload.drawing.requests import draw_requests

LIMITS = Lengths.empirical([(100, 1000)], are_limits=True)
ANSWERS = Lengths.empirical([(100, 1000)])
OFTEN = {"share": 0.3, "reach": 0.4}


def fleet(rates, **fields):
    fields = {"lengths": LIMITS, "duration": 100.0, **fields}
    return Workload([Adapter(f"a{i}", 8, rate) for i, rate in enumerate(rates)], **fields)


def answered(workload, seed=0, **options):
    """Return the requests of a workload as drawn, and as answered by a model that ends many answers early."""
    asked = draw_requests(workload, seed)
    return asked, end_early(asked, workload, seed, **{**OFTEN, **options})


def outputs_of(workload, name, **options):
    """Return the lengths of one adapter's answers."""
    _, requests = answered(workload, **options)
    index = [adapter.name for adapter in workload.adapters].index(name)
    return requests.output[requests.adapter == index].tolist()


@pytest.mark.parametrize(("share", "reach"), [(0.3, 0.4), (0.055, 0.287), (0.0107, 0.4), (1.0, 0.9), (0.5, 0.05)])
def test_share_and_mean_reach_of_early_stops_are_as_given(share, reach):
    """With about 200,000 answers of a million tokens, rounding up hardly matters; four standard errors are allowed.

    The reach of an answer is the power p of a uniform number, with mean 1 / (1 + p) and mean square 1 / (1 + 2 p).
    """
    lengths = Lengths.empirical([(1, 1_000_000)], are_limits=True)
    _, requests = answered(fleet([200.0], lengths=lengths, duration=1000.0), share=share, reach=reach)
    reached = requests.output / 1_000_000
    short = reached < 1
    assert short.mean() == pytest.approx(share, abs=4 * (share * (1 - share) / len(reached)) ** 0.5 + 1e-4)
    power = 1 / reach - 1
    spread = (1 / (1 + 2 * power) - reach**2) ** 0.5
    assert reached[short].mean() == pytest.approx(reach, abs=4 * spread / short.sum() ** 0.5)


def test_an_answer_that_ends_early_may_end_anywhere():
    """With a mean reach of one half, all lengths are equally likely."""
    _, requests = answered(fleet([100.0], duration=1000.0), share=1.0, reach=0.5)
    tenths = np.bincount((requests.output - 1) // 100, minlength=10) / len(requests.output)
    assert tenths == pytest.approx([0.1] * 10, abs=0.005)


@given(
    rates=st.lists(st.floats(0, 2), min_size=1, max_size=4),
    lengths=st.sampled_from([Lengths.named("sharegpt"), LIMITS, Lengths.empirical([(7, 1), (3, 2)], are_limits=True)]),
    share=st.floats(0, 1),
    reach=st.floats(0.01, 1),
)
@settings(max_examples=50, deadline=None)
def test_an_answer_has_at_least_one_token_and_at_most_its_limit(rates, lengths, share, reach):
    asked, requests = answered(fleet(rates, lengths=lengths), share=share, reach=reach)
    assert np.all((requests.output >= 1) & (requests.output <= requests.asked))
    assert requests.output.dtype == asked.output.dtype


def test_everything_but_the_answers_stays_as_it_was():
    workload = fleet([5.0, 3.0], lengths=Lengths.named("sharegpt"))
    asked, requests = answered(workload)
    untouched = draw_requests(workload, 0)
    for name in ("arrival", "adapter", "input", "asked"):
        assert np.array_equal(getattr(requests, name), getattr(untouched, name))
    assert all(np.array_equal(a, b) for a, b in zip(asked, untouched, strict=True))
    assert requests.output.sum() < requests.asked.sum()


def test_only_lengths_that_are_limits_are_shortened():
    adapters = [Adapter("limited", 8, 5.0, lengths=LIMITS), Adapter("as-answered", 8, 5.0, lengths=ANSWERS)]
    workload = Workload(adapters, duration=100.0)
    assert set(outputs_of(workload, "as-answered", share=1.0)) == {1000}
    assert min(outputs_of(workload, "limited", share=1.0)) < 500


@given(
    rates=st.lists(st.floats(0, 2), min_size=1, max_size=6),
    extra=st.floats(0, 5),
    lengths=st.sampled_from([LIMITS, ANSWERS]),
    place=st.integers(0, 6),
)
@settings(max_examples=50, deadline=None)
def test_one_adapter_more_leaves_the_early_stops_of_the_others_alone(rates, extra, lengths, place):
    before = fleet(rates)
    adapters = list(before.adapters)
    adapters.insert(place, Adapter("newcomer", 16, extra, lengths=lengths))
    after = before.model_copy(update={"adapters": tuple(adapters)})
    for adapter in before.adapters:
        assert outputs_of(after, adapter.name) == outputs_of(before, adapter.name)


def test_adapters_have_early_stops_of_their_own():
    """For two adapters with the same requests, different answers end early."""
    times = tuple(float(i) for i in range(100))
    workload = Workload([Adapter(name, 8, 1.0, arrivals=times, lengths=LIMITS) for name in "ab"], duration=100.0)
    assert outputs_of(workload, "a") != outputs_of(workload, "b")


def test_the_same_seed_ends_the_same_answers_and_another_ends_others():
    times = tuple(float(i) for i in range(100))
    workload = Workload([Adapter("a", 8, 1.0, arrivals=times, lengths=LIMITS)], duration=100.0)
    assert outputs_of(workload, "a", seed=3) == outputs_of(workload, "a", seed=3) != outputs_of(workload, "a", seed=4)


@pytest.mark.parametrize(
    ("workload", "share"),
    [(fleet([5.0]), 0.0), (fleet([5.0], lengths=ANSWERS), 0.5), (Workload([]), 0.5)],
    ids=["no early stops", "no limits", "no adapters"],
)
def test_where_no_answer_can_end_early_the_requests_are_the_same_object(workload, share):
    asked, requests = answered(workload, share=share)
    assert requests is asked
