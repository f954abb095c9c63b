"""Objectives for a given number of GPUs, or with bounds on latency."""

import functools

import pytest

from adaptwin import Infeasible, Server, SpecError, make_plan, simulate, verify
from adaptwin.plan.constraints import Constraints
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture(scope="module")
def crowd():
    """Return a workload that needs two GPUs."""
    return synthesize(adapters=8, rate=40, ranks=(8, 16), popularity="zipf:0.7", duration=300.0)


@pytest.fixture(scope="module")
def planned(h100, crowd):
    """Return a function from the options of a plan for this workload to the plan."""

    @functools.cache
    def plan(objective, gpus=None, **fields):
        return make_plan(h100, crowd, objective=objective, gpus=gpus, **fields)

    return plan


def worst(plan, latency):
    return max(getattr(server.forecast, f"{latency}_p99") for server in plan.servers)


def served(plan):
    return sum(server.forecast.throughput for server in plan.servers)


def in_turn(plan, gpus):
    """Return the tokens per second that GPUs serve with round-robin placement and a slot for each adapter."""
    (profile,), names = plan.profiles, [adapter.name for adapter in plan.workload.adapters]
    settings = Server(max_loras=len(names), max_lora_rank=16)
    parts = plan.workload.parts(dict.fromkeys(names[first::gpus], 1.0) for first in range(gpus))
    return sum(simulate(profile, settings, part).throughput for part in parts)


def placed(plan):
    """Return the share of each adapter's traffic that is placed on servers."""
    shares = {}
    for server in plan.servers:
        for name, share in server.adapters.items():
            shares[name] = shares.get(name, 0.0) + share
    return shares


# min-latency


@pytest.mark.parametrize("latency", ["itl", "ttft"])
def test_with_more_gpus_the_worst_latency_does_not_rise(planned, latency):
    few, more = (planned("min-latency", gpus, latency=latency) for gpus in (2, 3))
    assert (few.gpus, more.gpus) == (2, 3)
    assert few.verified
    assert more.verified
    assert worst(more, latency) <= worst(few, latency)


def test_latency_is_no_higher_than_that_of_as_many_gpus_planned_for_anything_else(planned):
    fewest = planned("min-gpus")
    assert worst(planned("min-latency", fewest.gpus, latency="itl"), "itl") <= worst(fewest, "itl")


def test_too_few_gpus_are_refused(planned):
    with pytest.raises(
        Infeasible, match=r"^gpus: 1 is too few to serve all adapters; the objective min-gpus finds how many do"
    ):
        planned("min-latency", 1)


# max-throughput


@pytest.mark.parametrize("gpus", [1, 2])
def test_no_less_is_served_than_by_round_robin(planned, gpus):
    plan = planned("max-throughput", gpus)
    assert plan.gpus == gpus
    assert placed(plan) == pytest.approx({adapter.name: 1.0 for adapter in plan.workload.adapters})
    assert served(plan) >= in_turn(plan, gpus)


def test_on_too_few_gpus_the_plan_is_not_verified_and_serves_less(planned):
    few, enough = planned("max-throughput", 1), planned("max-throughput", 2)
    assert not few.verified
    assert enough.verified
    assert served(few) < served(enough)


# slo


def test_bounds_are_kept_under_another_seed(planned):
    loose = planned("min-gpus")
    bound = 0.9 * worst(loose, "itl")
    strict = planned("slo", itl_p99=bound)
    assert strict.verified
    assert strict.gpus >= loose.gpus
    check = verify(strict, seed=23)
    assert check.ok
    assert all(run.itl.p99 <= bound for run in check.runs)


def test_a_bound_that_no_gpu_meets_is_infeasible(planned):
    with pytest.raises(Infeasible, match="cannot be served"):
        planned("slo", itl_p99=0.001)


# Wrong options


@pytest.mark.parametrize("objective", ["min-latency", "max-throughput"])
def test_a_missing_number_of_gpus_is_an_error(planned, objective):
    with pytest.raises(SpecError, match=f"^gpus: missing: {objective} needs the number of GPUs"):
        planned(objective)


@pytest.mark.parametrize("objective", ["min-gpus", "slo", "min-cost"])
def test_a_number_of_gpus_that_is_to_be_found_is_refused(planned, objective):
    with pytest.raises(SpecError, match=f"^gpus: 2: {objective} finds the number of GPUs"):
        planned(objective, 2)


def test_zero_gpus_are_refused(planned):
    with pytest.raises(SpecError, match=r"^gpus: 0 must be at least 1"):
        planned("max-throughput", 0)


def test_missing_bounds_are_an_error(planned):
    with pytest.raises(SpecError, match=r"^objective: slo needs ttft_p99 or itl_p99 "):
        planned("slo")


# Constraints


@pytest.mark.parametrize(
    ("objective", "fields"), [("min-latency", {"gpus": 3}), ("max-throughput", {"gpus": 3}), ("slo", {"itl_p99": 0.1})]
)
def test_constraints_are_respected(h100, crowd, objective, fields):
    constraints = Constraints(pinned={"a000": "mine"}, apart=[("a000", "a001")], together=[("a002", "a003")])
    plan = make_plan(h100, crowd, objective=objective, constraints=constraints, **fields)
    assert constraints.violations({server.name: server.adapters for server in plan.servers}) == []
    assert placed(plan).keys() == {adapter.name for adapter in crowd.adapters}


@pytest.mark.parametrize("objective", ["min-latency", "max-throughput"])
def test_a_pinned_adapter_stays_whole_where_more_gpus_are_given_than_adapters(h100, fleet, objective):
    constraints = Constraints(pinned={"a": "gpu-1"})
    plan = make_plan(h100, fleet(("a", 8, 1.0)), objective=objective, gpus=3, constraints=constraints)
    assert [(server.name, dict(server.adapters)) for server in plan.servers] == [("gpu-1", {"a": 1.0})]
