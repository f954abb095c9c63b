"""min-cost: the cheapest mix of GPUs, compared with all possible mixes where these can be enumerated."""

import functools
import itertools
import math

import numpy as np
import pytest
from tests.placement.partitions import partitions

from adaptwin import Adapter, Infeasible, Server, SpecError, Workload, load_profile, make_plan
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.lower_bound.lower_bound import cost_bound
from adaptwin.placement.objectives.gpu_mix.gpu_types import gpu_types_of
from adaptwin.placement.objectives.gpu_mix.mixes import mixes, price
from adaptwin.placement.packing.problem import Problem
from adaptwin.plan.constraints import Constraints
from adaptwin.progress import silent
from adaptwin.surrogate.surrogate import surrogate_for
from adaptwin.workload.sources.synthetic import synthesize

DEAR, CHEAP = 2.5, 1.0
USUAL = Server(max_num_seqs=256)  # vLLM's default, so that the planner chooses no other


@pytest.fixture(scope="module")
def big(h100):
    """Return the H100 with a price."""
    return h100.model_copy(update={"price_per_hour": DEAR})


@pytest.fixture(scope="module")
def small(h100):
    """Return a cheaper GPU, half as fast, with memory for few slots, and for none of rank 256."""
    cost = h100.step_cost
    slower = {
        name: 2.0 * getattr(cost, name)
        for name in ("host_base", "weights", "per_token", "per_context_token", "lora_byte")
    }
    return h100.model_copy(
        update={
            "name": "small",
            "price_per_hour": CHEAP,
            "memory": h100.memory.model_copy(update={"gpu_bytes": 24 * 2.0**30}),
            "model": h100.model.model_copy(update={"max_model_len": 8192}),
            "step_cost": cost.model_copy(update=slower),
        }
    )


def problems_of(profiles, workload):
    return [
        Problem(
            Capacity(p, workload, Server(), 1.0, WorkloadSurrogate(surrogate_for(p), workload, Server())),
            1,
            silent,
            math.inf,
        )
        for p in profiles
    ]


def optimum(profiles, workload):
    """Return the lowest price of any partition into servers, each of the cheapest profile that serves it."""
    capacities = [Capacity(profile, workload, Server()) for profile in profiles]

    @functools.cache
    def cheapest(group):
        shares = dict.fromkeys(group, 1.0)
        prices = [c.profile.price_per_hour for c in capacities if choose_slots(c, shares)]
        return min(prices, default=math.inf)

    return min(sum(cheapest(frozenset(group)) for group in way) for way in partitions([*capacities[0].names]))


def few(seed):
    """Return five adapters, each of which the small GPU serves alone if it starts; traffic grows with the seed."""
    random = np.random.default_rng(seed)
    rates = (1.0 + 0.5 * seed) * random.uniform(0.3, 1.0, 5)
    ranks = random.choice([8, 16, 64, 256], 5, p=[0.4, 0.3, 0.2, 0.1])
    return Workload([Adapter(f"a{i}", int(ranks[i]), float(rates[i])) for i in range(5)], duration=300.0)


@pytest.fixture(scope="module")
def compared(big, small):
    """Return a function from a seed to a plan for few adapters and the lowest price of all placements."""
    profiles = [big.model_copy(update={"price_per_hour": 3.5 * CHEAP}), small]

    @functools.cache
    def compare(seed):
        plan = make_plan(profiles, few(seed), objective="min-cost", surrogate=None)
        return plan, optimum(profiles, few(seed))

    return compare


SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_price_is_between_the_bound_and_the_best_of_all_placements(compared, seed):
    plan, best = compared(seed)
    assert plan.verified
    assert all(share == 1.0 for server in plan.servers for share in server.adapters.values())
    assert plan.cost_bound == cost_bound(plan.profiles, plan.workload, Server())
    assert plan.cost_bound <= best <= plan.cost_per_hour <= best + CHEAP


def test_the_best_of_all_placements_is_found_nearly_always(compared):
    found = [compared(seed) for seed in SEEDS]
    assert sum(plan.cost_per_hour == best for plan, best in found) >= len(SEEDS) - 1
    assert len({server.profile for plan, _ in found for server in plan.servers}) == 2


@pytest.fixture(scope="module")
def remainder():
    """Return traffic that exceeds what the expensive GPU serves by less than what the cheap one serves."""
    return synthesize(adapters=30, rate=33, ranks=(8, 16), popularity="zipf:0.5", duration=300.0)


@pytest.fixture(scope="module")
def mixed(big, small, remainder):
    return make_plan([big, small], remainder, objective="min-cost")


@pytest.fixture(scope="module")
def on_big(big, remainder):
    return make_plan(big, remainder)


def test_no_type_alone_is_cheaper_than_the_mix(small, remainder, mixed, on_big):
    assert mixed.verified
    assert mixed.cost_per_hour <= on_big.cost_per_hour
    assert mixed.cost_per_hour <= make_plan(small, remainder).cost_per_hour


def test_the_same_seed_makes_the_same_plan(big, small, remainder, mixed):
    untimed = {"planning_seconds": 0.0, "search_seconds": 0.0}
    again = make_plan([big, small], remainder, objective="min-cost")
    assert again.model_copy(update=untimed) == mixed.model_copy(update=untimed)


@pytest.mark.long
def test_the_order_of_the_profiles_does_not_change_the_price(big, small, remainder, mixed):
    assert make_plan([small, big], remainder, objective="min-cost").cost_per_hour == mixed.cost_per_hour


def test_with_one_type_it_is_the_fewest_gpus_times_their_price(big, remainder, on_big):
    plan = make_plan(big, remainder, objective="min-cost")
    assert plan.cost_per_hour == DEAR * on_big.gpus


def test_a_type_that_is_only_more_expensive_is_not_used(big, remainder):
    twice = big.model_copy(update={"name": "twice", "price_per_hour": 2 * DEAR})
    plan = make_plan([twice, big], remainder, objective="min-cost")
    assert {server.profile for server in plan.servers} == {big.name}


@pytest.fixture(scope="module")
def one_of_rank_256():
    low = [Adapter(f"low-{i}", 8, 0.8) for i in range(48)]
    return Workload([*low, Adapter("high", 256, 0.5)], duration=300.0)


def test_a_type_that_cannot_start_with_some_adapters_serves_the_others(big, small, one_of_rank_256):
    with pytest.raises(Infeasible, match="256 of 'high' fits on no GPU"):
        make_plan(small, one_of_rank_256)
    dear = big.model_copy(update={"price_per_hour": 4 * CHEAP})
    plan = make_plan([dear, small], one_of_rank_256, objective="min-cost", server=USUAL)
    assert plan.verified
    assert {server.profile for server in plan.servers} == {big.name, "small"}
    assert plan.cost_per_hour < make_plan(dear, one_of_rank_256, server=USUAL).cost_per_hour
    assert next(server.profile for server in plan.servers if "high" in server.adapters) == big.name


def test_a_type_that_serves_no_adapter_is_not_used(big, small, remainder):
    hopeless = small.model_copy(update={"memory": small.memory.model_copy(update={"gpu_bytes": 20 * 2.0**30})})
    plan = make_plan([big, hopeless], remainder, objective="min-cost")
    assert {server.profile for server in plan.servers} == {big.name}


def test_what_no_type_serves_is_named(big, small, fleet):
    workload = fleet(("a", 8, 1.0), ("high", 512, 1.0))
    with pytest.raises(Infeasible, match=r"^adapters\[1\]\.rank: 512 of 'high' fits on no GPU"):
        make_plan([big, small], workload, objective="min-cost", server=Server(gpu_memory_utilization=0.6))


def test_an_adapter_too_hot_for_any_gpu_is_split(big, small, fleet):
    plan = make_plan([big, small], fleet(("hot", 8, 80.0), ("cold", 8, 0.5)), objective="min-cost")
    assert plan.verified
    assert plan.gpus > 1


@pytest.mark.parametrize("priced", [0, 1])
def test_a_profile_without_a_price_is_named(big, small, fleet, priced):
    profiles = [big, small]
    profiles[priced] = profiles[priced].model_copy(update={"price_per_hour": None})
    with pytest.raises(SpecError, match=rf"^price_per_hour: profile {profiles[priced].name} has none"):
        make_plan(profiles, fleet(("a", 8, 1.0)), objective="min-cost")


def test_profiles_of_another_model_are_no_mix(big, fleet):
    qwen = load_profile("h100-64gb-qwen-2.5-7b-instruct").model_copy(update={"price_per_hour": 1.0})
    with pytest.raises(SpecError, match=r"^profile: .* serves .*, h100-64gb-qwen.* serves"):
        make_plan([big, qwen], fleet(("a", 8, 1.0)), objective="min-cost")


def test_constraints_are_respected(big, small, remainder):
    names = [adapter.name for adapter in remainder.adapters]
    constraints = Constraints(pinned={names[0]: "mine"}, apart=(tuple(names[1:4]),), together=(tuple(names[4:7]),))
    plan = make_plan([big, small], remainder, objective="min-cost", constraints=constraints)
    assert plan.verified
    assert constraints.violations({server.name: server.adapters for server in plan.servers}) == []
    assert plan.gpus >= 3


def test_baselines_use_one_type(big, small, remainder):
    plan = make_plan([big, small], remainder, objective="min-cost", strategy="paper_greedy")
    alone = [make_plan(profile, remainder, strategy="paper_greedy") for profile in (big, small)]
    assert plan.cost_per_hour == min(other.cost_per_hour for other in alone)


def test_a_search_out_of_time_still_places_every_adapter(big, small, remainder):
    plan = make_plan([big, small], remainder, objective="min-cost", time_limit=0.001)
    assert plan.time_limit_hit
    assert plan.verified


@pytest.mark.long
def test_every_mix_serves_every_item_once_on_servers_that_start(big, small):
    workload = synthesize(adapters=40, rate=60, ranks=(8, 16, 256), popularity="zipf:1.0", duration=300.0)
    kinds = gpu_types_of(problems_of([big, small], workload))
    assert None in kinds[1].items
    found = mixes(kinds)
    assert len({tuple(sorted(mixed.gpu_type.capacity.profile.name for mixed in mix)) for mix in found}) > 3
    for mix in found:
        assert sorted(itertools.chain.from_iterable(mixed.numbers for mixed in mix)) == [*range(len(kinds[0].items))]
        assert all(len(mixed.contents) == len(mixed.numbers) > 0 for mixed in mix)
        assert price(mix) == pytest.approx(sum(mixed.gpu_type.price for mixed in mix))


def test_all_gpu_types_have_the_same_parts_of_hot_adapters(big, small, fleet):
    kinds = gpu_types_of(problems_of([big, small], fleet(("hot", 8, 30.0), ("cold", 8, 1.0))))
    assert len(kinds[0].items) == len(kinds[1].items) > 2
    assert [item.shares for item in kinds[0].items] == [item.shares for item in kinds[1].items]
    assert sum(item.shares[0].share for item in kinds[0].items) == pytest.approx(2.0)
