"""Points: what is timed on an engine."""

import pytest

from engine_spec import FEW_GRAPHS, FLAGS, MODES, EngineSpec
from points import ROOM, Limits, Step, fits, steps

H100 = Limits(max_num_seqs=1024, token_budget=8192, max_model_len=32768, kv_tokens=380_000)
SMALL = Limits(max_num_seqs=32, token_budget=512, max_model_len=4096, kv_tokens=20_000)
ENGINES = ("0", "1x8", "2x16", "16x64", "64x16", "128x16", "64x16+few", "0+few", "64x16+sync")

engines = pytest.mark.parametrize("word", ENGINES)
limits = pytest.mark.parametrize("limits", [H100, SMALL], ids=["h100", "small"])


@engines
@limits
def test_every_step_fits_the_limits_of_its_engine(word, limits):
    spec = EngineSpec.parse(word)
    for step in steps(spec, limits):
        assert step.decodes + step.prompts <= limits.max_num_seqs
        assert 0 < step.decodes + step.chunk * step.prompts <= limits.token_budget
        assert max(step.context if step.decodes else 0, step.behind + step.chunk) + 150 <= limits.max_model_len
        assert step.decodes * step.context + step.prompts * (step.behind + step.chunk) <= ROOM * limits.kv_tokens
        assert step.adapters <= min(spec.max_loras, step.decodes + step.prompts)


@engines
@limits
def test_no_step_is_timed_twice(word, limits):
    found = steps(EngineSpec.parse(word), limits)
    assert len(found) == len(set(found)) == len({step.name for step in found}) > 3


@engines
def test_the_most_telling_steps_come_first(word):
    spec = EngineSpec.parse(word)
    found = steps(spec, H100)
    decodes = [step.decodes for step in found[:6]]
    assert decodes == sorted(decodes)
    assert found[0] == Step(decodes=1)
    assert {step.decodes for step in found[:20]} >= {1, 8, 32, 64, 128, 256}
    first_prompt = next(index for index, step in enumerate(found) if step.prompts)
    first_waiting = next(index for index, step in enumerate(found) if step.waiting)
    assert first_prompt < 20 < first_waiting


def test_a_small_engine_has_fewer_steps():
    spec = EngineSpec.parse("16x64")
    assert len(steps(spec, SMALL)) < len(steps(spec, H100)) / 2


def test_few_cuda_graphs_leave_out_sizes_that_would_be_padded():
    sizes = {step.tokens for step in steps(EngineSpec.parse("64x16+few"), H100)}
    assert all(size in (*FEW_GRAPHS, 127) or size > FEW_GRAPHS[-1] for size in sizes)
    assert {96, 129} <= {step.tokens for step in steps(EngineSpec.parse("64x16"), H100)} - sizes


def test_requests_wait_for_a_slot_only_if_all_are_taken():
    full, free = (Step(64, adapters=count, waiting=100, deferred=True) for count in (64, 63))
    spec = EngineSpec.parse("64x16")
    assert fits(full, spec, H100)
    assert not fits(free, spec, H100)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("0", (0, 16, ())),
        ("64x16", (64, 16, ())),
        ("16x64+few+sync", (16, 64, ("few", "sync"))),
    ],
)
def test_words_of_engines_are_read(word, expected):
    assert tuple(EngineSpec.parse(word))[1:] == expected


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_known(flag):
    assert EngineSpec.parse(f"4x8+{flag}").flags == (flag,)


@pytest.mark.parametrize("word", ["64x16+fast", "sixteen", "x16", "-1x16", "16xa", ""])
def test_words_that_are_no_engine_are_refused(word):
    with pytest.raises(SystemExit):
        EngineSpec.parse(word)


def test_an_engine_is_the_same_with_few_graphs():
    assert EngineSpec.parse("16x64+few+sync").plain == EngineSpec.parse("16x64+sync").plain == "16x64+sync"


def test_an_engine_falls_back_to_what_needs_less_until_nothing_does():
    tried = [EngineSpec.parse("16x64+few")]
    while following := tried[-1].fallback:
        tried.append(following)
    assert [spec.word for spec in tried] == ["16x64+few", "16x64+few+triton", "16x64+few+triton+eager"]
    assert set(tried[-1].flags) >= set(MODES[-1])
