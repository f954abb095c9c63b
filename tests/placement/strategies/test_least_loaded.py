"""least_loaded: the longest-processing-time rule, on loads small enough to check by hand."""

from adaptwin import Server, make_plan
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.strategies.least_loaded import each_to_least


def levels(loads, servers):
    bins = each_to_least([AdapterPart(str(load), 1.0) for load in loads], lambda item: float(item.name), servers)
    return [[float(item.name) for item in contents] for contents in bins]


def test_each_goes_to_the_least_loaded():
    assert levels([3, 3, 2, 2, 2], 2) == [[3, 2, 2], [3, 2]]  # 7 and 5, although 6 and 6 is possible
    assert levels([5, 3, 3, 1], 2) == [[5, 1], [3, 3]]
    assert levels([3, 2, 1], 3) == [[3], [2], [1]]


def test_idle_adapters_go_to_the_server_with_the_fewest():
    assert levels([0, 0, 0, 0, 0], 2) == [[0, 0, 0], [0, 0]]


def test_hot_adapters_are_kept_apart_where_round_robin_puts_them_together(h100, fleet):
    """Every second adapter is hot, so round-robin on two servers puts all hot ones on one server."""
    workload = fleet(*[(f"a{i}", 8, 0.5 if i % 2 else 10.0) for i in range(8)])
    usual = Server(max_num_seqs=256)
    assert make_plan(h100, workload, strategy="least_loaded", server=usual).gpus == 2
    assert make_plan(h100, workload, strategy="round_robin", server=usual).gpus == 3
