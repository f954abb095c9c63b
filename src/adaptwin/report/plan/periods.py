"""What to say of a plan for rates that change over time: which periods it was made for, and in which it holds."""

from collections.abc import Sequence

from adaptwin.plan.plan_over_time import PlanOverTime
from adaptwin.report.style.words import count, duration

NAMED_PERIODS = 6  # more periods than this are counted, not named


def period_sentences(found: PlanOverTime) -> list[str]:
    """Return what the twin says of the periods of a plan, one sentence each."""
    many = f"{count(found.periods, 'period')} of {duration(found.period)}"
    lines = [f"Planned for {found.planned_for}, which of {many} has the most tokens."]
    if found.raised:
        lines.append(
            f"Servers failed at {_named_periods(found.raised)}: their adapters are planned with their highest rates "
            f"of these periods, too ({count(found.rounds, 'plan')} made)."
        )
    if not found.checked:
        lines.append(
            "The other periods were not simulated, because the objective does not promise to serve everything."
        )
    elif found.failing:
        lines.append(
            f"All {found.periods:,} periods were simulated: the plan does not hold at {_named_periods(found.failing)}."
        )
    else:
        lines.append(f"All {found.periods:,} periods were simulated, and the plan holds in each of them.")
    return lines


def _named_periods(periods: Sequence[str]) -> str:
    more = f" and {len(periods) - NAMED_PERIODS:,} more" if len(periods) > NAMED_PERIODS else ""
    return ", ".join(periods[:NAMED_PERIODS]) + more
