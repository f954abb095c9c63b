"""The lower bounds on groups of GPUs: they count GPUs, and no plan is below them."""

import numpy as np
import pytest
from tests.effort import examples

from adaptwin import Server, make_plan
from adaptwin.placement.lower_bound.lower_bound import cost_bound, lower_bound, servers_bound

RANDOM_FLEETS = examples(6, 2)


@pytest.fixture(scope="module")
def hot(fleet):
    """Return base-model traffic for several servers, which costs groups of all sizes the same."""
    return fleet(*[(f"a{i}", 0, 8.0) for i in range(10)])


def test_a_bound_on_groups_is_that_on_servers_times_their_size(group_of, hot):
    servers = servers_bound(group_of(1), hot, Server())
    assert servers > 1
    for size in (1, 2, 4, 8):
        assert servers_bound(group_of(size), hot, Server()) == servers
        assert lower_bound([group_of(size)], hot, Server()) == servers * size


def test_of_groups_with_the_same_costs_the_smallest_sets_the_bound(group_of, hot):
    profiles = [group_of(4), group_of(2), group_of(1)]
    for mixed in (True, False):
        assert lower_bound(profiles, hot, Server(), mixed=mixed) == lower_bound([group_of(1)], hot, Server())
        assert lower_bound(profiles[:2], hot, Server(), mixed=mixed) == lower_bound([group_of(2)], hot, Server())


def test_each_spare_server_adds_a_group(group_of, hot):
    profiles = [group_of(4), group_of(2)]
    bare = lower_bound([group_of(2)], hot, Server())
    for mixed in (True, False):
        assert lower_bound(profiles, hot, Server(), spare=2, mixed=mixed) == bare + 4


def test_a_size_that_does_not_start_bounds_nothing(group_of, hot):
    """A single GPU without memory for the weights is no cheap way out."""
    small = group_of(1, 1.0)
    small = small.model_copy(update={"memory": small.memory.model_copy(update={"gpu_bytes": 1.2e10})})
    group = group_of(2, 1.0)
    assert not Server(max_loras=1).starts_on(small)
    for mixed in (True, False):
        assert lower_bound([small, group], hot, Server(), mixed=mixed) == lower_bound([group], hot, Server())
    assert cost_bound([small, group], hot, Server()) == cost_bound([group], hot, Server())


def test_the_price_of_the_bound_is_that_of_whole_groups(group_of, hot):
    servers = servers_bound(group_of(1), hot, Server())
    assert cost_bound([group_of(2, 1.5)], hot, Server()) == servers * 2 * 1.5
    assert cost_bound([group_of(2, 1.0), group_of(1, 1.5)], hot, Server()) == servers * 1.5


@pytest.mark.parametrize("seed", range(RANDOM_FLEETS))
def test_no_plan_is_below_its_bounds(group_of, fleet, seed):
    random = np.random.default_rng(seed)
    ranks = random.choice([0, 8, 32], 8)
    rates = 60.0 * random.uniform() * random.dirichlet(np.full(8, 2.0))
    workload = fleet(*[(f"a{i}", int(ranks[i]), float(rates[i])) for i in range(8)])
    sizes = [int(size) for size in random.choice([1, 2, 4, 8], size=2, replace=False)]
    prices = random.uniform(1.0, 3.0, 2).tolist()
    profiles = [group_of(size, price) for size, price in zip(sizes, prices, strict=True)]
    for objective, spare in (("min-gpus", 0), ("min-cost", 0), ("min-gpus", 1)):
        plan = make_plan(profiles, workload, objective=objective, spare=spare)
        assert plan.verified
        assert plan.lower_bound <= plan.gpus
        assert plan.cost_bound <= plan.cost_per_hour + 1e-9
        sizes_used = {plan.gpus_of(server) for server in plan.servers}
        assert sizes_used <= set(sizes)
