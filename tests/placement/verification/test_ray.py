"""Verification on a Ray cluster: the plan is the same."""

import joblib
import pytest

from adaptwin import make_plan
from adaptwin.engine import in_order, workers


def timeless(plan):
    return plan.model_copy(update={"planning_seconds": 0.0, "search_seconds": 0.0})


@pytest.mark.long
def test_a_plan_verified_on_a_cluster_is_the_same_and_the_cluster_is_left_running(cluster, h100, fleet):
    workload = fleet(*((f"a{i}", 8, 4.0) for i in range(12)), duration=120.0)
    asked = {"surrogate": None, "confidence": 0.5}
    here = make_plan(h100, workload, **asked)
    with workers("ray"):
        there = make_plan(h100, workload, **asked)
    assert timeless(there) == timeless(here)
    assert cluster.is_initialized()


def test_on_this_machine_results_come_in_order():
    with workers("local"):
        assert list(in_order([joblib.delayed(abs)(-n) for n in range(5)], 2)) == [0, 1, 2, 3, 4]
