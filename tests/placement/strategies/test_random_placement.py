"""random: the same placement for the same seed, on enough servers wherever the search starts."""

import time

import pytest

from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.random_placement import random_placement
from adaptwin.progress import silent


@pytest.fixture
def placed(capacity_of):
    """Return a function from a workload, and the number of servers to start with, to the adapters of each server."""

    def place(workload, lower_bound=3):
        problem = Problem(capacity_of(workload), lower_bound, silent, time.perf_counter() + 60)
        return [set(assignment.shares) for assignment in random_placement(problem)]

    return place


def calm(fleet, count, seed=0):
    return fleet(*[(f"a{i}", 8, 0.1) for i in range(count)], seed=seed)


def test_another_seed_gives_another_placement(fleet, placed):
    assert placed(calm(fleet, 12)) == placed(calm(fleet, 12))
    assert placed(calm(fleet, 12)) != placed(calm(fleet, 12, seed=1))


def test_one_adapter_more_leaves_the_others_where_they_are(fleet, placed):
    before, after = placed(calm(fleet, 11)), placed(calm(fleet, 12))
    assert [server - {"a11"} for server in after] == before


def test_servers_are_drawn_uniformly(fleet, placed):
    sizes = [len(server) for server in placed(calm(fleet, 300))]
    assert len(sizes) == 3
    assert all(70 <= size <= 130 for size in sizes)  # mean 100, standard deviation 8


def test_adapters_that_each_need_a_server_get_one(fleet, placed):
    """Random placement alone would put two of four adapters on one of four servers in nine of ten cases."""
    hot = fleet(*[(f"a{i}", 8, 20.0) for i in range(4)])
    assert sorted(map(sorted, placed(hot, lower_bound=1))) == [["a0"], ["a1"], ["a2"], ["a3"]]
