"""Numbers worked out by hand: the time of a single request, and the waits that queueing theory predicts."""

import math

import numpy as np
import pytest
from tests.twin.scenarios import MS, by_hand, plain_profile

from adaptwin import Adapter, Lengths, Server, Workload, load_profile, simulate
from adaptwin.profile.step_cost import pairs_of_chunk, step_seconds
from adaptwin.twin.kernel.play import play
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.step_coefficients import step_coefficients
from adaptwin.workload.drawing.requests import Requests

# One request of 100 prompt and 3 answer tokens on `plain_profile`, in nanoseconds.
# Prefill: 3 ms + 12 ms of weights x sqrt(1 + (100 / 240)^2), or 13 ms + 100 x 5 us + 5,050 pairs x 1 ns + 10 us. The
# grid has two slots of 16 x 5 us each, 64 x 4 x 14 shrink blocks and 2 x 14 expand blocks of 20 ns each. The scheduler
# takes 100 + 10 us.
PREFILL = 16_515_050 + 160_000 + 2 * (256 + 2) * 280 + 110_000
# Decodes: 3 ms + 12 ms x sqrt(1 + (1 / 240)^2) + 5 us + 10 us, 64 + 1 blocks of each slot, and 100 or 101 tokens of
# context x 10 ns.
DECODES = 2 * (15_015_104 + 160_000 + 2 * (64 + 1) * 280 + 110_000) + 1_000 + 1_010
# The LoRA part: 16 kernels of 125 us, 5,376 bytes of 0.25 ns for each token, 16 x 4,096 bytes of 1 ns of the adapter;
# 14 shrink blocks of 500 ns for each of 64 parts and, with 100 tokens, 1 + 99 / 32 blocks; 14 expand blocks of 10 us,
# and of 2 us for each 64 tokens.
LORA_PREFILL = 2_000_000 + 134_400 + 65_536 + 262 * 7_000 + 140_000 + 2 * 28_000
LORA_DECODES = 2 * (2_000_000 + 1_344 + 65_536 + 64 * 7_000 + 140_000 + 28_000)
# Loads of a rank-8 adapter: 2 ms + 8 x 100 us + 8 x 50 us of padding to the GPU; 30 ms + 8 ms from disk.
TO_GPU, FROM_DISK = 3_200_000, 38_000_000

ME = Adapter("me", 8, 0.0, arrivals=(1.0,))
OTHERS = [Adapter(f"other{i}", 8, 0.0) for i in range(2)]  # without requests, but loaded at start-up

SHIPPED = pytest.mark.parametrize("name", ["h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"])


@pytest.mark.parametrize(
    ("adapters", "ttft", "e2e"),
    [
        ([ME.model_copy(update={"rank": 0})], PREFILL, PREFILL + DECODES),
        ([ME], PREFILL + LORA_PREFILL, PREFILL + LORA_PREFILL + DECODES + LORA_DECODES),
        (
            [ME, OTHERS[0]],
            PREFILL + LORA_PREFILL + TO_GPU,
            PREFILL + LORA_PREFILL + TO_GPU + DECODES + LORA_DECODES,
        ),
        (
            [ME, *OTHERS],
            PREFILL + LORA_PREFILL + TO_GPU + FROM_DISK,
            PREFILL + LORA_PREFILL + TO_GPU + FROM_DISK + DECODES + LORA_DECODES,
        ),
    ],
    ids=["base model", "on the GPU", "in host memory", "on disk"],
)
def test_a_single_request_costs_exactly_what_the_profile_says(adapters, ttft, e2e):
    workload = Workload(adapters, lengths=Lengths.fixed(100, 3), duration=10.0)
    server = Server(max_loras=1, max_lora_rank=16, max_cpu_loras=2)

    outcome = play(make_scenario(plain_profile(), server, workload, seed=0))
    assert outcome.first_token - 1000 * MS == [ttft]
    assert outcome.finish - 1000 * MS == [e2e]

    run = simulate(plain_profile(), server, workload)
    assert run.ttft.mean == pytest.approx(0.005 + ttft / 1e9, abs=1e-12)  # with the time that API server and client add
    assert run.e2e.mean == pytest.approx(0.005 + e2e / 1e9, abs=1e-12)
    assert run.itl.mean == pytest.approx((e2e - ttft) / 2 / 1e9, abs=1e-12)
    assert run.tpot.mean == pytest.approx((e2e - ttft) / 2 / 1e9, abs=1e-9)  # rounded to whole nanoseconds
    assert run.adapters["ttft_p50"][0] == run.adapters["ttft_p99"][0] == pytest.approx(0.005 + ttft / 1e9)


@SHIPPED
def test_a_single_prompt_on_a_shipped_profile_takes_one_step(name):
    profile = load_profile(name)
    workload = Workload([Adapter("me", 0, 0.0, arrivals=(0.5,))], lengths=Lengths.fixed(200, 1), duration=10.0)
    cost, scheduler = profile.step_cost, profile.scheduler_cost
    model = step_coefficients(profile, Server(max_loras=1))
    # With two slots in the grid, one of them for requests without an adapter, and 7 blocks of 32 tokens, 4 of 64
    grid = 2 * (model.per_slot + 8 * 7 * model.shrink_grid + 4 * model.expand_grid)
    linear = cost.weights * math.sqrt(1 + (200 / cost.balance_tokens) ** 2)
    step = cost.host_base + cost.gpu_base + linear + 200 * cost.per_token + 20_100 * cost.per_pair + cost.per_sequence
    seconds = step + grid + scheduler.base + scheduler.per_running
    run = simulate(profile, Server(max_loras=1), workload)
    assert run.ttft.mean == pytest.approx(profile.request_latency + seconds, abs=1e-9)
    assert run.e2e == run.ttft


def test_padding_every_slot_to_a_higher_rank_costs_what_the_formula_says():
    low, high = (step_coefficients(plain_profile(), Server(max_loras=4, max_lora_rank=rank)) for rank in (8, 64))
    step = {"tokens": 10, "sequences": 10, "adapters": 2}
    # Three further blocks of 16 in 14 slices: 64 blocks of 20 ns for each of five slots, 64 of 500 ns for each of two
    # adapters and a quarter more for further tokens, and 16 x 4,096 bytes of 1 ns for each adapter.
    more = 14 * 64 * (5 * 20e-9 + (2 + 8 / 32) * 500e-9) + 2 * 16 * 4096e-9
    assert step_seconds(high, **step) - step_seconds(low, **step) == pytest.approx(3 * more)


def test_each_adapter_of_a_step_lists_the_adapters_in_host_memory():
    """Five adapters of which host memory holds three: two adapters in a step make six, of 1 ms each."""
    profile = plain_profile()
    cost = profile.step_cost.model_copy(update={"per_listed_adapter": 1e-3})
    workload = Workload([Adapter(f"a{i}", 8, 1.0) for i in range(5)] + [Adapter("base", 0, 1.0)], duration=10.0)
    server = Server(max_loras=2, max_lora_rank=8, max_cpu_loras=3)
    costs = [
        make_scenario(profile.model_copy(update={"step_cost": each}), server, workload, seed=0).step_cost
        for each in (profile.step_cost, cost)
    ]
    plain, listing = (step_seconds(each, tokens=10, sequences=10, adapters=2) for each in costs)
    assert listing - plain == pytest.approx(6e-3)


def poisson_waits(load, runs=12, requests=40_000, **limits):
    """Return the mean wait (in steps) of each run, for requests that take one step each: one token in, one out."""
    waits = []
    for seed in range(runs):
        gaps = np.random.default_rng(seed).exponential(MS / load, requests)
        ones = np.ones(requests, np.int32)
        requests_of_run = Requests(np.cumsum(gaps).astype(np.int64), np.zeros(requests, np.int32), ones, ones, ones)
        scenario = by_hand([], base_model=(0,), max_num_seqs=100_000, token_budget=100_000, kv_blocks=100_000)
        scenario = scenario._replace(requests=requests_of_run, limits=scenario.limits._replace(**limits))
        waits.append(float((play(scenario).finish - requests_of_run.arrival).mean()) / MS - 1.0)
    return np.array(waits)


def assert_mean(samples, expected):
    """Assert that the mean is within four standard errors of `expected`, and that these are below 5 % of it."""
    error = samples.std(ddof=1) / len(samples) ** 0.5
    assert 4 * error < 0.05 * expected
    assert abs(samples.mean() - expected) < 4 * error


@pytest.mark.parametrize("load", [0.1, 0.3, 0.6, 0.8])
def test_one_request_at_a_time_waits_as_in_an_m_d_1_queue(load):
    """Pollaczek-Khinchine for constant service time S: the mean wait is S load / (2 (1 - load))."""
    assert_mean(poisson_waits(load, max_num_seqs=1), load / (2 * (1 - load)))


@pytest.mark.parametrize("load", [0.1, 0.5, 2.0])
def test_requests_that_share_steps_wait_for_the_rest_of_the_step_they_came_in(load):
    """Batch service without limit: a request that arrives during a step waits for its rest, half a step on average.

    A step is followed by another with probability 1 - exp(-load), so a busy period lasts exp(load) steps and an idle
    period 1 / load steps: the server is busy for load exp(load) / (1 + load exp(load)) of the time. For small loads the
    mean wait is load / 2, as in the M/D/1 queue.
    """
    busy = load * np.exp(load) / (1 + load * np.exp(load))
    assert_mean(poisson_waits(load), busy / 2)


def times_on(profile, load, prompt, runs=16, requests=25_000):
    """Return the mean seconds from arrival to answer of each run; `load` is that of one request at a time."""
    seconds = step_of(profile, prompt)
    duration = requests * seconds / load
    workload = Workload([Adapter("base", 0, load / seconds)], lengths=Lengths.fixed(prompt, 1), duration=duration)
    server = Server(max_loras=1, max_num_batched_tokens=2048)
    ttft = np.array([simulate(profile, server, workload, seed=seed).ttft.mean for seed in range(runs)])
    return ttft - profile.request_latency


def step_of(profile, tokens, requests=1):
    """Return the seconds of a step with this many prompt tokens and requests, on a server with one slot."""
    cost = step_coefficients(profile, Server(max_loras=1))
    scheduler = profile.scheduler_cost
    pairs = requests * pairs_of_chunk(tokens // requests, 0)
    step = step_seconds(cost, tokens=tokens, sequences=requests, adapters=0, pairs=pairs)
    return step + scheduler.base + requests * scheduler.per_running


@SHIPPED
@pytest.mark.parametrize("load", [0.3, 0.7])
def test_prompts_that_fill_a_step_wait_as_in_an_m_d_1_queue_on_a_real_profile(name, load):
    """With 2,048 tokens and a budget of the same size, each prompt takes a step of its own."""
    profile = load_profile(name)
    service = step_of(profile, 2048)
    assert_mean(times_on(profile, load, 2048) - service, service * load / (2 * (1 - load)))


def batch_service(seconds, rate):
    """Return the mean time from a request's arrival to the end of its step, where a step takes all waiting requests.

    A step of n requests takes `seconds[n - 1]`. The sizes of steps form a Markov chain: the requests that arrive during
    a step, a Poisson number, are in the next step; if none arrives, the next step has one request. A request that
    arrives during a step waits for half of it on average; one that finds the server idle does not wait. Both then take
    the time of their own step.
    """
    sizes, coming = np.arange(1, len(seconds) + 1), rate * seconds
    arrive = [np.exp(-coming) * coming**k / math.factorial(k) for k in range(len(seconds) + 1)]
    chain = np.array([arrive[0] + arrive[1], *arrive[2:]]).T
    chain[:, -1] += 1.0 - chain.sum(axis=1)
    share = np.linalg.matrix_power(chain, 64)[0]
    assert share[-1] < 1e-9  # larger steps do not matter
    return share @ (sizes * seconds + rate * seconds**2 / 2) / (share @ sizes)


@SHIPPED
@pytest.mark.parametrize("load", [0.5, 1.5])
def test_prompts_that_share_steps_on_a_real_profile_wait_as_in_a_queue_with_batch_service(name, load):
    """Two requests of 50 tokens take hardly longer than one, so a load of 1.5 can be served."""
    profile = load_profile(name)
    seconds = np.array([step_of(profile, 50 * n, n) for n in range(1, 41)])
    service = seconds[0]
    assert_mean(times_on(profile, load, 50) - service, batch_service(seconds, load / service) - service)


@SHIPPED
def test_light_load_on_a_real_profile_waits_as_in_an_m_d_1_queue(name):
    """At a load of 4 %, a request that waits has found one step running, whether or not requests share steps.

    The two laws differ by the order of the load: in steps of their own, prompts of 200 tokens would wait for one
    another; here they lengthen the step that they share.
    """
    profile, load = load_profile(name), 0.04
    seconds = np.array([step_of(profile, 200 * n, n) for n in range(1, 11)])
    service = seconds[0]
    wait = batch_service(seconds, load / service) - service
    assert wait == pytest.approx(service * load / (2 * (1 - load)), rel=load)
    assert_mean(times_on(profile, load, 200, runs=20, requests=50_000) - service, wait)


def test_sixty_hours_of_a_full_cache_are_summed_up_right():
    """62,500 blocks held for 2.2e14 ns overflow 64 bits: 60 steps of an hour each, after that of the prompt."""
    huge = {"token_budget": 2_000_000, "max_model_len": 2_000_000, "kv_blocks": 62_600}
    scenario = by_hand([(0, 0, 1_000_000, 61)], window={"end": 61 * 3600 * 10**9, "drain": True}, **huge)
    outcome = play(scenario._replace(step_cost=scenario.step_cost._replace(base=3600.0)))
    assert outcome.finish.tolist() == [61 * 3600 * 10**9]
    assert outcome.kv_time / 1e9 == pytest.approx(61 * 3600 * 62_503, rel=1e-4)
