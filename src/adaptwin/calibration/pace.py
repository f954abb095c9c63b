"""Pace: simulate a measured run at the time per output token that was measured.

The costs of steps cannot be read off a run's figures: the slower the steps, the more requests run at once, which makes
steps slower still. The run is therefore simulated with all step costs multiplied by one factor, and the factor is
sought at which the mean time per output token is the measured one. If the run was starved, its throughput depends on
the pace as well; then the factor is sought at which time per token and throughput are off by the same ratio. The
simulated steps then have the contents of the real ones, as closely as the twin can tell, and the fit becomes linear.
"""

import math
from typing import NamedTuple

from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.calibration.step_terms import STEP_TERMS
from adaptwin.profile.profile import Profile
from adaptwin.twin.played import play_scenario
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.step_totals import StepTotals

PACE_TOLERANCE = 0.004  # in the logarithm of the time per output token
PACE_TRIES = 7
LARGEST_CORRECTION = 0.5  # of the logarithm of the factor, from one try to the next


class Pace(NamedTuple):
    """A measured run, simulated at its measured pace."""

    factor: float  # by which all step costs are multiplied
    miss: float  # logarithm of the twin's pace over the measured one
    step_totals: StepTotals
    ttft_p50: float  # seconds, without the latency that API server and client add
    label_sets: int
    labels: int


def at_measured_pace(profile: Profile, run: MeasuredRun) -> Pace | None:
    """Simulate a run at its measured time per output token, or else ITL; None if neither was measured.

    If the twin finishes no request, or only requests with answers of one token, the miss is infinite.
    """
    measured = run.time_per_token
    if not measured:
        return None
    log_factor, before, best = 0.0, None, None
    for _ in range(PACE_TRIES):
        pace = _played_at(profile, run, math.exp(log_factor), measured)
        best = pace if best is None or abs(pace.miss) < abs(best.miss) else best
        if abs(pace.miss) < PACE_TOLERANCE:
            break
        slope = 1.5
        if before is not None and abs(log_factor - before[0]) > 1e-6:
            slope = min(12.0, max(0.7, (pace.miss - before[1]) / (log_factor - before[0])))
        before = log_factor, pace.miss
        log_factor -= max(-LARGEST_CORRECTION, min(LARGEST_CORRECTION, pace.miss / slope))
    return best


def _played_at(profile: Profile, run: MeasuredRun, factor: float, measured: float) -> Pace:
    cost = profile.step_cost
    scaled = cost.model_copy(update={name: factor * getattr(cost, name) for name in STEP_TERMS})
    paced = profile.model_copy(update={"step_cost": scaled, "request_latency": 0.0})
    scenario = make_scenario(
        paced,
        run.server,
        run.workload,
        seed=run.workload.seed,
        max_in_flight=run.max_in_flight,
        scrape_every=run.scrape_every,
        step_totals=True,
    )
    played = play_scenario(paced, run.workload, scenario)
    per_token, finished_tokens = played.tpot.mean, played.totals.finished_tokens
    miss = math.log(per_token / measured) if per_token > 0 else math.inf  # most likely too slow to finish a request
    if run.starved and run.throughput > 0 and finished_tokens > 0:
        miss = (miss - math.log(finished_tokens / run.workload.duration / run.throughput)) / 2
    return Pace(
        factor=factor,
        miss=miss,
        step_totals=played.outcome.step_totals,
        ttft_p50=played.ttft.p50,
        label_sets=played.outcome.label_sets,
        labels=played.outcome.labels,
    )
