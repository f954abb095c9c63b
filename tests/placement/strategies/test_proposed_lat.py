"""proposed_lat: adapters in the order of the workload, each to the GPU with the lowest sum of request rates."""

import math

import pytest

from adaptwin import make_plan
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.proposed_lat import proposed_lat
from adaptwin.progress import silent


@pytest.fixture
def placed(capacity_of, fleet):
    """Return a function from ranks and rates to the adapters of each of two servers, and their numbers of slots."""

    def place(*rows):
        workload = fleet(*[(f"a{i}", *row) for i, row in enumerate(rows)])
        found = proposed_lat(Problem(capacity_of(workload), 2, silent, math.inf))
        return [" ".join(each.shares) for each in found], [each.server.max_loras for each in found]

    return place


def test_each_goes_to_the_gpu_with_the_lowest_sum_of_rates_in_the_order_of_the_workload(placed):
    """Sums after each adapter: 1 and 0, 1 and 1, 4 and 1, 4 and 3, 4 and 3.5."""
    assert placed((8, 1.0), (8, 1.0), (8, 3.0), (8, 2.0), (8, 0.5)) == (["a0 a2", "a1 a3 a4"], [2, 3])


def test_ranks_do_not_count(placed):
    assert placed((64, 1.0), (8, 1.0), (64, 3.0), (8, 2.0), (8, 0.5)) == (["a0 a2", "a1 a3 a4"], [2, 3])


def test_the_base_model_needs_no_slot(placed):
    assert placed((0, 1.0), (8, 1.0), (8, 3.0)) == (["a0 a2", "a1"], [1, 1])


def test_its_plan_has_the_fewest_gpus_that_serve(h100, fleet):
    """Every adapter alone is served by one server, and two by none."""
    plan = make_plan(h100, fleet(*[(f"a{i}", 8, 25.0) for i in range(3)]), strategy="proposed_lat")
    assert sorted(sorted(server.adapters) for server in plan.servers) == [["a0"], ["a1"], ["a2"]]
    assert make_plan(h100, fleet(*[(f"a{i}", 8, 1.0) for i in range(6)]), strategy="proposed_lat").gpus == 1
