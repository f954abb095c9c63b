"""Traffic: what a set of adapters asks of a server, in sums that know neither their names nor their order."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.demand.length_moments import length_moments
from adaptwin.workload.workload import Adapter, Workload

OCTAVES = 26  # bins of adapters by the answer tokens/s they ask for, each twice as far as the one before
FIRST_OCTAVE = -15  # log2 of the tokens/s from which the second bin begins; the first holds all below
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
    per_request: NDArray[np.float64]  # (adapters, 7): the fields of `LengthMoments`
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
        per_request=np.array(moments, dtype=np.float64).reshape(-1, 7),
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


_SUMS = len(Traffic._fields)
SUMS = _SUMS + 2 * OCTAVES  # how many raw sums there are
_HOTTEST, _MAX_RANK = Traffic._fields.index("hottest"), Traffic._fields.index("max_rank")
_SQUARES = Traffic._fields.index("rate_squares")
_DISPERSION, _SWING = Traffic._fields.index("dispersion"), Traffic._fields.index("swing")


def sum_demands(demands: AdapterDemands, shares: NDArray[np.float64] | None = None) -> Demand:
    """The demand of all adapters, or of each with a share of its traffic: an array of shape (adapters,)."""
    return demand_in(raw_sums(demands, shares))


def raw_sums(demands: AdapterDemands, shares: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """The same in sums that `add_sums` can add: the fields of `Traffic`, then the octaves, in one array."""
    return _sum(*demands, np.ones(len(demands.rate)) if shares is None else shares)


def add_sums(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raw sums of two sets of adapters as those of both together."""
    both: NDArray[np.float64] = one + other
    for field in (_HOTTEST, _MAX_RANK):
        both[field] = max(one[field], other[field])
    return both


def cumulative_sums(each: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raw sums of the first, the first two, ... of several sets of adapters; shape (sets, sums)."""
    sums: NDArray[np.float64] = np.cumsum(each, axis=0)
    for field in (_HOTTEST, _MAX_RANK):
        sums[:, field] = np.maximum.accumulate(each[:, field])
    return sums


def demand_in(sums: NDArray[np.float64], factor: float = 1.0) -> Demand:
    """The demand in raw sums, with `factor` times the traffic."""
    scaled = sums * factor
    scaled[_SQUARES] *= factor
    scaled[_SWING] *= factor
    for field in (Traffic._fields.index("adapters"), _MAX_RANK):
        scaled[field] = sums[field]
    by_octave = scaled[_SUMS:].reshape(OCTAVES, 2)
    by_octave[:, 0] = sums[_SUMS::2]
    traffic = scaled[:_SUMS]
    if traffic[0] > 0.0:
        traffic[_DISPERSION] /= traffic[0]
        traffic[_SWING] /= traffic[0] * traffic[0]
    return Demand(Traffic(*traffic.tolist()), by_octave)


@compiled
def _sum(rates, ranks, per_request, dispersion, swing, unknown, shares):
    """Raw sums: the fields of `Traffic` - but dispersion and swing not yet divided by the rate - and the octaves."""
    both = np.zeros(17 + 2 * OCTAVES)
    sums, by_octave = both[:17], both[17:].reshape(OCTAVES, 2)
    for a in range(len(rates)):
        rate = rates[a] * shares[a]
        if rate <= 0.0:
            continue
        sums[0] += rate
        sums[2] += rate * per_request[a, 0]
        for i in range(1, 3):
            sums[2 + i] += rate * per_request[a, i]
        sums[5] += rate * per_request[a, 3]
        sums[6] += rate * per_request[a, 4]
        sums[7] += rate * per_request[a, 5]
        sums[8] += rate * per_request[a, 6]
        sums[10] += rate * rate
        sums[11] = max(sums[11], rate)
        sums[14] += rate * dispersion[a]
        sums[15] += rate * rate * swing[a]
        sums[16] += rate * unknown[a]
        if ranks[a] > 0.0:
            sums[1] += rate
            sums[9] += rate * ranks[a]
            sums[12] += 1.0
            sums[13] = max(sums[13], ranks[a])
            tokens = rate * per_request[a, 2]
            octave = 0 if tokens <= 0.0 else math.floor(math.log2(tokens)) - FIRST_OCTAVE + 1
            octave = min(max(0, octave), OCTAVES - 1)
            by_octave[octave, 0] += 1.0
            by_octave[octave, 1] += tokens
    return both
