"""Traffic: what a set of adapters asks of a server, in sums that know neither their names nor their order."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.demand.length_moments import LengthMoments, length_moments
from adaptwin.workload.workload import Adapter, Workload

OCTAVES = 26  # bins of adapters by the answer tokens/s they ask for, each twice as far as the one before
FIRST_OCTAVE = -15  # log2 of the tokens/s from which the second bin begins; the first holds all below
OCTAVE_ADAPTERS, OCTAVE_TOKENS = 0, 1  # columns of `Demand.by_octave`
_KNOWN_ARRIVALS = ("poisson", "gamma", "regimes")


class Traffic(NamedTuple):
    """Sums over adapters; rates are per second."""

    rate: float  # requests/s
    lora_rate: float  # of these, to LoRA adapters
    served_rate: float  # requests/s that are not rejected as too long
    prompt: float  # tokens/s
    answer: float  # tokens/s given
    asked: float  # answer tokens/s asked for
    context: float  # cached tokens/s read by decode steps
    prompt_squares: float  # sum of rate times the mean square of the prompt's tokens
    answer_squares: float
    rank_rate: float  # sum of rate times rank
    rate_squares: float
    hottest: float  # requests/s of the adapter with most
    adapters: float  # LoRA adapters with traffic
    max_rank: float
    dispersion: float  # mean squared coefficient of variation of the gaps between arrivals, weighted by rate
    swing: float  # variance of the whole rate where regimes change it, over the square of the rate
    unknown_rate: float  # requests/s of adapters whose arrivals are replayed or follow a file


class Demand(NamedTuple):
    """`Traffic`, and how it is spread: LoRA adapters by the answer tokens/s that each asks for.

    `by_octave` has the shape (octaves, 2): how many adapters there are in a bin, and the tokens/s of all of them.
    """

    traffic: Traffic
    by_octave: NDArray[np.float64]


class AdapterDemands(NamedTuple):
    """What each adapter of a workload asks for, of shape (adapters,) each: what `sum_demands` sums up."""

    rate: NDArray[np.float64]
    rank: NDArray[np.float64]
    per_request: NDArray[np.float64]  # (adapters, moments): the fields of `LengthMoments`
    dispersion: NDArray[np.float64]
    swing: NDArray[np.float64]  # relative variance of the adapter's own rate
    unknown: NDArray[np.bool_]

    def of(self, adapters: NDArray[np.int64]) -> "AdapterDemands":
        """Those of some adapters, by position."""
        return AdapterDemands(
            self.rate[adapters],
            self.rank[adapters],
            self.per_request[adapters],
            self.dispersion[adapters],
            self.swing[adapters],
            self.unknown[adapters],
        )


def demands_of(workload: Workload, *, early_stop_share: float, early_stop_reach: float, longest: int) -> AdapterDemands:
    """What each adapter asks for; `longest` is the model's or the server's ``max_model_len``."""
    adapters = workload.adapters
    moments = [
        length_moments(workload.lengths_of(adapter), early_stop_share, early_stop_reach, longest)
        for adapter in adapters
    ]
    kinds = [_burstiness(adapter, workload) for adapter in adapters]
    dispersion, swing, unknown = (np.array(column) for column in zip(*kinds, strict=True)) if kinds else ((),) * 3
    return AdapterDemands(
        rate=np.array([workload.rate_of(adapter) for adapter in adapters], dtype=np.float64),
        rank=np.array([adapter.rank for adapter in adapters], dtype=np.float64),
        per_request=np.array(moments, dtype=np.float64).reshape(-1, len(LengthMoments._fields)),
        dispersion=np.asarray(dispersion, dtype=np.float64),
        swing=np.asarray(swing, dtype=np.float64),
        unknown=np.asarray(unknown, dtype=np.bool_),
    )


def _burstiness(adapter: Adapter, workload: Workload) -> tuple[float, float, bool]:
    """Squared coefficient of variation of the gaps, relative variance of the rate, and whether neither is known."""
    arrivals = workload.arrivals if adapter.arrivals is None else adapter.arrivals
    if not isinstance(arrivals, str) or not arrivals.startswith(_KNOWN_ARRIVALS):
        return 1.0, 0.0, True
    process = parse_arrivals(arrivals)
    swing = (process.factor - 1.0) ** 2 / process.factor if process.period else 0.0
    return process.cv**2, swing, False


_TRAFFIC_FIELDS = len(Traffic._fields)
SUMS = _TRAFFIC_FIELDS + OCTAVES * 2  # how many raw sums there are
_COLUMN: Any = Traffic(*range(_TRAFFIC_FIELDS))  # where raw sums have each field of `Traffic`
_MOMENT: Any = LengthMoments(*range(len(LengthMoments._fields)))  # where `per_request` has each moment
_MAXIMA = (_COLUMN.hottest, _COLUMN.max_rank)  # of two sets together, these are the larger of both


def sum_demands(demands: AdapterDemands, shares: NDArray[np.float64] | None = None) -> Demand:
    """The demand of all adapters, or of each with a share of its traffic: an array of shape (adapters,)."""
    return demand_in(raw_sums(demands, shares))


def raw_sums(demands: AdapterDemands, shares: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """The same in sums that `add_sums` can add: the fields of `Traffic`, then the octaves, in one array."""
    return _sum(*demands, np.ones(len(demands.rate)) if shares is None else shares)


def add_sums(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raw sums of two sets of adapters as those of both together."""
    both: NDArray[np.float64] = one + other
    for field in _MAXIMA:
        both[field] = max(one[field], other[field])
    return both


def cumulative_sums(each: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raw sums of the first, the first two, ... of several sets of adapters; shape (sets, sums)."""
    sums: NDArray[np.float64] = np.cumsum(each, axis=0)
    for field in _MAXIMA:
        sums[:, field] = np.maximum.accumulate(each[:, field])
    return sums


def demand_in(sums: NDArray[np.float64], factor: float = 1.0) -> Demand:
    """The demand in raw sums, with `factor` times the traffic."""
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
def _sum(rates, ranks, per_request, dispersion, swing, unknown, shares):
    """Raw sums: the fields of `Traffic` - but dispersion and swing not yet divided by the rate - and the octaves."""
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
