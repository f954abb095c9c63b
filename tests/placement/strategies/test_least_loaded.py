"""least_loaded: the longest-processing-time rule on loads small enough to follow."""

from adaptwin import make_plan
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.strategies.least_loaded import longest_first


def levels(loads, servers):
    bins = longest_first([AdapterPart(str(load), 1.0) for load in loads], lambda item: float(item.name), servers)
    return [[float(item.name) for item in contents] for contents in bins]


def test_each_goes_to_the_least_loaded():
    assert levels([3, 3, 2, 2, 2], 2) == [[3, 2, 2], [3, 2]]  # 7 and 5, where 6 and 6 were possible
    assert levels([5, 3, 3, 1], 2) == [[5, 1], [3, 3]]
    assert levels([3, 2, 1], 3) == [[3], [2], [1]]


def test_idle_ones_go_where_there_are_few():
    assert levels([0, 0, 0, 0, 0], 2) == [[0, 0, 0], [0, 0]]


def test_hot_ones_do_not_meet_as_they_do_by_turns(h100, fleet):
    """Every second adapter is hot: dealt in turn to two servers, one gets all hot ones."""
    workload = fleet(*[(f"a{i}", 8, 0.5 if i % 2 else 8.0) for i in range(8)])
    assert make_plan(h100, workload, strategy="least_loaded").gpus == 2
    assert make_plan(h100, workload, strategy="round_robin").gpus == 3
