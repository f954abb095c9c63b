"""Arrival pattern: a workload that keeps when recorded requests arrive, as timestamps or as rates that change.

Timestamps replay the recording, each request with its own lengths. They keep the bursts of a fleet, which hit all its
adapters at once: where the requests of a fleet are divided among adapters, bursts drawn for each adapter alone would
even out. A file of rates is shorter, and its requests are drawn anew with each seed. It holds one factor per second,
which all adapters share, so that common bursts of more than a second remain.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.errors import SpecError
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.recorded_prefixes import recorded_of
from adaptwin.workload.sources.conversations import share_out_conversations
from adaptwin.workload.sources.recording import Recording
from adaptwin.workload.sources.representative_lengths import representative_pairs
from adaptwin.workload.workload import MOST_RATE, Adapter, Workload
from adaptwin.writing import write_atomically

Keep = Literal["timestamps", "rates"]
MOST_TIMESTAMPS = 20_000  # more make fleet files and plans that take many seconds to read
MOST_REPLAYED = 1_000_000  # even where timestamps are asked for
MOST_RATES = 10_000  # factors in a file of rates, about
RATE_SECONDS = (1.0, 10.0, 60.0)  # widths that a factor may have
_BLOCK = 60  # factors that are compared with their own mean
_DECIMALS = 4  # of timestamps in a file, which are in seconds


def kept_as(requests: int, keep: Keep | None = None) -> Keep:
    """Return how to keep so many requests: as asked, or timestamps up to a number that files can hold."""
    return keep or ("timestamps" if requests <= MOST_TIMESTAMPS else "rates")


def recorded_workload(
    recording: Recording,
    adapters: Sequence[Adapter],
    *,
    rate_scale: float = 1.0,
    seed: int = 0,
    keep: Keep | None = None,
    rates_file: str | Path | None = None,
) -> Workload:
    """Return the workload of a recording, with its arrivals and lengths, for these adapters.

    Where requests name their adapters, `Recording.adapter` holds indices into `adapters`, and each adapter gets its
    own; otherwise the traffic is shared out in proportion to the rates of `adapters`, one of which must be above 0.
    `rate_scale` is a factor on the number of requests. `keep` says how arrivals are kept; None decides by `kept_as`.
    Rates are written to `rates_file`. Raises `SpecError`.
    """
    if not 0 < rate_scale < math.inf:
        raise SpecError(f"{rate_scale:g} must be above 0 and finite", "rate_scale")
    if (rate := rate_scale * recording.rate) > MOST_RATE:
        raise SpecError(
            f"{rate_scale:g} makes {rate:.3g} requests/s: at most {MOST_RATE:g} are planned for", "rate_scale"
        )
    requests = round(rate_scale * len(recording.time))
    if requests < 1:
        raise SpecError(f"{rate_scale:g} leaves none of the {len(recording.time)} requests", "rate_scale")
    if keep == "timestamps" and requests > MOST_REPLAYED:
        raise SpecError(f"timestamps of {requests} requests are too many (at most {MOST_REPLAYED}): keep rates", "keep")
    if kept_as(requests, keep) == "timestamps":
        return _replayed(recording.multiplied(rate_scale), adapters, seed)
    if rates_file is None:
        raise SpecError(f"missing: {requests} requests are kept as rates, which are written to a file", "rates_file")
    write_rates(recording.time, recording.duration, rates_file)
    return Workload(
        adapters=_with_rates(recording, adapters, rate_scale),
        lengths=_lengths_of(recording),
        arrivals=f"rates:{Path(rates_file).resolve()}",
        duration=recording.duration,
        seed=seed,
    )


def _replayed(recording: Recording, adapters: Sequence[Adapter], seed: int) -> Workload:
    """Return the workload with the timestamps of the recording, and with the lengths of each request in their order.

    Where prompts begin alike and name no adapters, whole conversations go to one adapter.
    """
    if recording.adapter is None and (recording.prefixes.source >= 0).any():
        weights = [adapter.rate for adapter in adapters]
        recording = recording._replace(adapter=share_out_conversations(recording.prefixes, weights, seed))
    workload = Workload(adapters=_with_rates(recording, adapters, 1.0), duration=recording.duration, seed=seed)
    if recording.adapter is None:
        return workload.model_copy(update=_timestamps(recording, slice(None)))
    owned = _owned(recording.adapter, len(adapters))
    replaying = tuple(
        adapter.model_copy(update=_timestamps(recording, own))
        for adapter, own in zip(workload.adapters, owned, strict=True)
    )
    return workload.model_copy(update={"adapters": replaying, "lengths": _lengths_of(recording)})


def _owned(adapter: NDArray[np.int64], adapters: int) -> list[NDArray[np.int64]]:
    """Return the positions of the requests of each adapter, in ascending order."""
    return np.split(np.argsort(adapter, kind="stable"), np.cumsum(np.bincount(adapter, minlength=adapters))[:-1])


def _timestamps(recording: Recording, own: slice | NDArray[np.int64]) -> dict[str, Any]:
    """Return the arrivals of some of the requests, and their lengths in the same order, if there are any."""
    scale = 10.0**_DECIMALS
    times = np.floor(recording.time[own] * scale) / scale  # rounded down, so that none leaves the window
    if not len(times):
        return {"arrivals": ()}
    lengths = Lengths.empirical(zip(recording.input[own].tolist(), recording.output[own].tolist(), strict=True))
    return {"arrivals": tuple(times.tolist()), "lengths": lengths, **_prefixes(recording, own)}


def _prefixes(recording: Recording, own: slice | NDArray[np.int64]) -> dict[str, Any]:
    """Return the prefixes that some of the requests share with each other, if there are any."""
    chosen = np.zeros(len(recording.time), np.bool_)
    chosen[own] = True
    prefixes = recording.prefixes.of(chosen)
    if not (prefixes.source >= 0).any():
        return {}
    return {"prefixes": recorded_of(prefixes)}


def _with_rates(recording: Recording, adapters: Sequence[Adapter], rate_scale: float) -> tuple[Adapter, ...]:
    """Return the adapters with their rates and, if requests name adapters, with lengths of their own."""
    total = rate_scale * recording.rate
    if recording.adapter is None:
        weights = sum(adapter.rate for adapter in adapters)
        return tuple(adapter.model_copy(update={"rate": adapter.rate * total / weights}) for adapter in adapters)
    each = total / len(recording.time)
    return tuple(
        adapter.model_copy(update={"rate": len(own) * each, "lengths": _lengths_of(recording, own)})
        for adapter, own in zip(adapters, _owned(recording.adapter, len(adapters)), strict=True)
    )


def _lengths_of(recording: Recording, own: slice | NDArray[np.int64] = slice(None)) -> Lengths:
    """Return lengths that represent some of the requests, or all of them; those of all where there are none."""
    inputs, outputs = recording.input[own], recording.output[own]
    if not len(inputs):
        return _lengths_of(recording)
    return Lengths.empirical(representative_pairs(inputs, outputs).tolist())


def write_rates(time: Array, duration: float, path: str | Path) -> None:
    """Write the rates of requests at these times to a CSV file with columns ``start,factor``; see `rate_factors`."""
    rows = (f"{start:.10g},{factor:.4g}" for start, factor in rate_factors(time, duration))
    write_atomically(path, "\n".join(("start,factor", *rows, "")))


def rate_factors(time: Array, duration: float) -> list[tuple[float, float]]:
    """Return (start, factor) of stretches in which the rate, relative to its mean, is the same; their mean is 1.

    The number of requests in a second varies by chance, even where the rate is constant. Requests that are drawn from
    these factors vary by chance once more. So the factors vary less than the numbers: each by as much as the variance
    of the numbers exceeds that of a Poisson process, blocks of 60 around the mean of all, and those in a block around
    its own mean. Where seconds do not vary more than by chance, one factor holds for a block.
    """
    width = next((width for width in RATE_SECONDS if duration <= width * MOST_RATES), RATE_SECONDS[-1])
    starts = np.arange(math.ceil(duration / width)) * width
    seconds = np.minimum(width, duration - starts)
    stretch = np.minimum((time / width).astype(np.int64), len(starts) - 1)  # in spite of rounding
    counts = np.bincount(stretch, minlength=len(starts)).astype(np.float64)
    first_of_block = np.arange(0, len(starts), _BLOCK)
    block = np.arange(len(starts)) // _BLOCK
    of_block, block_seconds = np.add.reduceat(counts, first_of_block), np.add.reduceat(seconds, first_of_block)
    usual, block_rate = counts.sum() / duration, of_block / block_seconds
    between = _excess(of_block, usual * block_seconds, len(of_block) - 1)
    within = _excess(counts, block_rate[block] * seconds, len(counts) - len(of_block))
    rate = usual + between * (block_rate - usual)
    rates = np.maximum(0.0, rate[block] + within * (counts / seconds - block_rate[block]))
    factors = rates * duration / (rates * seconds).sum()
    changes = np.flatnonzero(np.diff(factors, prepend=-1.0))
    return list(zip(starts[changes].tolist(), factors[changes].tolist(), strict=True))


def _excess(counts: Array, expected: Array, degrees: int) -> float:
    """Return by which factor deviations of rates are smaller than those of counts, given what each count should be."""
    squares = float(((counts - expected) ** 2).sum())
    by_chance = float(expected.mean()) * degrees
    return math.sqrt(1.0 - by_chance / squares) if squares > by_chance else 0.0
