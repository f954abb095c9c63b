"""max_base: servers filled up to a peak rate, worked out by hand, without any run of the twin."""

import time

import pytest

from adaptwin import Lengths, make_plan
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.lower_bound.lower_bound import lower_bound
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.packing.slot_rule import most_adapters_by_rank
from adaptwin.placement.strategies.max_base import filled_to, max_base
from adaptwin.progress import silent
from adaptwin.twin.server import Server

LENGTHS = Lengths.fixed(100, 50)  # one request/s is 150 tokens/s


@pytest.fixture
def filled(capacity_of, fleet):
    """Return a function from a peak and the adapters' rates to the adapters of each server."""

    def fill(peak, *rates, factor=1.0, rank=8):
        capacity = capacity_of(fleet(*[(f"a{i}", rank, r) for i, r in enumerate(rates)], lengths=LENGTHS), factor)
        items = [AdapterPart(name, 1.0) for name in capacity.names]
        return [" ".join(item.name for item in contents) for contents in filled_to(peak, capacity, items)]

    return fill


def test_a_server_is_closed_where_the_peak_would_be_passed(filled):
    assert filled(450.0, 1.0, 1.0, 1.0, 1.0, 1.0) == ["a0 a1 a2", "a3 a4"]
    assert filled(449.0, 1.0, 1.0, 1.0, 1.0, 1.0) == ["a0 a1", "a2 a3", "a4"]


def test_a_closed_server_gets_nothing_more(filled):
    """The third adapter would fit on the first server, but the order of the workload is kept."""
    assert filled(450.0, 2.0, 2.0, 1.0, 2.0) == ["a0", "a1 a2", "a3"]


def test_an_adapter_above_the_peak_is_alone(filled):
    assert filled(450.0, 1.0, 4.0, 1.0) == ["a0", "a1", "a2"]


def test_headroom_counts(filled):
    assert filled(450.0, 1.0, 1.0, 1.0, factor=1.1) == ["a0 a1", "a2"]


def test_a_server_is_closed_where_a_slot_more_would_not_start(filled, capacity_of, fleet):
    idle = fleet(*[(f"a{i}", 256, 0.0) for i in range(100)])
    most = most_adapters_by_rank(capacity_of(idle), [adapter.name for adapter in idle.adapters])[256]
    assert 10 < most < 50
    assert [len(contents.split()) for contents in filled(450.0, *[0.0] * 100, rank=256)][:2] == [most, most]


def test_most_slots_are_those_with_which_vllm_starts(capacity_of, fleet):
    capacity = capacity_of(fleet(*[(f"a{i}", 64, 0.1) for i in range(400)], ("base", 0, 0.1)))
    most = most_adapters_by_rank(capacity, capacity.names)
    assert capacity.starts({"a0": 1.0}, most[64])
    assert not capacity.starts({"a0": 1.0}, most[64] + 1)
    assert most[0] == 0
    few = capacity_of(fleet(("a", 8, 0.1), ("b", 8, 0.1)))
    assert most_adapters_by_rank(few, few.names) == {0: 0, 8: 2}


def test_its_placement_is_repaired_by_verification(h100, capacity_of, fleet):
    """The peak of the base model does not include the cost of adapters."""
    workload = fleet(*[(f"a{i:02}", 64, 0.6) for i in range(50)])
    capacity = capacity_of(workload)
    bound = lower_bound([h100], workload, Server())
    assignments = max_base(Problem(capacity, bound, silent, time.perf_counter() + 60))
    assert capacity.twin_runs == 0
    assert [assignment.server.max_loras for assignment in assignments] == [len(a.shares) for a in assignments]
    plan = make_plan(h100, workload, strategy="max_base")
    assert plan.verified
    assert plan.gpus > len(assignments)
