"""Steady state: the closed form against numbers worked out by hand, laws, and the twin."""

import math
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.effort import examples
from tests.twin.scenarios import plain_profile

from adaptwin import Adapter, Lengths, Profile, Server, Workload, load_profile, simulate
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import SteadyState, steady_state
from adaptwin.workload.demand.traffic import demands_of, sum_demands
from adaptwin.workload.sources.popularity import popularity_shares

LLAMA, QWEN = "h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"


class Case(NamedTuple):
    """A server and its traffic."""

    profile: Profile
    server: Server
    workload: Workload

    @property
    def settled(self) -> SteadyState:
        model = self.profile.model
        demands = demands_of(
            self.workload,
            early_stop_share=model.early_stop_share,
            early_stop_reach=model.early_stop_reach,
            longest=self.server.max_model_len or model.max_model_len,
        )
        limits, costs = self.server.limits(self.profile), costs_of(self.profile, self.server)
        return steady_state(sum_demands(demands), limits, costs, self.workload.duration)


def fleet(adapters, rate, popularity="uniform", ranks=(8,), **fields):
    shares = popularity_shares(popularity, adapters)
    sharing = [Adapter(f"a{i}", ranks[i % len(ranks)], rate * float(share)) for i, share in enumerate(shares)]
    return Workload(sharing, **{"duration": 1200.0, **fields})


def base_only(rate, **fields):
    return Workload([Adapter("base", 0, rate)], **{"duration": 1200.0, **fields})


# By hand


@pytest.mark.parametrize(("rank", "pace"), [(0, 15_322_174), (8, 18_005_054)], ids=["base model", "LoRA"])
def test_the_pace_of_an_idle_server_is_that_of_a_single_decode(rank, pace):
    # A request of 100 prompt and 3 answer tokens reads 100 and 101 cached tokens: 67 for each of its answer tokens.
    # As in tests/twin/test_numbers.py, a step of one token takes 15.21 ms, 110 us for planning and 0.67 us for the
    # context; with LoRA 2.68 ms more.
    workload = Workload([Adapter("a", rank, 1e-9)], lengths=Lengths.fixed(100, 3), duration=1200.0)
    settled = Case(plain_profile(), Server(max_loras=1, max_lora_rank=16), workload).settled
    assert settled.pace == pytest.approx(pace / 1e9, abs=1e-9)
    assert settled.adapters == pytest.approx(0, abs=1e-6)


def test_asynchronous_planning_costs_an_idle_server_nothing():
    workload = Workload([Adapter("a", 0, 1e-9)], lengths=Lengths.fixed(100, 3))
    settled = Case(plain_profile(), Server(max_loras=1, max_lora_rank=16, async_scheduling=True), workload).settled
    assert settled.pace == pytest.approx((15_322_174 - 110_000) / 1e9, abs=1e-9)


@pytest.mark.parametrize("rank", [8, 32, 64])
def test_a_load_costs_what_the_twin_takes_for_it(rank):
    costs = costs_of(plain_profile(), Server(max_loras=1, max_lora_rank=64))
    load = plain_profile().load_cost.to_gpu(rank, max_lora_rank=64)
    assert costs.load_base + costs.load_per_rank * rank == pytest.approx(load)


def test_the_batch_is_bounded_by_seats_by_the_budget_or_by_the_cache():
    # A request of 100 prompt and 3 answer tokens takes 1 + 100/3 tokens of each step and holds 67 + 101/3 + 8 tokens.
    workload = base_only(1.0, lengths=Lengths.fixed(100, 3))
    bounds = {"max_num_seqs": 7, "max_num_batched_tokens": 2060, "kv_cache_tokens": 4096 + 16}
    roomy = {"max_num_seqs": 5000, "max_num_batched_tokens": 10_000, "kv_cache_tokens": 10**6}
    held = 67 + 101 / 3 + 8
    most = {"max_num_seqs": 7, "max_num_batched_tokens": 2060 * 3 / 103, "kv_cache_tokens": 4096 / held}
    for name, value in bounds.items():
        settled = Case(plain_profile(), Server(max_loras=0, **{**roomy, "max_num_seqs": 2000, name: value}), workload)
        assert settled.settled.most_running == pytest.approx(most[name])
    assert settled.settled.fitting == pytest.approx(4096 / held)


def test_without_requests_nothing_runs():
    for workload in (base_only(0.0), fleet(4, 0.0)):
        settled = Case(plain_profile(), Server(max_loras=2), workload).settled
        assert all(math.isfinite(value) for value in settled)
        assert settled.running == pytest.approx(0, abs=1e-9)
        assert (settled.slot_wait, settled.loads, settled.reached) == (0.0, 0.0, 1.0)


def test_with_a_slot_for_each_adapter_no_request_waits_and_nothing_is_loaded():
    for slots in (20, 30):
        settled = Case(load_profile(LLAMA), Server(max_loras=slots, max_lora_rank=8), fleet(20, 40.0)).settled
        assert (settled.slot_wait, settled.slot_waiting, settled.slots_full, settled.loads) == (0.0, 0.0, 0.0, 0.0)
        assert (settled.reached, settled.stalled) == (1.0, 0.0)


# Laws

LENGTHS = st.builds(Lengths.fixed, st.integers(1, 2000), st.integers(1, 800)) | st.just(Lengths.named("sharegpt"))
POPULARITIES = st.sampled_from(["uniform", "zipf:1.0", "dirichlet:0.5", "hot:0.5"])


@st.composite
def cases(draw, slots=st.integers(0, 40)):  # noqa: B008
    """Draw servers under any traffic, with fewer or more slots than adapters."""
    adapters, more = draw(st.integers(1, 60)), draw(slots)
    workload = fleet(
        adapters,
        draw(st.floats(0.01, 60)),
        popularity=draw(POPULARITIES),
        lengths=draw(LENGTHS),
        arrivals=draw(st.sampled_from(["poisson", "gamma:cv=3"])),
        duration=draw(st.sampled_from([300.0, 3600.0])),
    )
    server = Server(
        max_loras=max(1, more),
        max_lora_rank=8,
        max_cpu_loras=100,
        max_num_seqs=draw(st.sampled_from([8, 256, 2048])),
        max_num_batched_tokens=draw(st.sampled_from([2048, 8192])),
        async_scheduling=draw(st.booleans()),
    )
    return Case(load_profile(draw(st.sampled_from([LLAMA, QWEN]))), server, workload)


SOME = settings(max_examples=examples(150), deadline=None, derandomize=True)


SWAPPING = Case(  # the share of the requests that are served took no fixed value within 40 tries
    load_profile(LLAMA),
    Server(max_loras=1, max_lora_rank=8, max_cpu_loras=100, max_num_seqs=256, max_num_batched_tokens=2048),
    fleet(15, 41.0, popularity="hot:0.5", duration=3600.0),
)


@SOME
@given(cases())
@example(SWAPPING)
def test_requests_in_the_batch_are_those_that_come_while_one_is_answered(case):
    """Little's law, for as many as the batch holds."""
    settled, workload = case.settled, case.workload
    model = case.profile.model
    stops = {"early_stop_share": model.early_stop_share, "early_stop_reach": model.early_stop_reach}
    traffic = sum_demands(demands_of(workload, **stops, longest=model.max_model_len)).traffic
    coming = settled.reached * traffic.served_rate * (traffic.answer / traffic.served_rate) * settled.pace
    if settled.running < settled.most_running:
        assert settled.running == pytest.approx(coming, rel=5e-3)
    else:
        assert coming >= 0.99 * settled.most_running


def test_littles_law_is_tested_on_full_and_on_other_batches():
    met = set()

    @SOME
    @given(cases())
    def meet(case):
        met.add(case.settled.running < case.settled.most_running)

    meet()
    assert met == {False, True}


@SOME
@given(cases())
def test_shares_are_at_most_one_and_no_figure_is_negative(case):
    settled = case.settled
    assert all(math.isfinite(value) and value >= 0 for value in settled)
    assert all(getattr(settled, name) <= 1 for name in ("slots_full", "slot_waiting", "reached", "stalled"))
    assert settled.running <= settled.most_running
    assert settled.adapters <= min(case.server.max_loras, settled.wanted)
    assert settled.wanted <= len(case.workload)
    assert settled.slot_wait <= case.workload.duration * 1.001
    assert settled.first_step > 0
    assert settled.long_step > 0


@SOME
@given(cases(), st.floats(1.1, 10))
def test_more_traffic_never_makes_tokens_faster(case, factor):
    """The server has a slot for every adapter."""
    more = case._replace(server=case.server.model_copy(update={"max_loras": len(case.workload)}))
    before, after = more.settled, more._replace(workload=case.workload.scaled(factor)).settled
    assert after.utilisation > before.utilisation
    assert after.running >= before.running * (1 - 2e-3)
    assert after.pace >= before.pace * (1 - 2e-3)


@pytest.mark.parametrize("popularity", ["uniform", "zipf:1.0", "dirichlet:0.5"])
@pytest.mark.parametrize("rate", [0.5, 2.0, 5.0])
def test_where_every_adapter_gets_a_slot_in_time_more_slots_never_make_the_wait_longer(rate, popularity):
    workload = fleet(150, rate, popularity=popularity, duration=3600.0)
    servers = [Server(max_loras=slots, max_lora_rank=8, max_cpu_loras=150) for slots in (1, 2, 4, 8, 16, 32, 64, 150)]
    settled = [Case(load_profile(LLAMA), server, workload).settled for server in servers]
    waits = [one.slot_wait for one in settled if one.reached > 0.999]
    assert all(later <= earlier for earlier, later in pairwise(waits))
    assert waits[-1] == 0.0
    assert settled[0].slot_wait > 10.0
    assert [one.reached for one in settled] == sorted(one.reached for one in settled)


def test_utilisation_is_the_rate_over_what_a_full_batch_serves():
    capacity = Case(load_profile(QWEN), Server(max_loras=0), base_only(1.0)).settled.capacity
    for share in (0.01, 0.5, 0.999, 1.001, 3.0):
        settled = Case(load_profile(QWEN), Server(max_loras=0), base_only(share * capacity)).settled
        assert settled.capacity == pytest.approx(capacity)
        assert settled.utilisation == pytest.approx(share)
        assert (settled.running == settled.most_running) == (share > 1)


def test_requests_that_are_too_long_are_no_load():
    short, long = (Adapter(name, 8, 2.0, lengths=Lengths.fixed(n, 50)) for name, n in (("a", 100), ("b", 8000)))
    server = Server(max_loras=2, max_lora_rank=8, max_model_len=4096)
    both, one = (Case(load_profile(LLAMA), server, Workload(adapters)).settled for adapters in ([short, long], [short]))
    assert both.utilisation == pytest.approx(one.utilisation, rel=1e-3)
    assert both.running == pytest.approx(one.running, rel=1e-2)


# Against the twin

UNSATURATED = {
    "a slot for each": Case(load_profile(LLAMA), Server(max_loras=8, max_lora_rank=8), fleet(8, 4.0)),
    "mixed ranks, uneven": Case(
        load_profile(LLAMA), Server(max_loras=32, max_lora_rank=16), fleet(32, 8.0, "zipf:1", ranks=(8, 16))
    ),
    "fixed lengths": Case(
        load_profile(QWEN), Server(max_loras=4, max_lora_rank=8), fleet(4, 2.0, lengths=Lengths.fixed(250, 231))
    ),
    "base model only": Case(load_profile(QWEN), Server(max_loras=0), base_only(6.0)),
    "more adapters than slots": Case(
        load_profile(LLAMA), Server(max_loras=16, max_lora_rank=8, max_cpu_loras=100), fleet(100, 2.5)
    ),
    "asynchronous": Case(
        load_profile(LLAMA),
        Server(max_loras=8, max_lora_rank=32, async_scheduling=True),
        fleet(
            8,
            2.0,
            ranks=(32,),
            lengths=Lengths.lognormal(input_mean=800, input_cv=1, output_mean=100, output_cv=1),
        ),
    ),
}


@pytest.mark.parametrize("name", UNSATURATED)
def test_an_unsaturated_server_settles_where_the_twin_does(name):
    case = UNSATURATED[name]
    settled, run = case.settled, simulate(*case)
    assert run.throughput > 0.95 * run.offered_throughput
    assert settled.utilisation < 0.5
    assert settled.pace == pytest.approx(run.itl.mean, rel=0.03)
    assert settled.running == pytest.approx(run.mean_running, rel=0.06)
    assert settled.adapters == pytest.approx(run.mean_adapters, rel=0.06)
    assert settled.loads == pytest.approx(run.adapter_loads / case.workload.duration, rel=0.15)


@pytest.mark.parametrize("name", [LLAMA, QWEN])
def test_an_overloaded_server_serves_its_capacity(name):
    profile, server = load_profile(name), Server(max_loras=4, max_lora_rank=8, max_num_seqs=64)
    workload = fleet(4, 20.0, duration=600.0)
    settled, run = Case(profile, server, workload).settled, simulate(profile, server, workload)
    assert settled.utilisation > 1.1
    assert settled.running == settled.most_running == 64
    assert run.throughput < 0.95 * run.offered_throughput
    assert run.mean_running == pytest.approx(64, rel=0.02)
    assert run.request_rate == pytest.approx(settled.capacity, rel=0.05)
    assert run.itl.mean == pytest.approx(settled.pace, rel=0.05)


def test_where_it_predicts_a_wait_for_slots_the_twin_has_a_queue():
    profile, workload = load_profile(LLAMA), fleet(100, 3.0, duration=1800.0)
    few, enough = (Server(max_loras=slots, max_lora_rank=8, max_cpu_loras=100) for slots in (4, 48))
    assert Case(profile, few, workload).settled.slot_wait > 5.0
    assert simulate(profile, few, workload).mean_waiting > 10.0
    assert Case(profile, enough, workload).settled.slot_wait == 0.0
    assert simulate(profile, enough, workload).mean_waiting < 0.5
