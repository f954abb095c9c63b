"""TrafficSeen: the traffic of a running server beside that of a plan or fleet."""

from math import sqrt

from pydantic import Field

from adaptwin.live.watched_server import WatchedServer
from adaptwin.spec import Spec
from adaptwin.workload.demand.mean_lengths import mean_lengths
from adaptwin.workload.workload import Workload

CLEAR_FACTOR = 1.2  # between two rates, or more
CLEAR_DEVIATIONS = 3.0  # standard deviations of a Poisson process, or more
CLEAR_LENGTHS = 1.3  # factor between mean lengths
FEWEST_LENGTHS = 30  # finished requests


class TrafficSeen(Spec):
    """Requests that a server gets, and those that were expected; None where the metrics do not tell."""

    requests: float | None = Field(description="requests per second that arrived")
    expected_requests: float = Field(description="requests per second of the plan or fleet")
    prompt_length: float | None = Field(default=None, description="mean prompt tokens of finished requests")
    expected_prompt_length: float = Field(description="mean prompt tokens of the plan or fleet")
    answer_length: float | None = Field(default=None, description="mean answer tokens of finished requests")
    expected_answer_length: float = Field(description="mean answer tokens of the plan or fleet")
    factor: float = Field(
        default=1.0, description="factor on the expected rates with which the twin simulates; 1 if they are near"
    )
    differences: tuple[str, ...] = Field(default=(), description="what clearly differs, one sentence each")


def traffic_seen(seen: WatchedServer, workload: Workload) -> TrafficSeen:
    """Return the traffic of a server beside that of the workload that it should get.

    Rates differ clearly where the requests of so short a time would hardly differ as much by chance.
    """
    requests = seen.arrived / seen.seconds if seen.arrived is not None and seen.seconds > 0 else None
    expected, means = workload.rate, mean_lengths(workload)
    factor = _clear_factor(requests, expected, seen.seconds)
    lengths = [
        ("prompts", _mean_length(seen, "prompt_length"), means.prompt),
        ("answers", _mean_length(seen, "answer_length"), means.answer),
    ]
    differences = [f"{requests:,.2f} requests/s arrive, and {expected:,.2f} were expected"] if factor != 1.0 else []
    differences += [
        f"{what} have {length:,.0f} tokens on average, and {mean:,.0f} were expected; the twin simulates the latter"
        for what, length, mean in lengths
        if length and not mean / CLEAR_LENGTHS <= length <= mean * CLEAR_LENGTHS
    ]
    return TrafficSeen(
        requests=requests,
        expected_requests=expected,
        prompt_length=lengths[0][1],
        expected_prompt_length=means.prompt,
        answer_length=lengths[1][1],
        expected_answer_length=means.answer,
        factor=factor,
        differences=tuple(differences),
    )


def _clear_factor(requests: float | None, expected: float, seconds: float) -> float:
    if not requests or expected <= 0:
        return 1.0
    factor, due = requests / expected, expected * seconds
    is_clear = abs(requests * seconds - due) > CLEAR_DEVIATIONS * sqrt(max(1.0, due))
    return factor if is_clear and not 1.0 / CLEAR_FACTOR < factor < CLEAR_FACTOR else 1.0


def _mean_length(seen: WatchedServer, histogram: str) -> float | None:
    """Return the mean length of the requests that finished; None if these are too few."""
    counts = [metrics.sums.get(histogram, (0.0, 0.0))[1] for metrics in (seen.first, seen.last)]
    return seen.last.mean_since(seen.first, histogram) if counts[1] - counts[0] >= FEWEST_LENGTHS else None
