"""Bounds: inputs that would overflow or never end are refused; what is large but possible is simulated right."""

import resource

import pytest
from tests.twin.scenarios import by_hand, plain_profile

from adaptwin import Adapter, Lengths, OutOfMemory, Server, SpecError, Workload, simulate
from adaptwin.profile.step_cost import StepCost
from adaptwin.twin.kernel.play import play
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.scenario import LAST_TIME, require_in_reach

HOUR = Workload([Adapter("a", 8, 0.01)], lengths=Lengths.fixed(100, 20))
SERVER = Server(max_loras=1, max_lora_rank=8)


def with_step_cost(**constants):
    profile = plain_profile()
    return profile.model_copy(update={"step_cost": StepCost(**{**dict(profile.step_cost), **constants})})


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("max_loras", 10**7, "Server.max_loras: 10000000 must be at most 1e+06"),
        ("max_cpu_loras", 10**9, "Server.max_cpu_loras: 1000000000 must be at most 1e+08"),
        ("max_num_seqs", 10**7, "Server.max_num_seqs: 10000000 must be at most 1e+06"),
        ("max_num_batched_tokens", 10**8, "Server.max_num_batched_tokens: 100000000 must be at most 1e+07"),
        ("max_model_len", 2**63, "Server.max_model_len: 9223372036854775808 must be at most 1e+07"),
        ("block_size", 10**6, "Server.block_size: 1000000 must be at most 65536"),
        ("kv_cache_tokens", 10**10, "Server.kv_cache_tokens: 10000000000 must be at most 1e+09"),
        ("gpu_memory_utilization", float("nan"), "Server.gpu_memory_utilization: nan must be above 0"),
        ("watermark", float("nan"), "Server.watermark: nan is not valid"),
    ],
)
def test_a_setting_beyond_its_bound_is_refused_by_name(field, value, said):
    with pytest.raises(SpecError) as error:
        Server(**{field: value})
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("value", [1.01e4, 1e10, float("inf"), float("nan"), -1e-9])
def test_a_constant_in_seconds_is_at_most_ten_thousand(value):
    for part in ("step_cost", "load_cost", "scheduler_cost", "scrape_cost"):
        costs = plain_profile().model_dump()[part]
        for name in {name for name in costs if not name.endswith(("_tokens", "expert_share"))}:
            with pytest.raises(SpecError, match=rf"^\w+\.{name}: "):
                type(getattr(plain_profile(), part))(**{**costs, name: value})


@pytest.mark.parametrize(
    ("constants", "seconds"),
    [
        ({"host_base": 9999.0, "slot_launch": 1.0}, "1e"),  # 9,999 s and 16 s of each slot
        ({"per_token": 10.0}, "2.05e"),  # 2,048 tokens
        ({"per_pair": 0.001}, "1.05e"),  # 2,048 tokens of a prompt behind 4,096
        ({"shrink_block": 5.0}, "3.64e"),  # 64 x 14 blocks of 31 + 2,048 tokens in 32nds: 8 parts, 14 blocks
        ({"per_context_token": 1.0}, "2.99e"),  # 29,888 tokens of KV cache
    ],
)
def test_a_server_whose_steps_may_take_longer_is_refused(constants, seconds):
    with pytest.raises(SpecError, match=rf"step_cost: a step .* may take {seconds}\+04 seconds, at most 10000 are"):
        simulate(with_step_cost(**constants), SERVER, HOUR)


def test_a_step_of_an_hour_is_simulated():
    """A profile with another unit gives late answers, not negative ones."""
    run = simulate(with_step_cost(host_base=3600.0), SERVER, HOUR.model_copy(update={"duration": 40 * 3600.0}))
    assert run.itl.p50 == pytest.approx(3600, rel=0.005)
    assert run.ttft.p50 > 1800
    assert run.worst in ("starved", "backlogged")


@pytest.mark.parametrize("tokens", [1, 15, 16, 31])
def test_a_kv_cache_without_a_block_for_requests_is_out_of_memory(tokens):
    """One block of 16 tokens is vLLM's null block, and a block that is not full is none."""
    with pytest.raises(OutOfMemory, match="no memory is left for the KV cache"):
        simulate(plain_profile(), Server(max_model_len=tokens, kv_cache_tokens=tokens), HOUR)
    run = simulate(plain_profile(), Server(max_model_len=32, kv_cache_tokens=32), HOUR)
    assert (run.kv_usage, run.rejected) == (0.0, run.arrived)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seed": 2**63}, "seed: 9223372036854775808 must be from 0 to 9.22337204e+18"),
        ({"seed": 1.5}, "seed: 1.5 is not a whole number"),
        ({"seed": True}, "seed: True is not a whole number"),
        ({"repeats": 10**6}, "repeats: 1000000 must be from 1 to 10000"),
        ({"warmup": 3599.5}, "warmup: 3599.5 must be from 0 to 3599"),
        ({"warmup": float("nan")}, "warmup: nan must be from 0 to 3599"),
        ({"warmup": "1"}, "warmup: '1' is not a number"),
        ({"max_in_flight": 10**10}, "max_in_flight: 10000000000 must be from 1 to "),
        ({"scrape_every": 1e-4}, "scrape_every: 0.0001 must be from 0.001 to 320000000"),
    ],
    ids=str,
)
def test_an_argument_beyond_its_bound_is_refused_by_name(wrong, said):
    with pytest.raises(SpecError) as error:
        simulate(plain_profile(), SERVER, HOUR, **wrong)
    assert str(error.value).startswith(said)


def test_of_a_short_window_half_may_be_warm_up():
    short = HOUR.model_copy(update={"duration": 0.5})
    assert simulate(plain_profile(), SERVER, short, warmup=0.25).warmup == 0.25
    with pytest.raises(SpecError, match=r"^warmup: 0.26 must be from 0 to 0.25$"):
        simulate(plain_profile(), SERVER, short, warmup=0.26)


def test_a_time_series_has_at_most_a_million_rows():
    long = HOUR.model_copy(update={"duration": 60 * 86_400.0})
    with pytest.raises(SpecError, match=r"^record: 5.18e\+06 rows are too many, at most 1e\+06"):
        simulate(plain_profile(), SERVER, long, record=True)


@pytest.mark.long
def test_a_window_is_drained_until_the_clock_ends():
    """A request whose answer takes a million steps of 10^4 s: the clock ends after a tenth of them."""
    roomy = {"max_model_len": 10**7, "kv_blocks": 10**6}
    scenario = by_hand([(0, 0, 1, 10**6)], **roomy)
    slow = scenario._replace(step_cost=scenario.step_cost._replace(base=1e4))
    for twin in (play, lambda scenario: ReferenceTwin(scenario).run()):
        with pytest.raises(SpecError, match=r"^window: drain: requests are unanswered after 1e\+09 seconds"):
            twin(slow)


def test_a_run_ends_after_four_billion_steps():
    require_in_reach(LAST_TIME, 4_000_000_000)
    with pytest.raises(SpecError, match=r"^duration: the run takes over 4,000,000,000 steps"):
        require_in_reach(LAST_TIME, 4_000_000_001)


def test_sixty_days_with_twenty_thousand_seats_are_summed_up_right():
    """20,000 requests run from the first step to the end of a window that none of them reaches the end of."""
    seats, end = 20_000, 60 * 86_400 * 10**9
    rows = [(0, 0, 1, 5_000)] * seats
    roomy = {"max_model_len": 10**7, "kv_blocks": 10**7, "max_num_seqs": seats, "token_budget": seats}
    scenario = by_hand(rows, window={"end": end, "drain": False}, **roomy)
    outcome = play(scenario._replace(step_cost=scenario.step_cost._replace(base=5000.0)))
    assert outcome.running_time == seats * end > 10 * 2**63
    assert outcome.busy_time == end
    assert (outcome.gap_sum, outcome.gaps.sum()) == (0, 0)  # of finished requests


def test_memory_does_not_grow_with_the_steps():
    """Of each of 40 million steps, the time alone would be 320 MB."""

    def peak_after(requests):
        rows = [(0, 0, 1, 200_000)] * requests
        outcome = play(by_hand(rows, max_num_seqs=1, max_model_len=10**7, kv_blocks=10**6))
        assert outcome.steps == requests * 200_000
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB

    before = peak_after(2)
    assert peak_after(200) - before < 50_000
