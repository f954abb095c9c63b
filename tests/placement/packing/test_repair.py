"""repair: load is moved off servers that failed; other servers stay as they are."""

import pytest

from adaptwin import Plan, verify
from adaptwin.placement.capacity.slots import best_slots
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.packing.repair import repair
from adaptwin.plan.constraints import Constraints
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.progress import silent


@pytest.fixture
def placed(fleet, capacity_of):
    """Return a function from rates by adapter, for each server, to problem and assignments."""

    def make(*servers, factor=1.05, **constraints):
        rows = [(name, 8, rate) for server in servers for name, rate in server.items()]
        capacity = capacity_of(fleet(*rows), factor)
        problem = Problem(capacity, 1, silent, float("inf"), Constraints(**constraints))
        return problem, [Assignment(capacity.server(s, 1), dict.fromkeys(s, 1.0)) for s in servers]

    return make


def hot(*names, rate=4.0):
    return dict.fromkeys(names, rate)


def served(problem, assignments):
    return [problem.capacity.ask_on(a.shares, a.server).ok for a in assignments]


def placed_names(assignments):
    return sorted(name for a in assignments for name in a.shares)


def test_load_moves_to_servers_with_spare_capacity(placed):
    problem, before = placed(hot(*"abcdefgh"), hot("i"), hot("j"))
    after = repair(problem, before, [0])
    assert placed_names(after) == list("abcdefghij")
    assert len(after) == 3
    assert served(problem, after) == [True] * 3
    assert len(after[0].shares) < 8


def test_a_failing_server_loses_an_adapter_even_if_the_search_finds_it_served(placed):
    """The server failed with other arrivals than those of the search."""
    problem, before = placed(hot(*"abc", rate=0.5), hot(*"de", rate=0.5))
    after = repair(problem, before, [0])
    assert len(after[0].shares) < 3
    assert placed_names(after) == list("abcde")


def test_servers_that_nothing_was_moved_to_keep_their_settings(placed):
    """Servers that gained an adapter get the number of slots that is best for them now."""
    problem, before = placed(hot(*"abc", rate=0.5), hot(*"de", rate=0.5), hot(*"fghi", rate=1.0))
    after = repair(problem, before, [0])
    changed = [i for i, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert changed == [0, 1]
    assert after[2] is before[2]
    for index in changed:
        assert after[index].server.max_loras == best_slots(problem.capacity, after[index].shares).max_loras


def test_without_spare_capacity_a_server_is_opened(placed):
    problem, before = placed(hot(*"abcdefghijkl"))
    after = repair(problem, before, [0])
    assert len(after) > 1
    assert served(problem, after) == [True] * len(after)
    assert placed_names(after) == list("abcdefghijkl")


def test_two_parts_of_an_adapter_on_one_server_become_one_share(placed):
    problem, before = placed(hot(*"abcdefgh"), hot("i"))
    split = [before[0]._replace(shares={**before[0].shares, "a": 0.5}), before[1]._replace(shares={"i": 1.0, "a": 0.5})]
    after = repair(problem, split, [0])
    assert sum(a.shares.get("a", 0.0) for a in after) == pytest.approx(1.0)
    assert all(len(a.shares) == len(set(a.shares)) for a in after)


def test_constraints_are_respected(placed):
    group = ("a", "b", "c")
    problem, before = placed(
        hot(*"abcdefgh"), hot("i"), hot("j"), together=[group], apart=[(name, "i") for name in "abcdefgh"]
    )
    after = repair(problem, before, [0])
    assert served(problem, after) == [True] * len(after)
    assert problem.constraints.violations({str(i): a.shares for i, a in enumerate(after)}) == []


def test_repaired_servers_sustain_the_required_headroom(placed):
    problem, before = placed(hot(*"abcdefgh"), hot("i"), hot("j"), factor=1.3)
    assert served(problem, repair(problem, before, [0])) == [True] * 3


def test_an_adapter_that_no_server_serves_at_the_raised_traffic_is_halved(placed):
    problem, before = placed({"a": 60.0})
    after = repair(problem, before, [0])
    assert [dict(a.shares) for a in after] == [{"a": 0.5}, {"a": 0.5}]
    assert served(problem, after) == [True, True]


def test_a_single_adapter_that_is_served_stays_as_it_is(placed):
    """The server failed with other arrivals than those of the search, but has no other adapter to move."""
    problem, before = placed({"a": 20.0})
    assert [dict(a.shares) for a in repair(problem, before, [0])] == [{"a": 1.0}]


def test_repeated_repair_makes_a_failing_plan_hold(placed):
    problem, assignments = placed({f"a{i:02}": 1.6 for i in range(20)})
    rounds = 0
    while failing := failing_in(problem, assignments):
        assignments = repair(problem, assignments, failing)
        rounds += 1
        assert rounds < 8
    assert rounds >= 1
    assert len(assignments) == 2


def failing_in(problem, assignments):
    """Return the indices of servers that fail a verification with fresh seeds."""
    profile, workload = problem.capacity.profile, problem.capacity.workload
    servers = [PlacedServer(f"gpu-{i}", profile.name, a.server, dict(a.shares)) for i, a in enumerate(assignments)]
    plan = Plan(
        PlanOptions(strategy="by hand"), 0, lower_bound=1, servers=servers, profiles=[profile], workload=workload
    )
    return [index for index, run in enumerate(verify(plan).runs) if run.worst != "ok"]
