"""Conformance: what holds for the plans of every objective."""

import pytest

from adaptwin import make_plan
from adaptwin.placement.objectives.registry import OBJECTIVES, with_given_gpus
from adaptwin.plan.plan import unplaced

NEEDED = {  # keywords that an objective requires
    "min-gpus": {},
    "slo": {"itl_p99": 1.0},
    "min-cost": {"prices": {"h100-64gb-llama-3.1-8b-instruct": 2.5}},
    "min-latency": {"gpus": 2},
    "max-throughput": {"gpus": 2},
}

every_objective = pytest.mark.parametrize("objective", OBJECTIVES)


@pytest.fixture(scope="module")
def workload(fleet):
    return fleet(*((f"a{i}", (8, 16)[i % 2], 1.0) for i in range(8)))


def test_every_objective_is_tested_here():
    assert list(NEEDED) == list(OBJECTIVES)


@every_objective
def test_every_adapter_is_placed_and_served(h100, workload, objective):
    plan = make_plan(h100, workload, objective=objective, **NEEDED[objective])
    assert unplaced(workload, plan.servers) == {}
    assert plan.verified
    assert len(plan.verified_seeds) == 5


@every_objective
def test_the_plan_has_the_goal_and_the_promises_of_its_objective(h100, workload, objective):
    plan = make_plan(h100, workload, objective=objective, **NEEDED[objective])
    assert (plan.options.objective, plan.goal, plan.promises) == (
        objective,
        OBJECTIVES[objective].goal,
        OBJECTIVES[objective].promises,
    )


@every_objective
def test_the_same_seed_makes_the_same_plan(h100, workload, objective):
    one, other = (make_plan(h100, workload, objective=objective, seed=3, **NEEDED[objective]) for _ in range(2))
    untimed = {"planning_seconds": 0.0, "search_seconds": 0.0}
    assert one.model_copy(update=untimed) == other.model_copy(update=untimed)


@pytest.mark.parametrize("objective", with_given_gpus())
def test_a_given_number_of_gpus_is_used(h100, workload, objective):
    assert make_plan(h100, workload, objective=objective, gpus=2).gpus == 2
