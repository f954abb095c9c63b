"""loraserve_third: a slot for every three adapters, rounded; the placement is that of loraserve."""

import math

import pytest

from adaptwin import make_plan
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.loraserve_third import loraserve_third, third
from adaptwin.progress import silent


@pytest.mark.parametrize(("adapters", "slots"), [(0, 0), (1, 1), (2, 1), (4, 1), (5, 2), (7, 2), (8, 3), (60, 20)])
def test_a_third_is_rounded_and_at_least_one(adapters, slots):
    assert third(adapters) == slots


@pytest.fixture
def placed(capacity_of, fleet):
    """Return a function from rows of adapters to the servers on which they are placed, before any verification."""

    def place(*rows):
        return loraserve_third(Problem(capacity_of(fleet(*rows)), 1, silent, math.inf))

    return place


def test_every_server_has_a_slot_for_three_adapters(placed):
    found = placed(
        *[(f"high-{i}", 64, 3.0) for i in range(6)], *[(f"low-{i}", 8, 3.0) for i in range(6)], ("b", 0, 0.1)
    )
    loras = [sum(name != "b" for name in each.shares) for each in found]
    assert [each.server.max_loras for each in found] == [third(count) for count in loras]
    assert sum(loras) == 12


def test_three_times_as_many_adapters_start_as_with_a_slot_for_each(placed):
    """The slots of 140 adapters do not fit on a GPU, but 47 do."""
    (only,) = placed(*[(f"a{i:03}", 64, 0.01) for i in range(140)])
    assert only.server.max_loras == 47


def test_adapters_that_wait_for_a_slot_in_vain_are_found_by_verification(h100, fleet, placed):
    """One server bears two adapters that always have a request, but not in a single slot."""
    rows = ("a", 8, 8.0), ("b", 8, 8.0)
    assert [each.server.max_loras for each in placed(*rows)] == [1]
    plan = make_plan(h100, fleet(*rows), strategy="loraserve_third")
    assert plan.verified
    assert all(server.server.max_loras == len(server.adapters) for server in plan.servers)
