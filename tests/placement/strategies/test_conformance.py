"""Conformance: what holds for the plans of every strategy, for any fleet."""

from functools import cache

import pytest
from tests.effort import LONG

from adaptwin import Adapter, Infeasible, Plan, Server, Workload, make_plan, verify
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.plan.plan import unplaced
from adaptwin.workload.sources.synthetic import synthesize

WINDOW = 300.0


def few(*rows):
    return Workload([Adapter(*row) for row in rows], duration=WINDOW)


def many(**fields):
    return synthesize(**{"adapters": 24, "rate": 40, "ranks": (8, 16, 32, 64), "duration": WINDOW, **fields})


FLEETS = {
    "one adapter": few(("only", 16, 2.0)),
    "base model only": few(("base", 0, 5.0)),
    "zipf": many(popularity="zipf:1.0"),
    "dirichlet": many(popularity="dirichlet:0.5", seed=2),
    "with base-model traffic": many(base_share=0.3, seed=3),
    "one high rank": few(("high", 64, 0.2), *[(f"low-{i}", 8, 0.6) for i in range(30)]),
    "one hot adapter": few(("hot", 8, 45.0), *[(f"cold-{i}", 8, 0.3) for i in range(9)]),
    "idle ones among busy ones": few(
        *[(f"busy-{i}", 8, 1.0) for i in range(8)], *[(f"idle-{i}", 16, 0.0) for i in range(8)]
    ),
}

IN_THE_ORDER_OF_THE_WORKLOAD = ("max_base", "proposed_lat", "round_robin")

CASES = [  # in `make test`, all fleets for the default, and two or three for each of the others
    (strategy, fleet)
    for i, strategy in enumerate(STRATEGIES)
    for j, fleet in enumerate(FLEETS)
    if LONG or strategy == "pack" or (i + j) % 3 == 0
]

every_case = pytest.mark.parametrize(("strategy", "fleet"), CASES)
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
every_fleet = pytest.mark.parametrize("fleet", FLEETS)


@pytest.fixture(scope="module")
def plan_of(h100):
    """Return a function from strategy and fleet to the plan, which is made once."""
    return cache(lambda strategy, fleet: make_plan(h100, FLEETS[fleet], strategy=strategy))


def test_these_strategies_are_offered_in_this_order():
    """There may be other strategies between them."""
    these = ["pack", "paper_greedy", "dlora", "loraserve", "max_base", "least_loaded", "round_robin", "random"]
    assert [name for name in STRATEGIES if name in these] == these


@every_case
def test_every_adapter_is_placed_once(plan_of, strategy, fleet):
    plan = plan_of(strategy, fleet)
    assert unplaced(FLEETS[fleet], plan.servers) == {}
    assert all(server.adapters for server in plan.servers)
    assert len({server.name for server in plan.servers}) == plan.gpus


@every_case
def test_every_server_starts(plan_of, strategy, fleet):
    plan = plan_of(strategy, fleet)
    for server in plan.servers:
        limits = server.server.limits(plan.profile_of(server))
        assert limits.kv_blocks * limits.block_size >= limits.max_model_len - limits.block_size


@every_case
def test_slots_are_of_the_highest_rank_and_host_memory_holds_every_adapter(plan_of, strategy, fleet):
    rank = {adapter.name: adapter.rank for adapter in FLEETS[fleet].adapters}
    for server in plan_of(strategy, fleet).servers:
        ranks = [rank[name] for name in server.adapters]
        loras = sum(rank > 0 for rank in ranks)
        assert server.server.max_lora_rank >= max(ranks)
        assert server.server.max_cpu_loras >= loras
        assert server.server.max_loras >= min(1, loras)


@every_case
def test_the_plan_is_verified_and_holds_under_another_seed(plan_of, strategy, fleet):
    plan = plan_of(strategy, fleet)
    assert plan.verified
    check = verify(plan, seed=4242)
    assert check.ok, check.failures
    assert check.failures == []
    assert len(check.runs) == plan.gpus


@every_case
def test_the_same_seed_makes_the_same_plan(h100, plan_of, strategy, fleet):
    again = make_plan(h100, FLEETS[fleet], strategy=strategy)
    untimed = {"planning_seconds": 0.0, "search_seconds": 0.0}
    assert again.model_copy(update=untimed) == plan_of(strategy, fleet).model_copy(update=untimed)


@pytest.mark.parametrize(("strategy", "fleet"), [case for case in CASES if case[1] != "one hot adapter"])
def test_one_gpu_per_adapter_is_always_enough(plan_of, strategy, fleet):
    assert 1 <= plan_of(strategy, fleet).gpus <= len(FLEETS[fleet])


@every_case
def test_the_lower_bound_is_not_above_the_plan(plan_of, strategy, fleet):
    plan = plan_of(strategy, fleet)
    assert 1 <= plan.lower_bound <= plan.gpus


@every_case
def test_the_plan_has_the_options_it_was_made_with(h100, plan_of, strategy, fleet):
    plan = plan_of(strategy, fleet)
    assert (plan.options.objective, plan.options.strategy, plan.seed, plan.time_limit_hit) == (
        "min-gpus",
        strategy,
        0,
        False,
    )
    assert plan.workload == FLEETS[fleet]
    assert [profile.name for profile in plan.profiles] == [h100.name]


@every_case
def test_every_server_has_a_forecast_that_is_ok(plan_of, strategy, fleet):
    plan = plan_of(strategy, fleet)
    assert {server.forecast.verdict for server in plan.servers} == {"ok"}
    offered = sum(server.forecast.request_rate for server in plan.servers)
    assert offered == pytest.approx(FLEETS[fleet].rate)


@every_case
def test_a_plan_reads_back_as_it_was_written(plan_of, strategy, fleet, tmp_path):
    plan = plan_of(strategy, fleet)
    plan.write(tmp_path / "plan.yaml")
    back = Plan.read(tmp_path / "plan.yaml")
    assert back.model_dump_json() == plan.model_dump_json()
    assert back.servers[0].adapters == plan.servers[0].adapters


@every_fleet
def test_pack_needs_no_more_gpus_than_the_others(plan_of, fleet):
    assert plan_of("pack", fleet).gpus == min(plan_of(*case).gpus for case in CASES if case[1] == fleet)


@pytest.mark.parametrize(
    ("strategy", "fleet"),
    [
        (strategy, fleet)
        for strategy, fleet in CASES
        if strategy not in IN_THE_ORDER_OF_THE_WORKLOAD and fleet in ("zipf", "one high rank", "one hot adapter")
    ],
)
def test_the_order_of_the_adapters_does_not_matter(h100, plan_of, strategy, fleet):
    workload = FLEETS[fleet]
    backwards = workload.model_copy(update={"adapters": workload.adapters[::-1]})
    assert make_plan(h100, backwards, strategy=strategy).gpus == plan_of(strategy, fleet).gpus


@every_strategy
def test_a_fleet_without_requests_needs_one_gpu(h100, strategy):
    plan = make_plan(h100, few(*[(f"idle-{i}", 8, 0.0) for i in range(10)]), strategy=strategy)
    assert plan.gpus == 1
    assert plan.verified


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (("flood", 8, 50_000.0), r"^adapters\[1\]\.rate: 50000 requests/s of 'flood' cannot be served"),
        (("big", 512, 1.0), r"^adapters\[1\]\.rank: 512 of 'big' fits on no GPU"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
@every_strategy
def test_what_cannot_be_served_is_named(h100, strategy, adapter, message):
    workload = few(("calm", 8, 1.0), adapter).model_copy(update={"duration": 120.0})
    with pytest.raises(Infeasible, match=message):
        make_plan(h100, workload, strategy=strategy, server=Server(gpu_memory_utilization=0.6))


def test_every_strategy_and_every_fleet_has_cases():
    assert {strategy for strategy, _ in CASES} == {*STRATEGIES}
    for fleet in FLEETS:
        assert len([case for case in CASES if case[1] == fleet]) > 3
