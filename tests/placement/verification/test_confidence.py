"""Confidence: how often a plan holds in fresh windows, and plans that hold as often as asked for."""

import pytest

from adaptwin import SpecError, load_profile, make_plan, replan
from adaptwin.placement.verification.confidence import FIRST_RUNS, LEAST_RUNS, confidence_of, runs_for
from adaptwin.placement.verification.stress import stress
from adaptwin.plan.stress_scenario import StressScenario
from adaptwin.progress import silent
from adaptwin.report.plan.sentences import confidence_sentence, verified_sentence


@pytest.fixture(scope="module")
def workload(fleet):
    """Few hot adapters, whose rates matter much when they are wrong."""
    return fleet(*((f"a{i}", 8, 12.0) for i in range(6)), duration=120.0)


@pytest.fixture(scope="module")
def plan(h100, workload):
    return make_plan(h100, workload, surrogate=None)


def test_it_counts_the_runs_in_which_the_whole_fleet_held(plan):
    found = confidence_of(plan, 0.5, 0.0, silent)
    scenario = StressScenario(traffic="the same")
    again = stress(plan, runs=LEAST_RUNS, seed=found.seed, scenarios=[scenario]).results[0]
    assert found.fleet == again.fleet
    assert found.fleet.trials == LEAST_RUNS


def test_more_runs_tell_higher_probabilities_apart():
    assert runs_for(0.9) == LEAST_RUNS
    assert runs_for(0.99) == 400


def test_few_runs_suffice_where_the_plan_surely_holds_too_seldom(plan):
    found = confidence_of(plan, 0.99, 1.0, silent)
    assert not found.reached
    assert found.fleet.trials == FIRST_RUNS


@pytest.mark.long
def test_a_plan_gets_more_gpus_until_it_holds_as_often_as_asked_for(h100, workload, plan):
    wrong = {"confidence": 0.9, "rate_uncertainty": 0.5, "surrogate": None}
    assert not confidence_of(plan, 0.9, 0.5, silent).reached
    safer = make_plan(h100, workload, **wrong)
    assert safer.verified
    assert safer.confidence.reached
    assert safer.gpus > plan.gpus
    assert "was asked for" in confidence_sentence(safer)
    assert "wrong by 50 %" in confidence_sentence(safer)


def test_a_plan_that_holds_less_often_than_asked_for_is_not_verified(plan):
    found = confidence_of(plan, 0.99, 1.0, silent)
    missed = plan.model_copy(update={"confidence": found, "verified": False})
    assert verified_sentence(missed) == "Not verified: this plan holds less often than was asked for."


def test_without_asking_nothing_is_said(plan):
    assert plan.confidence is None
    assert confidence_sentence(plan) == ""


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 0.0}, "confidence"),
        ({"rate_uncertainty": 0.1}, "rate_uncertainty"),
        ({"confidence": 0.9, "rate_uncertainty": 2.0}, "rate_uncertainty"),
        ({"confidence": 0.9, "objective": "min-latency", "gpus": 2}, "confidence"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(workload, options, field):
    with pytest.raises(SpecError) as caught:
        make_plan(load_profile("h100-64gb-llama-3.1-8b-instruct"), workload, **options)
    assert caught.value.field == field


def test_a_plan_that_changes_is_simulated_anew(workload, plan, fleet):
    """What the running plan was asked for goes for the new one, and nothing that was found of it is kept."""
    asked = plan.model_copy(
        update={
            "options": plan.options.model_copy(update={"confidence": 0.5}),
            "confidence": confidence_of(plan, 0.99, 1.0, silent),
            "verified_servers": 1,
            "estimated_optimum": 1.5,
        }
    )
    more = fleet(*((adapter.name, adapter.rank, 1.02 * adapter.rate) for adapter in workload.adapters), duration=120.0)
    changed = replan(asked, more, surrogate=None)
    assert (changed.confidence.asked, changed.confidence.rate_uncertainty) == (0.5, 0.0)
    assert changed.confidence.reached
    assert (changed.verified_servers, changed.estimated_optimum) == (None, None)
