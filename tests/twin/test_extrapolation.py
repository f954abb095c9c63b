"""Where a server differs from those that were measured, there are no intervals, and the run says in what it differs."""

import pytest

from adaptwin import Adapter, Lengths, Server, Workload, load_profile, simulate
from adaptwin.twin.extrapolation import extrapolations

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")  # measured with 219 to 224 prompt tokens, 196 to 203 in answers
SERVER = Server(max_loras=8, max_lora_rank=32)


def traffic(adapters=8, rank=32, rate=0.1, **fields):
    return Workload([Adapter(f"a{i}", rank, rate) for i in range(adapters)], **{"duration": 300.0, **fields})


def said(server=SERVER, workload=None, profile=H100):
    found = extrapolations(profile, server, workload or traffic())
    return [(each.subject, each.value, each.measured) for each in found]


def test_what_was_measured_is_not_extrapolated():
    assert said() == []
    run = simulate(H100, SERVER, traffic())
    assert set(run.intervals) == {"throughput", "itl.mean", "ttft.p50"}
    assert run.extrapolations == ()


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        (Lengths.fixed(13_000, 200), [("mean prompt", 13_000, "219 to 224, the longest 1,024")]),
        (Lengths.fixed(109, 200), [("mean prompt", 109, "219 to 224, the longest 1,024")]),  # half of 219 is 109.5
        (Lengths.fixed(110, 200), []),
        (Lengths.fixed(448, 406), []),  # twice 224 and 203
        (Lengths.fixed(449, 200), [("mean prompt", 449, "219 to 224, the longest 1,024")]),
        (Lengths.fixed(220, 407), [("mean answer", 407, "196 to 203, the longest 1,024")]),
        (Lengths.fixed(220, 1), [("mean answer", 1, "196 to 203, the longest 1,024")]),
        (
            Lengths.empirical([(200, 200)] * 9 + [(1_025, 200)]),
            [("share of prompt tokens in prompts of over 1,024:", 36, "the longest prompt had 1,024")],
        ),
        (Lengths.empirical([(200, 200)] * 199 + [(200, 2_000)]), []),  # one in twenty tokens may be in longer ones
        (
            Lengths.empirical([(20, 100)] * 21 + [(8_500, 100)]),  # a prompt in 22, but 95 % of the tokens
            [("share of prompt tokens in prompts of over 1,024:", 95, "the longest prompt had 1,024")],
        ),
        (
            Lengths.lognormal(input_mean=440, input_cv=2.0, output_mean=200, output_cv=0.5),
            [("share of prompt tokens in prompts of over 1,024:", 49, "the longest prompt had 1,024")],
        ),
    ],
)
def test_lengths_far_from_the_measured_ones_are_named(lengths, expected):
    assert said(workload=traffic(lengths=lengths)) == expected


def test_lengths_count_by_requests_not_by_adapters():
    """One request in 2,000 has 13,000 prompt tokens: 3 % of all tokens."""
    often = [Adapter("often", 8, 10.0, lengths=Lengths.fixed(220, 200))]
    seldom = [Adapter(f"seldom-{i}", 8, 0.0005, lengths=Lengths.fixed(13_000, 200)) for i in range(10)]
    assert said(workload=Workload([*often, *seldom])) == []
    assert said(workload=Workload(seldom)) == [("mean prompt", 13_000, "219 to 224, the longest 1,024")]


@pytest.mark.parametrize(
    ("server", "workload", "expected"),
    [
        (
            Server(max_loras=8, max_lora_rank=512),
            traffic(rank=512),
            [("rank", 512, "up to 32"), ("max_lora_rank", 512, "16 to 32")],
        ),
        (Server(max_loras=8, max_lora_rank=64), traffic(), [("max_lora_rank", 64, "16 to 32")]),
        (Server(max_loras=8, max_lora_rank=8), traffic(rank=8), []),
        (Server(max_loras=193, max_lora_rank=32), traffic(), [("max_loras", 193, "8 to 192")]),
        (Server(max_loras=4, max_lora_rank=32), traffic(), [("max_loras", 4, "8 to 192")]),  # 8 adapters, 4 slots
        (Server(max_loras=4, max_lora_rank=32), traffic(adapters=4), []),
        (Server(max_loras=0), traffic(rank=0), [("max_loras", 0, "8 to 192")]),
        (SERVER, traffic(adapters=385), [("adapters:", 385, "up to 384")]),
        (SERVER, traffic(rate=40.0), [("requests per second:", 320, "up to 293")]),
        (SERVER, traffic(arrivals="gamma:cv=4"), [("gamma arrivals", None, "poisson")]),
        (SERVER, traffic(arrivals=(0.5, 1.0, 2.0)), [("timestamps arrivals", None, "poisson")]),
    ],
)  # fmt: skip
def test_adapters_slots_rates_and_arrivals_beyond_the_measured_ones_are_named(server, workload, expected):
    assert said(server, workload) == expected


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"max_num_seqs": 256}, []),
        ({"max_num_seqs": 2048}, []),
        ({"max_num_seqs": 4096, "max_num_batched_tokens": 4096}, ["max_num_seqs", "max_num_batched_tokens"]),
        ({"max_num_batched_tokens": 1024}, ["max_num_batched_tokens"]),
        ({"block_size": 32}, ["block_size 32"]),
        ({"async_scheduling": True}, ["async_scheduling true"]),
        ({"scheduler_reserve_full_isl": True}, ["scheduler_reserve_full_isl true"]),
        ({"watermark": 0.05}, ["watermark 0.05"]),
    ],
)
def test_settings_that_were_not_measured_are_named(setting, expected):
    assert [subject for subject, _, _ in said(SERVER.model_copy(update=setting))] == expected


def test_a_profile_that_was_changed_or_never_compared_has_no_intervals():
    for profile, subject in (
        (H100.model_copy(update={"request_latency": 1.0}), f"profile {H100.name} has changed since it was compared"),
        (H100.model_copy(update={"measured": None}), f"profile {H100.name} was not compared with real runs"),
    ):
        run = simulate(profile, SERVER, traffic())
        assert run.intervals == {}
        assert run.extrapolations[0].subject.startswith(subject)


def test_a_regime_that_was_not_measured_has_no_interval():
    profile = H100.model_copy(update={"spread": tuple(s for s in H100.spread if s.regime != "calm")})
    run = simulate(profile, SERVER, traffic())
    assert (run.regime, run.intervals) == ("calm", {})
    assert [each.subject for each in run.extrapolations] == ["too few calm servers were measured"]


def test_a_window_too_short_to_judge_has_no_interval():
    """With 500 s of warm-up left out, 100 s count."""
    workload = traffic().model_copy(update={"duration": 600.0})
    assert simulate(H100, SERVER, workload).intervals
    for run in (
        simulate(H100, SERVER, workload.model_copy(update={"duration": 3.0})),
        simulate(H100, SERVER, workload, warmup=500.0),
    ):
        assert not run.intervals
        assert [found.subject for found in run.extrapolations] == ["counted seconds:"]
