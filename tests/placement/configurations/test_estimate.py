"""The estimate of the optimum, against the best of all placements of small fleets."""

import math

import pytest
from tests.placement.lower_bound.test_lower_bound import optimum, random_fleet

from adaptwin import Server, load_surrogate
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.configurations.estimate import estimated_optimum
from adaptwin.placement.lower_bound.lower_bound import servers_bound
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.pack import pack
from adaptwin.progress import silent

FLEETS = 6


@pytest.mark.parametrize("seed", range(FLEETS))
def test_the_estimate_is_within_one_server_of_the_best_placement_and_the_bound_below_it(seed, fleet):
    surrogate = load_surrogate("h100-64gb-llama-3.1-8b-instruct")
    workload = random_fleet(seed, fleet, duration=1800.0)
    known = WorkloadSurrogate(surrogate, workload, Server())
    capacity = Capacity(surrogate.profile, workload, Server(), surrogate=known)
    best = optimum(capacity)
    problem = Problem(capacity, 1, silent, math.inf)
    found = [assignment.shares for assignment in pack(problem)]
    estimate = estimated_optimum(problem, found, rounds=1)
    assert servers_bound(surrogate.profile, workload, Server()) <= best
    assert estimate is not None
    assert estimate <= len(found) + 1e-6
    assert abs(math.ceil(estimate) - best) <= 1


def test_without_a_surrogate_there_is_no_estimate(fleet, capacity_of):
    assert estimated_optimum(Problem(capacity_of(fleet(("a", 8, 1.0))), 1, silent, math.inf), []) is None
