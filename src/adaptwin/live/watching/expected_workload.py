"""expected_workload: the workload of a plan with other rates, and with the lengths that requests were seen to have."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from adaptwin.live.traffic_seen import CLEAR_DEVIATIONS, CLEAR_LENGTHS, FEWEST_LENGTHS
from adaptwin.live.watching.recorded_traffic import RecordedTraffic
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.rates_over_time import steady_arrivals, with_steady_arrivals
from adaptwin.workload.workload import Adapter, Workload

ASSUMED_LENGTHS_CV = 1.0  # of lengths of which only the mean is known
SHORTEST_HOUR = 600.0  # seconds of the workload at least, so that verdicts mean something


class ExpectedWorkload(NamedTuple):
    """A workload, and the adapters whose lengths are not those of the plan."""

    workload: Workload
    other_lengths: tuple[str, ...]


def expected_workload(
    planned: Workload, rates: Mapping[str, float], seconds: float, seen: RecordedTraffic | None = None
) -> ExpectedWorkload:
    """Return the workload of a plan with these rates for some time.

    Arrivals that belong to a window of their own, such as timestamps, become steady ones (`steady_arrivals`), without
    the prefixes that were recorded with them. An adapter whose requests were seen to have clearly other mean lengths
    than planned gets lognormal lengths of these means.

    Args:
        planned: Workload of the plan.
        rates: Requests per second, by adapter; those of others stay as planned.
        seconds: Length of the time.
        seen: Traffic that tells lengths, if any was recorded.
    """
    adapters: list[Adapter] = []
    others: list[str] = []
    for adapter in planned.adapters:
        update: dict[str, object] = {"rate": rates.get(adapter.name, adapter.rate)}
        if seen is not None and (lengths := _other_lengths(planned.lengths_of(adapter), adapter.name, seen)):
            update["lengths"] = lengths
            others.append(adapter.name)
        adapters.append(with_steady_arrivals(adapter).model_copy(update=update))
    changed = {
        "adapters": tuple(adapters),
        "arrivals": steady_arrivals(planned.arrivals),
        "duration": max(SHORTEST_HOUR, seconds),
    }
    return ExpectedWorkload(planned.model_copy(update=changed), tuple(others))


def _other_lengths(planned: Lengths, name: str, seen: RecordedTraffic) -> Lengths | None:
    """Return lengths of the means that were seen, if they clearly differ from those of the plan."""
    total = seen.total_of(name)
    if total.requests < FEWEST_LENGTHS or total.prompt_tokens <= 0 or total.answer_tokens <= 0:
        return None
    prompt, answer = total.prompt_tokens / total.requests, total.answer_tokens / total.requests
    means = ((prompt, planned.mean_input), (answer, planned.mean_output))
    by_chance = CLEAR_DEVIATIONS * ASSUMED_LENGTHS_CV / math.sqrt(total.requests)
    clear = max(CLEAR_LENGTHS, 1.0 + by_chance)
    if all(mean / clear <= length <= mean * clear for length, mean in means):
        return None
    return Lengths.lognormal(
        input_mean=max(1.0, prompt),
        input_cv=ASSUMED_LENGTHS_CV,
        output_mean=max(1.0, answer),
        output_cv=ASSUMED_LENGTHS_CV,
    )
