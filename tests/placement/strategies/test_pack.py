"""pack: orders and cuts worked out by hand, and what it makes of fleets that are hard in some way."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Infeasible, make_plan, simulate, verify
from adaptwin.placement.capacity import Share
from adaptwin.placement.make_plan import STRATEGIES
from adaptwin.placement.plan import Plan
from adaptwin.placement.strategies.pack import _backfill, _cut, _growth, _longest_prefix, alternating, dealt, orders
from adaptwin.workload.deal import synthesize

POPULATIONS = [
    {"seed": 0, "popularity": "dirichlet:0.5", "rate": 120.0},
    {"seed": 2, "popularity": "zipf:0.9", "rate": 80.0, "adapters": 40, "ranks": (8, 16, 64)},
    {"seed": 3, "popularity": "zipf:1.0", "ranks": (8, 16)},
    {"seed": 4, "popularity": "zipf:1.0", "ranks": (8, 8, 8, 64), "rate": 90.0},
    {"seed": 5, "popularity": "uniform", "ranks": (64,)},
]


class RoomFor(NamedTuple):
    """A server with room for so much load, of adapters whose name says rank and load: ``8:0.25``."""

    room: float

    def adapter(self, name):
        return Named(int(name.split(":")[0]))

    def load_of(self, item):
        return float(item.name.split(":")[1]) * item.share

    def fit(self, shares):
        return sum(self.load_of(Share(*item)) for item in shares.items()) <= self.room + 1e-9


class Named(NamedTuple):
    rank: int


def items(*names):
    return [Share(name, 1.0) for name in names]


def names(found):
    return [item.name for item in found]


# Orders and cuts


def test_alternating_takes_the_largest_the_smallest_the_second_largest():
    assert "".join(alternating(list("abcde"), lambda _: 8)) == "aebdc"
    assert "".join(alternating(list("abcd"), lambda _: 8)) == "adbc"
    assert alternating([], lambda _: 8) == []


def test_alternating_keeps_ranks_apart():
    rank = {"a": 16, "b": 16, "c": 16, "d": 8, "e": 8}
    assert "".join(alternating(list("abcde"), rank.__getitem__)) == "acbde"


def test_dealt_goes_there_and_back_again():
    assert dealt(list(range(7)), 3) == [0, 5, 6, 1, 4, 2, 3]
    assert dealt(list(range(4)), 1) == [0, 1, 2, 3]
    assert dealt([], 2) == []


def test_orders_are_by_falling_rank_then_load_then_name():
    falling, mixed = orders(RoomFor(1.0), items("8:0.1", "16:0.2", "8:0.3", "16:0.4", "16:0.3"))
    assert names(falling) == ["16:0.4", "16:0.3", "16:0.2", "8:0.3", "8:0.1"]
    assert names(mixed) == ["16:0.4", "16:0.2", "16:0.3", "8:0.3", "8:0.1"]


def test_a_cut_gives_every_stretch_its_portion_of_the_load():
    order = items("8:4", "8:3", "8:2", "8:1")
    halves = _cut(RoomFor(0.0), order, np.array([0.5, 0.5]))
    assert [names(stretch) for stretch in halves] == [["8:4"], ["8:3", "8:2", "8:1"]]
    uneven = _cut(RoomFor(0.0), order, np.array([0.7, 0.3]))
    assert [names(stretch) for stretch in uneven] == [["8:4", "8:3"], ["8:2", "8:1"]]


def test_backfill_takes_the_smallest_of_no_higher_rank():
    taken, rest = _backfill(RoomFor(1.0), items("16:0.6"), items("16:0.5", "64:0.05", "8:0.2", "8:0.1", "8:0.3"))
    assert names(taken) == ["16:0.6", "8:0.1", "8:0.2"]
    assert names(rest) == ["16:0.5", "64:0.05", "8:0.3"]


def test_backfill_leaves_a_full_server_alone():
    taken, rest = _backfill(RoomFor(1.0), items("16:0.9"), items("8:0.2", "8:0.3"))
    assert (names(taken), names(rest)) == (["16:0.9"], ["8:0.2", "8:0.3"])


def test_growth_is_how_much_more_a_server_takes():
    assert _growth(RoomFor(1.0), {"8:0.5": 1.0}) == pytest.approx(2.0, rel=0.04)
    assert _growth(RoomFor(1.0), {"8:1.25": 1.0}) == pytest.approx(0.8, rel=0.04)
    assert _growth(RoomFor(1.0), {}) == 0.0


@settings(derandomize=True, database=None, max_examples=300, deadline=None)
@given(room=st.integers(0, 120), count=st.integers(1, 100), guess=st.integers(1, 100))
def test_the_longest_prefix_is_that_of_brute_force(room, count, guess):
    order = items(*(f"8:1.{i:03}" for i in range(count)))
    capacity = RoomFor(1.03 * room)
    served = [n for n in range(1, count + 1) if capacity.fit({item.name: 1.0 for item in order[:n]})]
    assert _longest_prefix(capacity, order, guess) == max(served, default=0)


@settings(derandomize=True, database=None, max_examples=100, deadline=None)
@given(room=st.integers(100, 1000), guess=st.integers(1, 1000))
def test_a_long_prefix_is_found_to_one_per_cent(room, guess):
    found = _longest_prefix(RoomFor(float(room)), [Share(f"8:1:{i}", 1.0) for i in range(1200)], guess)
    assert room - room // 100 <= found <= room


def test_the_longest_prefix_on_the_twin_is_that_of_brute_force(capacity_of):
    workload = synthesize(adapters=12, rate=70, ranks=(8, 16), popularity="zipf:0.5", duration=300)
    capacity = capacity_of(workload)
    order = [Share(name, 1.0) for name in capacity.names]
    served = [n for n in range(1, 13) if capacity.fit({item.name: 1.0 for item in order[:n]})]
    assert served == list(range(1, len(served) + 1))
    assert 1 < len(served) < 12
    for guess in (1, 6, 12):
        assert _longest_prefix(capacity, order, guess) == len(served)


# Plans


def plans_of(profile, population):
    """A plan of each strategy, by its name."""
    workload = synthesize(**{"adapters": 24, "rate": 40, "ranks": (8, 16, 32, 64), "duration": 300.0, **population})
    return {strategy: make_plan(profile, workload, strategy=strategy) for strategy in STRATEGIES}


@pytest.mark.parametrize("population", POPULATIONS, ids=str)
def test_pack_never_needs_more_gpus_than_the_baselines(h100, population):
    plans = plans_of(h100, population)
    assert all(plan.verified for plan in plans.values())
    assert all(plans["pack"].gpus <= plan.gpus for plan in plans.values())


def test_pack_needs_fewer_gpus_than_each_baseline_somewhere(h100):
    first, second = (plans_of(h100, population) for population in POPULATIONS[:2])
    assert first["pack"].gpus < first["round_robin"].gpus
    assert second["pack"].gpus < second["paper_greedy"].gpus


def test_a_hot_adapter_is_split_in_equal_shares(h100, fleet):
    plan = make_plan(h100, fleet(("hot", 8, 60.0)))
    assert 2 <= plan.gpus <= 4
    assert [dict(server.adapters) for server in plan.servers] == [{"hot": pytest.approx(1 / plan.gpus)}] * plan.gpus
    assert all(server.forecast.request_rate == pytest.approx(60.0 / plan.gpus) for server in plan.servers)


def test_a_hot_adapter_is_split_among_cold_ones(h100, fleet):
    plan = make_plan(h100, fleet(("hot", 8, 60.0), *[(f"cold-{i}", 8, 0.2) for i in range(6)]))
    shares = [server.adapters["hot"] for server in plan.servers if "hot" in server.adapters]
    assert len(shares) > 1
    assert shares == [pytest.approx(1 / len(shares))] * len(shares)
    assert all(share == 1.0 for s in plan.servers for name, share in s.adapters.items() if name != "hot")


@pytest.mark.parametrize("rate", [5.0, 60.0])
def test_base_model_traffic_alone_needs_no_slots(h100, fleet, rate):
    plan = make_plan(h100, fleet(("base", 0, rate)))
    assert {server.server.max_loras for server in plan.servers} == {0}
    assert {server.server.max_cpu_loras for server in plan.servers} == {0}
    assert (plan.gpus > 1) == (rate > 50)


def test_one_adapter_of_rank_64_spoils_one_server_at_most(h100, fleet):
    plan = make_plan(h100, fleet(("high", 64, 0.2), *[(f"low-{i:02}", 8, 1.0) for i in range(40)]))
    assert sorted(server.server.max_lora_rank for server in plan.servers) == [8] * (plan.gpus - 1) + [64]
    assert plan.gpus == 2


@pytest.mark.parametrize("objective", [{"slo_ttft": 0.001}, {"slo_itl": 0.001}])
def test_an_objective_that_no_server_meets_names_the_adapter(h100, fleet, objective):
    calm = fleet(("calm", 8, 1.0), ("keen", 8, 5.0))
    keen = calm.adapters[1].model_copy(update=objective)
    with pytest.raises(Infeasible, match=r"^adapters\[1\]\.rate: 5 requests/s of 'keen' .* slow even alone"):
        make_plan(h100, calm.model_copy(update={"adapters": (calm.adapters[0], keen)}))


def test_an_objective_that_a_full_server_misses_costs_gpus(h100, fleet):
    calm = fleet(*[(f"a{i:02}", 8, 1.0) for i in range(20)])
    keen = calm.model_copy(update={"adapters": tuple(a.model_copy(update={"slo_itl": 0.03}) for a in calm.adapters)})
    relaxed, strict = make_plan(h100, calm), make_plan(h100, keen)
    assert (relaxed.gpus, strict.gpus) == (1, 2)
    assert {server.forecast.binding for server in strict.servers} == {"slo"}
    assert all(itl <= 0.03 for run in verify(strict, seed=9).runs for itl in run.adapters["itl_mean"])


def test_an_adapter_that_asks_for_too_much_is_named(h100, fleet):
    with pytest.raises(Infeasible, match=r"^adapters\[1\]\.rate: 50000 requests/s of 'flood' cannot be served"):
        make_plan(h100, fleet(("calm", 8, 1.0), ("flood", 8, 50000.0), duration=60.0))


def test_headroom_holds_when_the_traffic_grows(h100):
    workload = synthesize(adapters=24, rate=60, ranks=(8, 16, 32), popularity="zipf:1.0", duration=300)
    tight, roomy = make_plan(h100, workload), make_plan(h100, workload, headroom=0.3)
    assert roomy.headroom == 0.3
    assert roomy.gpus >= tight.gpus
    grown = roomy.model_copy(update={"workload": workload.scaled(1.25)})
    assert all(verify(grown, seed=seed).ok for seed in (1, 2, 3))
    assert all(server.forecast.headroom >= 0.28 for server in roomy.servers)


def test_headroom_costs_gpus_where_a_plan_is_tight(h100, fleet):
    workload = fleet(("hot", 8, 60.0))
    assert make_plan(h100, workload, headroom=0.6).gpus > make_plan(h100, workload).gpus
    assert make_plan(h100, workload, margin=0.6).gpus > make_plan(h100, workload).gpus


def test_forecast_headroom_is_where_the_verdict_turns(h100):
    workload = synthesize(adapters=20, rate=50, ranks=(8, 16), popularity="zipf:1.0", duration=300)
    plan = make_plan(h100, workload)
    for server in plan.servers:
        assert 0.0 < server.forecast.headroom < 3.0

        def grown(factor, server=server):
            return simulate(h100, server.server, plan.workload_of(server, plan.seed).scaled(factor)).worst

        assert grown(1.0 + 0.95 * server.forecast.headroom) == "ok"
        assert grown(1.04 + server.forecast.headroom) != "ok"


def test_forecast_is_the_run_of_the_server(h100, fleet):
    workload = fleet(*[(f"a{i}", 8, 1.0) for i in range(6)])
    plan = make_plan(h100, workload, seed=5)
    (server,) = plan.servers
    run = simulate(h100, server.server, workload, seed=5)
    assert server.forecast.throughput == run.throughput
    assert server.forecast.itl_mean == run.itl.mean
    assert server.forecast.ttft_p99 == run.ttft.p99


def test_the_chosen_number_of_slots_is_the_best_of_those_shown(h100, fleet):
    (server,) = make_plan(h100, fleet(*[(f"a{i:02}", 8, 0.3) for i in range(20)])).servers
    assert server.server.max_loras in {choice.max_loras for choice in server.choices}
    assert [choice.max_loras for choice in server.choices] == sorted({choice.max_loras for choice in server.choices})
    chosen = next(choice for choice in server.choices if choice.max_loras == server.server.max_loras)
    assert chosen.verdict == "ok"
    assert chosen.throughput == server.forecast.throughput


def test_a_tiny_time_limit_still_makes_a_valid_plan(h100):
    workload = synthesize(adapters=24, rate=40, ranks=(8, 16, 32, 64), popularity="zipf:1.0", duration=300)
    plan = make_plan(h100, workload, time_limit=1e-6)
    assert plan.time_limit_hit
    assert plan.verified
    assert verify(plan, seed=7).ok
    assert isinstance(plan, Plan)
    assert not make_plan(h100, workload, time_limit=600.0).time_limit_hit
