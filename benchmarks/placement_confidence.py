"""The stated probability that a plan holds, against fresh hours that no part of planning has seen."""

from collections.abc import Sequence
from typing import NamedTuple

from adaptwin import Profile, make_plan, stress
from adaptwin.plan.stress_scenario import StressScenario
from measured_page import paragraph, section
from populations import Population

ASKED, RATE_UNCERTAINTY = 0.95, 0.2
HOURS, HOURS_SEED = 200, 77_000
CONFIDENT = (
    "the example",
    "high rates, ranks 8/16, 64",
    "low rates, ranks 8/16, 640",
    "Azure x4, 384",
    "one hot adapter",
)

NOTE = f"""Plans that are asked to hold with a probability of {100 * ASKED:.0f} % where the rate of every adapter may be
wrong by {100 * RATE_UNCERTAINTY:.0f} % (standard deviation): the share of simulated hours in which the whole fleet
held, as the plan states it, with its 95 % interval; and the share of {HOURS} further hours, with other arrivals and
other rates, that no part of planning has seen. *Without* is the plan that is not asked for a probability, over the same
hours."""


class Stated(NamedTuple):
    """The probability that a plan states, and how often the plan held in fresh hours."""

    population: str
    gpus_without: int
    held_without: float
    gpus: int
    reached: bool
    share: float
    low: float
    high: float
    held: float
    held_low: float
    held_high: float


def stated(profile: Profile, population: Population) -> Stated:
    """Plan a population with a stated probability, and simulate fresh hours."""
    without = make_plan(profile, population.workload)
    plan = make_plan(profile, population.workload, confidence=ASKED, rate_uncertainty=RATE_UNCERTAINTY)
    assert plan.confidence is not None
    scenario = StressScenario(traffic="fresh arrivals", rate_error=RATE_UNCERTAINTY)
    before, after = (
        stress(each, runs=HOURS, seed=HOURS_SEED, scenarios=[scenario]).results[0].fleet for each in (without, plan)
    )
    said = plan.confidence.fleet
    return Stated(
        population.name,
        without.gpus,
        before.share,
        plan.gpus,
        plan.confidence.reached,
        *(said.share, said.low, said.high),
        *(after.share, after.low, after.high),
    )


def confidence_table(rows: Sequence[Stated]) -> str:
    """Return the section about stated probabilities."""
    header = ["population", "GPUs without", "held", "GPUs", "stated", "interval", f"held in {HOURS} hours", "interval"]
    body = [
        [
            row.population,
            str(row.gpus_without),
            f"{100 * row.held_without:.1f} %",
            str(row.gpus),
            f"{100 * row.share:.1f} %{'' if row.reached else ' (not reached)'}",
            f"{100 * row.low:.1f} to {100 * row.high:.1f} %",
            f"{100 * row.held:.1f} %",
            f"{100 * row.held_low:.1f} to {100 * row.held_high:.1f} %",
        ]
        for row in rows
    ]
    inside = sum(row.low <= row.held <= row.high for row in rows)
    found = f"On {inside} of {len(rows)} populations, the share of the fresh hours is within the stated interval."
    return section("A stated probability", header, body, f"{paragraph(NOTE)}\n\n{paragraph(found)}")
