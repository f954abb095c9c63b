"""The compiled kernel gives the same outcome as the reference twin, to the last digit."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.effort import examples
from tests.twin.scenarios import MS, by_hand, same_every_time, scenarios

from adaptwin import Adapter, Lengths, Server, Workload, load_profile
from adaptwin.twin.kernel.notes import USUAL_SIZES, Sizes
from adaptwin.twin.kernel.play import play
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.scenario import Outcome, Scenario, make_scenario


def assert_kernel_equals_reference(scenario: Scenario, sizes: Sizes = USUAL_SIZES) -> Outcome:
    kernel, reference = play(scenario, sizes), ReferenceTwin(scenario).run()
    for name, ours, theirs in zip(Outcome._fields, kernel, reference, strict=True):
        assert np.array_equal(ours, theirs), f"{name}: kernel {ours}, reference {theirs}"
        if type(ours) is not int:  # integers may be too large for Numba
            assert numba.typeof(ours) == numba.typeof(theirs), name  # so the same machine code sums both up
    return kernel


@settings(same_every_time, max_examples=examples(500))
@given(scenarios(st.booleans()))
def test_the_kernel_equals_the_reference_in_every_field(scenario):
    assert_kernel_equals_reference(scenario)


@settings(same_every_time, max_examples=examples(400))
@given(scenarios(st.booleans()), st.sampled_from([10**8, 10**9, 10**10, 2**60]))
def test_the_length_of_chapters_changes_nothing(scenario, integral):
    """Chapters end after as few steps, preemptions or simulated milliseconds as they can."""
    assert_kernel_equals_reference(scenario, Sizes(steps=4, preemptions=0, integral=integral))


def fleet(adapters, rate, **fields):
    """Make adapters of ranks 0, 8, 16 and 32 in turn; the first has four times the traffic of the last."""
    weights = np.linspace(4, 1, adapters)
    rates = rate * weights / weights.sum()
    ranks = (0, 8, 16, 32)
    return Workload([Adapter(f"a{i}", ranks[i % 4], rates[i]) for i in range(adapters)], **fields)


SCARCE_SLOTS = Server(max_loras=6, max_lora_rank=32, max_cpu_loras=12)
LITTLE_MEMORY = Server(
    max_loras=16, max_lora_rank=32, max_model_len=2048, kv_cache_tokens=10_000, scheduler_reserve_full_isl=True
)


@pytest.mark.parametrize(
    ("server", "options"),
    [
        (SCARCE_SLOTS, {}),
        (SCARCE_SLOTS, {"drain": True, "warmup": 20.0, "sample_every": 1.0}),
        (SCARCE_SLOTS, {"max_in_flight": 24, "sample_every": 1.0}),
        (LITTLE_MEMORY, {"warmup": 10.0}),
        (LITTLE_MEMORY.model_copy(update={"watermark": 0.05}), {"drain": True}),
    ],
)
def test_the_kernel_equals_the_reference_on_servers_of_realistic_size(server, options):
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    scenario = make_scenario(profile, server, fleet(24, 9.0, duration=60.0), seed=6, **options)
    assert len(scenario.requests.arrival) > 400
    outcome = assert_kernel_equals_reference(scenario)
    assert outcome.gpu_loads > 15
    assert (outcome.preemptions > 5) == (server != SCARCE_SLOTS)


@pytest.mark.parametrize("options", [{}, {"scrape_every": 0.5}, {"sample_every": 1.0, "max_in_flight": 60}])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_kernel_equals_the_reference_where_most_requests_are_skipped_and_loads_are_many(options, asynchronous):
    server = Server(max_loras=5, max_lora_rank=32, max_cpu_loras=9, max_num_seqs=24, async_scheduling=asynchronous)
    workload = fleet(60, 12.0, duration=40.0, lengths=Lengths.lognormal(
        input_mean=120, input_cv=2.0, output_mean=40, output_cv=1.0
    ))  # fmt: skip
    scenario = make_scenario(load_profile("h100-64gb-qwen-2.5-7b-instruct"), server, workload, seed=2, **options)
    outcome = assert_kernel_equals_reference(scenario)
    assert outcome.disk_loads > 50
    assert outcome.waiting_time > 200e9  # request-nanoseconds in 40 s


def test_the_kernel_equals_the_reference_over_many_short_steps():
    """Steps, preemptions and resumptions exceed the capacity with which the kernel's arrays start."""
    rows = [(i % 7, i % 3, 4 + i % 11, 60 + i % 13) for i in range(80)]
    scenario = by_hand(rows, adapters=3, max_loras=2, block_size=4, kv_blocks=40, max_num_seqs=8)
    assert assert_kernel_equals_reference(scenario, Sizes(preemptions=20)).preemptions > 150
    alone = by_hand([(0, 0, 4, 5000), (1, 0, 4, 5000), (2, 0, 4, 8000)], max_num_seqs=1, max_model_len=9000)
    assert assert_kernel_equals_reference(alone, Sizes(steps=1000)).steps == 18_000


def test_requests_that_a_window_cuts_off_after_preemptions_leave_no_gaps():
    """Requests of 60 to 72 tokens share 40 blocks of 4 tokens; 0.5 s are too short for all 80."""
    rows = [(i % 7, i % 3, 4 + i % 11, 60 + i % 13) for i in range(80)]
    cut = {"end": 500 * MS, "drain": False}
    scenario = by_hand(rows, adapters=3, max_loras=2, block_size=4, kv_blocks=40, max_num_seqs=8, window=cut)
    outcome = assert_kernel_equals_reference(scenario, Sizes(steps=64, preemptions=0))
    done = outcome.finish >= 0
    assert 0 < done.sum() < 80
    assert outcome.gaps.sum() == (scenario.requests.output[done] - 1).sum()
    assert outcome.gap_sum == (outcome.finish - outcome.first_token)[done].sum()


@pytest.mark.long
def test_integrals_beyond_64_bits_are_equal_integers():
    """Requests wait, run and hold blocks for steps of 10^4 s: 10^13 ns, a million times what 2^63 would allow."""
    requests, seconds = 3000, 10**4
    rows = [(0, i % 2, 3, 400) for i in range(requests)]
    scenario = by_hand(
        rows, adapters=2, kv_blocks=10**6, max_num_seqs=1500, window={"end": 10**16, "warmup": 5 * 10**9}
    )
    slow = scenario._replace(step_cost=scenario.step_cost._replace(base=float(seconds)))
    outcome = assert_kernel_equals_reference(slow)
    steps = 800  # half of the requests run for 400 steps while the others wait, then these
    time = steps * seconds * 10**9 - 5 * 10**9
    assert outcome.steps == steps
    assert outcome.busy_time == time
    assert outcome.adapter_time == 2 * time
    assert outcome.running_time == 1500 * time > 2**63
    assert outcome.waiting_time == 1500 * (400 * seconds * 10**9 - 5 * 10**9) > 2**62
    assert outcome.gap_sum == requests * 399 * seconds * 10**9 > 2**63


def test_the_kernel_equals_the_reference_without_adapters_or_requests():
    outcome = assert_kernel_equals_reference(by_hand([], adapters=0))
    assert (outcome.steps, outcome.end) == (0, 0)


def test_the_kernel_equals_the_reference_when_time_costs_nothing():
    scenario = by_hand([(0, 0, 3, 5), (0, 1, 3, 5), (2, 1, 1, 1)], adapters=2, max_loras=1)
    free = scenario._replace(step_cost=scenario.step_cost._replace(base=0.0))
    assert assert_kernel_equals_reference(free).end == 2 * MS


def test_a_server_for_the_base_model_alone_needs_no_slots():
    scenario = by_hand([(0, 0, 3, 5), (1, 0, 3, 5)], base_model=(0,), max_loras=0)
    assert assert_kernel_equals_reference(scenario).finish.tolist() == [5 * MS, 6 * MS]


@pytest.mark.parametrize("name", ["h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"])
def test_the_kernel_equals_the_reference_on_every_shipped_profile(name):
    workload = fleet(40, 20.0, duration=20.0, lengths=Lengths.fixed(250, 60), arrivals="gamma:cv=2")
    server = Server(max_loras=8, max_lora_rank=32, max_cpu_loras=20)
    outcome = assert_kernel_equals_reference(make_scenario(load_profile(name), server, workload, seed=1))
    assert outcome.disk_loads > 0
