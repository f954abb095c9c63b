"""Confidence: simulate a plan with fresh arrivals, and with rates as uncertain as stated, and count how often it holds.

Fewer runs decide where it is plain that a plan does not hold as often as asked for.
"""

import math

from adaptwin.placement.verification.stress import stress
from adaptwin.plan.confidence import Confidence
from adaptwin.plan.plan import Plan
from adaptwin.plan.stress_scenario import StressScenario
from adaptwin.progress import Progress
from adaptwin.workload.drawing.seeds import stream_seed

LEAST_RUNS = 100
FIRST_RUNS = 20  # after which a plan that holds too seldom is given up
FAILURES = 4  # that as many runs would have on average if the plan held just as often as asked for


def runs_for(asked: float) -> int:
    """Return how many runs tell whether a plan holds with this probability."""
    return max(LEAST_RUNS, math.ceil(FAILURES / (1.0 - asked)))


def with_confidence(plan: Plan, progress: Progress) -> Plan:
    """Return a verified plan with how often it holds, if its options ask for this; verified only if this suffices."""
    asked = plan.options.confidence
    if asked is None or not plan.verified:
        return plan
    found = confidence_of(plan, asked, plan.options.rate_uncertainty, progress)
    return plan.model_copy(update={"confidence": found, "verified": found.reached})


def confidence_of(plan: Plan, asked: float, rate_uncertainty: float, progress: Progress) -> Confidence:
    """Return how often a plan holds with fresh arrivals and with rates that are wrong at random.

    The rates of all adapters are wrong independently of each other, and anew in each run.
    """
    scenario = StressScenario(traffic="fresh arrivals", rate_error=rate_uncertainty)
    first, whole = FIRST_RUNS, runs_for(asked)
    for part in ("first", "whole"):
        seed = stream_seed(plan.seed, "confidence", part) >> 1
        runs = first if part == "first" else whole
        found = stress(plan, runs=runs, seed=seed, scenarios=[scenario], progress=progress)
        fleet = found.results[0].fleet
        if fleet.high < asked:
            break
    return Confidence(asked=asked, rate_uncertainty=rate_uncertainty, seed=seed, fleet=fleet)
