"""Traffic: the demand of a set of adapters, in sums that depend neither on their names nor on their order."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.demand.length_moments import LengthMoments, length_moments
from adaptwin.workload.demand.shared_tokens import Openings, SharedTokens, shared_tokens
from adaptwin.workload.workload import Adapter, Workload

OCTAVES = 26  # bins of adapters by their answer tokens/s, each twice as wide as the one before
FIRST_OCTAVE = -15  # log2 of the tokens/s at which the second bin begins; the first bin holds all adapters below
OCTAVE_ADAPTERS, OCTAVE_TOKENS = 0, 1  # columns of `Demand.by_octave`
LONGEST_PERIOD = 600.0  # seconds: the regimes of a server with longer ones may not come to a mean in a window
_KNOWN_ARRIVALS = ("poisson", "gamma", "regimes")


class Traffic(NamedTuple):
    """Sums over a set of adapters; rates are per second."""

    rate: float  # requests/s
    lora_rate: float  # requests/s to LoRA adapters
    served_rate: float  # requests/s that are not rejected as too long
    prompt: float  # prompt tokens/s
    answer: float  # answer tokens/s given
    asked: float  # answer tokens/s asked for
    context: float  # cached tokens/s read by decode steps
    prompt_squares: float  # sum of rate times mean square of the prompt tokens
    answer_squares: float  # sum of rate times mean square of the answer tokens
    shared: float  # prompt tokens/s that may be in cached blocks
    shared_squares: float  # sum of rate times mean square of the shared tokens
    shared_focus: float  # shared tokens/s, times the share of the adapter's requests that begin with them
    rank_rate: float  # sum of rate times rank
    rate_squares: float  # sum of squared rates
    hottest: float  # requests/s of the adapter with the most
    adapters: float  # LoRA adapters with traffic
    max_rank: float
    dispersion: float  # mean squared coefficient of variation of the gaps between arrivals, weighted by rate
    swing: float  # variance of the total rate under regimes, over the square of the rate
    unknown_rate: float  # requests/s of adapters with replayed arrivals or with rates from a file


class Demand(NamedTuple):
    """`Traffic`, and its distribution over LoRA adapters, binned by their answer tokens/s.

    `by_octave` has the shape (octaves, 2): the number of adapters in each bin, and their tokens/s in total.
    """

    traffic: Traffic
    by_octave: NDArray[np.float64]


class AdapterDemands(NamedTuple):
    """Demand of each adapter of a workload, which `sum_demands` adds up; arrays have the shape (adapters,)."""

    rate: NDArray[np.float64]
    rank: NDArray[np.float64]
    per_request: NDArray[np.float64]  # (adapters, moments): the fields of `LengthMoments`
    shared: NDArray[np.float64]  # (adapters, 4): the fields of `SharedTokens`
    dispersion: NDArray[np.float64]
    swing: NDArray[np.float64]  # relative variance of the adapter's own rate
    period: NDArray[np.float64]  # seconds from one regime to the next; 0 without regimes
    unknown: NDArray[np.bool_]

    def of(self, adapters: NDArray[np.int64]) -> "AdapterDemands":
        """Return the demands of some adapters, given their positions."""
        return AdapterDemands(
            self.rate[adapters],
            self.rank[adapters],
            self.per_request[adapters],
            self.shared[adapters],
            self.dispersion[adapters],
            self.swing[adapters],
            self.period[adapters],
            self.unknown[adapters],
        )


def demands_of(workload: Workload, *, early_stop_share: float, early_stop_reach: float, longest: int) -> AdapterDemands:
    """Return the demand of each adapter; `longest` is the ``max_model_len`` of the model or the server."""
    adapters = workload.adapters
    moments = [
        length_moments(workload.lengths_of(adapter), early_stop_share, early_stop_reach, longest)
        for adapter in adapters
    ]
    shared = [
        shared_tokens(workload.lengths_of(adapter), Openings.of(workload, adapter), longest) for adapter in adapters
    ]
    kinds = [_burstiness(adapter, workload) for adapter in adapters]
    dispersion, swing, period, unknown = zip(*kinds, strict=True) if kinds else ((),) * 4
    return AdapterDemands(
        rate=np.array(workload.rates, dtype=np.float64),
        rank=np.array([adapter.rank for adapter in adapters], dtype=np.float64),
        per_request=np.array(moments, dtype=np.float64).reshape(-1, len(LengthMoments._fields)),
        shared=np.array(shared, dtype=np.float64).reshape(-1, len(SharedTokens._fields)),
        dispersion=np.asarray(dispersion, dtype=np.float64),
        swing=np.asarray(swing, dtype=np.float64),
        period=np.asarray(period, dtype=np.float64),
        unknown=np.asarray(unknown, dtype=np.bool_),
    )


def _burstiness(adapter: Adapter, workload: Workload) -> tuple[float, float, float, bool]:
    """Return the squared coefficient of variation of gaps, variance and period of regimes, and whether none is known.

    The variance is that of the rate, over its square.
    """
    arrivals = workload.arrivals if adapter.arrivals is None else adapter.arrivals
    if not isinstance(arrivals, str) or not arrivals.startswith(_KNOWN_ARRIVALS):
        return 1.0, 0.0, 0.0, True
    process = parse_arrivals(arrivals)
    if process.period > LONGEST_PERIOD:
        return 1.0, 0.0, 0.0, True
    swing = (process.factor - 1.0) ** 2 / process.factor if process.period else 0.0
    return process.cv**2, swing, process.period, False


_TRAFFIC_FIELDS = len(Traffic._fields)
SUMS = _TRAFFIC_FIELDS + OCTAVES * 2  # number of raw sums
_COLUMN: Any = Traffic(*range(_TRAFFIC_FIELDS))  # position of each field of `Traffic` in the raw sums
RATE, UNKNOWN_RATE = _COLUMN.rate, _COLUMN.unknown_rate
_MOMENT: Any = LengthMoments(*range(len(LengthMoments._fields)))  # column of each moment in `per_request`
_SHARED: Any = SharedTokens(*range(len(SharedTokens._fields)))  # column of each field in `shared`
_MAXIMA = (_COLUMN.hottest, _COLUMN.max_rank)  # of two sets together, these are the larger of the two


def sum_demands(demands: AdapterDemands, shares: NDArray[np.float64] | None = None) -> Demand:
    """Return the demand of all adapters, each with its share of traffic if `shares`, of shape (adapters,), is given."""
    return demand_in(raw_sums(demands, shares))


def raw_sums(demands: AdapterDemands, shares: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the demand as raw sums, which `add_sums` can add: the fields of `Traffic`, then the octaves."""
    d = demands
    of_all = np.ones(len(d.rate)) if shares is None else shares
    return _sum(d.rate, d.rank, d.per_request, d.shared, d.dispersion, d.swing, d.unknown, of_all)


def add_sums(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the raw sums of the union of two sets of adapters."""
    both: NDArray[np.float64] = one + other
    for field in _MAXIMA:
        both[field] = max(one[field], other[field])
    return both


def union_of(each: NDArray[np.float64], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the raw sums of a part of each of several sets together, where all adapters of a set are alike.

    Args:
        each: Raw sums of the sets, of shape (sets, SUMS).
        parts: How much of each set there is, of shape (sets,).
    """
    sums: NDArray[np.float64] = parts @ each
    for field in _MAXIMA:
        sums[field] = each[:, field].max()
    return sums


def cumulative_sums(each: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the raw sums of the first set of adapters, of the first two, and so on; shape (sets, SUMS)."""
    sums: NDArray[np.float64] = np.cumsum(each, axis=0)
    for field in _MAXIMA:
        sums[:, field] = np.maximum.accumulate(each[:, field])
    return sums


def demand_in(sums: NDArray[np.float64], factor: float = 1.0) -> Demand:
    """Return the demand that raw sums stand for, with `factor` times the traffic."""
    scaled = sums * factor
    scaled[_COLUMN.rate_squares] *= factor
    scaled[_COLUMN.swing] *= factor
    for field in (_COLUMN.adapters, _COLUMN.max_rank):
        scaled[field] = sums[field]
    by_octave = scaled[_TRAFFIC_FIELDS:].reshape(OCTAVES, 2)
    by_octave[:, OCTAVE_ADAPTERS] = sums[_TRAFFIC_FIELDS + OCTAVE_ADAPTERS :: 2]
    traffic = scaled[:_TRAFFIC_FIELDS]
    rate = traffic[_COLUMN.rate]
    if rate > 0.0:
        traffic[_COLUMN.dispersion] /= rate
        traffic[_COLUMN.swing] /= rate * rate
    return Demand(Traffic(*traffic.tolist()), by_octave)


@compiled
def _sum(rates, ranks, per_request, shared, dispersion, swing, unknown, shares):
    """Return raw sums: the fields of `Traffic`, with dispersion and swing not divided by the rate, and the octaves."""
    both = np.zeros(SUMS)
    sums, by_octave = both[:_TRAFFIC_FIELDS], both[_TRAFFIC_FIELDS:].reshape(OCTAVES, 2)
    for a in range(len(rates)):
        rate = rates[a] * shares[a]
        if rate <= 0.0:
            continue
        sums[_COLUMN.rate] += rate
        sums[_COLUMN.served_rate] += rate * per_request[a, _MOMENT.served]
        sums[_COLUMN.prompt] += rate * per_request[a, _MOMENT.prompt]
        sums[_COLUMN.answer] += rate * per_request[a, _MOMENT.answer]
        sums[_COLUMN.asked] += rate * per_request[a, _MOMENT.asked]
        sums[_COLUMN.context] += rate * per_request[a, _MOMENT.context]
        sums[_COLUMN.prompt_squares] += rate * per_request[a, _MOMENT.prompt_squares]
        sums[_COLUMN.answer_squares] += rate * per_request[a, _MOMENT.answer_squares]
        sums[_COLUMN.shared] += rate * shared[a, _SHARED.tokens]
        sums[_COLUMN.shared_squares] += rate * shared[a, _SHARED.squares]
        sums[_COLUMN.shared_focus] += rate * shared[a, _SHARED.focus]
        sums[_COLUMN.rate_squares] += rate * rate
        sums[_COLUMN.hottest] = max(sums[_COLUMN.hottest], rate)
        sums[_COLUMN.dispersion] += rate * dispersion[a]
        sums[_COLUMN.swing] += rate * rate * swing[a]
        sums[_COLUMN.unknown_rate] += rate * unknown[a]
        if ranks[a] > 0.0:
            sums[_COLUMN.lora_rate] += rate
            sums[_COLUMN.rank_rate] += rate * ranks[a]
            sums[_COLUMN.adapters] += 1.0
            sums[_COLUMN.max_rank] = max(sums[_COLUMN.max_rank], ranks[a])
            tokens = rate * per_request[a, _MOMENT.answer]
            octave = 0 if tokens <= 0.0 else math.floor(math.log2(tokens)) - FIRST_OCTAVE + 1
            octave = min(max(0, octave), OCTAVES - 1)
            by_octave[octave, OCTAVE_ADAPTERS] += 1.0
            by_octave[octave, OCTAVE_TOKENS] += tokens
    return both
