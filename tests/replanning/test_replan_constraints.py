"""replan: keeps the constraints of the running plan."""

import pytest

from adaptwin import Adapter, make_plan, replan
from adaptwin.plan.constraints import Constraints
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture(scope="module")
def workload():
    return synthesize(adapters=60, rate=60, ranks=(8, 16, 32), popularity="zipf:0.9", duration=300.0)


def names(workload, *positions):
    return tuple(workload.adapters[i].name for i in positions)


@pytest.fixture(scope="module")
def running(h100, workload):
    """Return a plan with three adapters apart, four together, and two pinned to different servers."""
    constraints = Constraints(
        pinned=dict(zip(names(workload, 30, 31), ("east", "west"), strict=True)),
        apart=(names(workload, 5, 6, 7),),
        together=(names(workload, 10, 11, 12, 13),),
    )
    return make_plan(h100, workload, constraints=constraints)


def violations(plan):
    return plan.options.constraints.violations({server.name: server.adapters for server in plan.servers})


@pytest.mark.parametrize("factor", [0.3, 0.8, 1.4, 2.5])
def test_constraints_hold_however_the_traffic_changes(running, workload, factor):
    found = replan(running, workload.scaled(factor))
    assert violations(found) == []
    assert found.verified
    assert {"east", "west"} <= {server.name for server in found.servers}


def test_a_group_that_outgrows_its_server_moves_whole(running, workload):
    grown = set(names(workload, 10, 11, 12, 13))
    hotter = tuple(a.scaled(4.0) if a.name in grown else a for a in workload.adapters)
    found = replan(running, workload.model_copy(update={"adapters": hotter}))
    assert violations(found) == []
    assert found.verified


def test_adapters_that_left_are_dropped_from_the_constraints(running, workload):
    left = workload.model_copy(update={"adapters": workload.adapters[12:]})
    found = replan(running, left)
    assert found.options.constraints.together == (names(workload, 12, 13),)
    assert found.options.constraints.apart == ()
    assert violations(found) == []


def test_new_adapters_have_no_constraints(running, workload):
    more = workload.model_copy(update={"adapters": (*workload.adapters, Adapter("new", 8, 0.1))})
    found = replan(running, more)
    assert (violations(found), found.migration.added, found.migration.moves) == ([], 1, 0)
