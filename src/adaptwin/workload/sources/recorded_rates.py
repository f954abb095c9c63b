"""Rates over time of what was recorded: of the requests of a log, or of the arrivals of a fleet's own window."""

import itertools
import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.rates_over_time import DAY, HOUR, RatesOverTime
from adaptwin.workload.sources.rates_over_time_csv import MOST_PERIODS, SHORTEST_PERIOD
from adaptwin.workload.sources.recording import Recording
from adaptwin.workload.workload import Adapter, ArrivalSource, Workload

LEAST_COVERED = 0.5  # share of a first or last period that a recording must cover, for its rate to count
_ROUNDING_SHARE = 1e-9  # of a period


def rates_of_workload(workload: Workload, period: float = HOUR) -> RatesOverTime:
    """Return the rates of a workload's adapters in the periods of its window.

    They change with files of rates and with timestamps; timestamps of the workload are shared in proportion to the
    adapters' rates. The window counts as beginning at midnight. What is left of it after the last whole period does not
    count.

    Raises:
        SpecError: The window has fewer than two periods, or too many, or the period is too short.
    """
    periods = math.floor(workload.duration / period + _ROUNDING_SHARE) if period > 0 else 0
    _require_periods(period, periods, workload.duration)
    edges = [place * period for place in range(periods + 1)]
    known: dict[str, NDArray[np.float64]] = {}  # by arrival process
    sharing = [adapter.rate for adapter in workload.adapters if adapter.arrivals is None]
    total = sum(sharing)

    def factors(arrivals: ArrivalSource) -> NDArray[np.float64]:
        if not isinstance(arrivals, str):
            return np.diff([bisect_left(arrivals, edge) for edge in edges]) / period
        if arrivals not in known:
            process = parse_arrivals(arrivals)
            seconds = [process.seconds_at_factor_one(*pair) for pair in itertools.pairwise(edges)]
            known[arrivals] = np.array(seconds) / period
        return known[arrivals]

    usual = factors(workload.arrivals)

    def rates(adapter: Adapter) -> NDArray[np.float64]:
        if isinstance(adapter.arrivals, tuple):
            return factors(adapter.arrivals)
        if adapter.arrivals is not None:
            return adapter.rate * factors(adapter.arrivals)
        if isinstance(workload.arrivals, str):
            return adapter.rate * usual
        return usual * (adapter.rate / total if total > 0 else 1.0 / len(sharing))

    names = tuple(adapter.name for adapter in workload.adapters)
    return RatesOverTime(names, np.array([rates(adapter) for adapter in workload.adapters]), period)


def rates_of_recording(
    whole: Recording,
    adapters: Sequence[Adapter],
    *,
    period: float = HOUR,
    began: float | None = None,
    rate_scale: float = 1.0,
) -> RatesOverTime:
    """Return the rates of adapters in every period of a recording.

    Where requests name no adapter, the traffic of each period is shared in proportion to the adapters' rates. Periods
    begin at whole multiples of their length after midnight UTC, such as full hours, if it is known when the recording
    began; else with its first request. The first and the last period, which a recording may cover in part, have the
    rate of that part; they are left out if it is less than half of the period.

    Args:
        whole: The recording.
        adapters: The adapters that its requests name by index, or that share the traffic.
        period: Seconds of a period.
        began: When the recording began, in seconds since 1970; None if it is not known.
        rate_scale: Factor on the number of requests.

    Raises:
        SpecError: The recording has fewer than two periods, or too many, or the period is too short.
    """
    skipped = 0.0 if began is None or period <= 0 else began % period
    count = math.ceil((skipped + whole.duration) / period - _ROUNDING_SHARE) if period > 0 else 0
    _require_periods(period, count, whole.duration)
    edges = np.arange(count + 1) * period - skipped
    covered = np.diff(np.clip(edges, 0.0, whole.duration))
    kept = np.flatnonzero(covered >= LEAST_COVERED * period)
    _require_periods(period, len(kept), whole.duration)
    at = np.minimum(((whole.time + skipped) / period).astype(np.int64), count - 1)
    if whole.adapter is None:
        weights = np.array([adapter.rate for adapter in adapters], np.float64)
        counts = np.outer(weights / weights.sum(), np.bincount(at, minlength=count))
    else:
        counts = np.zeros((len(adapters), count))
        np.add.at(counts, (whole.adapter, at), 1.0)
    start = 0.0 if began is None else (began - skipped) % DAY
    return RatesOverTime(
        tuple(adapter.name for adapter in adapters),
        rate_scale * counts[:, kept] / covered[kept],
        period,
        start=start + float(kept[0]) * period,
    )


def _require_periods(period: float, periods: int, seconds: float) -> None:
    if not SHORTEST_PERIOD <= period < math.inf:
        raise SpecError(f"{period:g} s must be at least {SHORTEST_PERIOD:g} s", "period")
    if periods < 2:
        raise SpecError(f"{period:g} s: {seconds:g} s of traffic have fewer than two such periods", "period")
    if periods > MOST_PERIODS:
        raise SpecError(f"{period:g} s: {seconds:g} s of traffic have over {MOST_PERIODS:,} such periods", "period")
