"""Requests: every request of a workload with its arrival time, adapter and lengths, drawn from the seed."""

from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.jit import compiled
from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.demand.expected_requests import expected_requests
from adaptwin.workload.drawing.drawn_prefixes import draw_prefixes
from adaptwin.workload.drawing.prefixes import NO_PREFIXES, Prefixes
from adaptwin.workload.drawing.random_streams import (
    GOLDEN,
    exponential,
    first_gap,
    gamma,
    split_mix,
    uniform,
)
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.drawing.sorting import insertion_sort, shell_sort
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Workload

NANOSECONDS = 1_000_000_000
MOST_REQUESTS = 100_000_000  # these take about 5 GB
MOST_STRETCHES = 10_000_000_000  # stretches of constant rate, of all adapters; these take about a minute
_SLICE = 4096  # mean number of requests that are drawn and sorted together
_CROWDED_BUCKET = 64  # with more requests in a bucket, insertion sort would take too long
NO_MORE = np.int64(1) << np.int64(62)  # nanoseconds


class Requests(NamedTuple):
    """All requests of a window in order of arrival, then of adapters; arrays have the shape (n,)."""

    arrival: NDArray[np.int64]  # nanoseconds since the start
    adapter: NDArray[np.int32]  # index into Workload.adapters
    input: NDArray[np.int32]  # prompt tokens
    output: NDArray[np.int32]  # answer tokens
    asked: NDArray[np.int32]  # answer tokens asked for (max_tokens); the array `output` itself if no answer ends early
    prefixes: Prefixes = NO_PREFIXES

    def of(self, chosen: NDArray[np.bool_]) -> Self:
        """Return some of the requests, given by a mask."""
        return type(self)(
            self.arrival[chosen],
            self.adapter[chosen],
            self.input[chosen],
            self.output[chosen],
            self.asked[chosen],
            self.prefixes.of(chosen),
        )


class _Sources(NamedTuple):
    """What the requests of each adapter are drawn from, in flat arrays for the compiled loop."""

    seed: NDArray[np.uint64]
    rate: NDArray[np.float64]
    shape: NDArray[np.float64]  # shape parameter of the Gamma-distributed gaps; 1 is a Poisson process
    period: NDArray[np.float64]  # seconds between draws of the regime; 0 without regimes
    swing: NDArray[np.float64]  # factor on the rate in a raised regime
    regime_seed: NDArray[np.uint64]
    segment_first: NDArray[np.int64]  # segments of adapter a: segment_first[a] : segment_last[a]
    segment_last: NDArray[np.int64]
    segments: NDArray[np.float64]  # (segments, 2): start in seconds, factor on the rate
    given_first: NDArray[np.int64]  # replayed timestamps of adapter a: given_first[a] : given_first[a + 1]
    given: NDArray[np.float64]
    replayed: NDArray[np.bool_]
    table_first: NDArray[np.int64]  # adapter a draws its prompts from table_size[a] entries of `lengths`
    table_size: NDArray[np.int64]
    output_first: NDArray[np.int64]
    output_size: NDArray[np.int64]
    pairing: NDArray[np.int8]  # 0 independent, 1 joint, 2 joint and in order
    lengths: NDArray[np.int32]


def draw_requests(workload: Workload, seed: int | None = None) -> Requests:
    """Draw every request of the workload's window; raises `SpecError` when there would be too many.

    Each adapter draws from a generator of its own, seeded by its name, so adding an adapter leaves the arrivals
    and lengths of the others unchanged.
    """
    expected = float(expected_requests(workload, 0.0, workload.duration).sum())
    if expected > MOST_REQUESTS:
        raise SpecError(
            f"about {expected:,.0f} requests in {workload.duration:,.0f} s are too many: a simulation takes at most "
            f"{MOST_REQUESTS:,}; shorten the duration, or simulate fewer adapters or lower rates",
            "rate",
        )
    seed = workload.seed if seed is None else seed
    workload = workload.dealt(seed)
    arrival, adapter, inputs, outputs = _draw(_sources(workload, seed), workload.duration, expected)
    prefixes = draw_prefixes(workload, adapter, inputs, adapter_seeds(workload, seed, "templates"))
    return Requests(arrival, adapter, inputs, outputs, asked=outputs, prefixes=prefixes)


def _sources(workload: Workload, seed: int) -> _Sources:
    """Return what the requests of a workload are drawn from, whose timestamps are dealt to the adapters."""
    adapters = workload.adapters
    processes = _Processes(workload)
    if (stretches := processes.stretches(workload.duration)) > MOST_STRETCHES:
        raise SpecError(
            f"about {stretches:,.0f} stretches of constant rate (adapters times periods in {workload.duration:,.0f} s) "
            f"are too many: a simulation takes at most {MOST_STRETCHES:,}; raise the period or shorten the duration",
            "arrivals",
        )
    given = [adapter.arrivals if isinstance(adapter.arrivals, tuple) else None for adapter in adapters]
    tables = _LengthTables()
    shared = tables.place(workload.lengths)
    of_adapter = [tables.place(adapter.lengths) if adapter.lengths else shared for adapter in adapters]
    rows = np.array(of_adapter, dtype=np.int64).reshape(-1, 5)
    pairing = rows[:, 4].astype(np.int8)
    for index, adapter in enumerate(adapters):  # one pair per timestamp: pair i belongs to timestamp i
        if isinstance(adapter.arrivals, tuple) and adapter.lengths and adapter.lengths.belong_to(len(adapter.arrivals)):
            pairing[index] = 2
    return _Sources(
        seed=adapter_seeds(workload, seed),
        rate=np.array([adapter.rate for adapter in adapters], dtype=np.float64),
        shape=processes.column("cv") ** -2,
        period=processes.column("period"),
        swing=processes.column("factor"),
        regime_seed=adapter_seeds(workload, seed, "regimes"),
        segment_first=processes.segment_first,
        segment_last=processes.segment_last,
        segments=processes.segments,
        given_first=_firsts([times or () for times in given]),
        given=np.concatenate([np.zeros(0), *(np.array(times, np.float64) for times in given if times)]),
        replayed=np.array([times is not None for times in given], dtype=np.bool_),
        table_first=np.ascontiguousarray(rows[:, 0]),
        table_size=np.ascontiguousarray(rows[:, 1]),
        output_first=np.ascontiguousarray(rows[:, 2]),
        output_size=np.ascontiguousarray(rows[:, 3]),
        pairing=pairing,
        lengths=tables.flat(),
    )


def adapter_seeds(workload: Workload, seed: int, *stream: str) -> NDArray[np.uint64]:
    """Return a seed for each adapter, from its name and the names of the stream; shape (adapters,)."""
    return _name_seeds(tuple(adapter.name for adapter in workload.adapters)) ^ np.uint64(stream_seed(seed, *stream))


@lru_cache(maxsize=2)
def _name_seeds(names: tuple[str, ...]) -> NDArray[np.uint64]:
    """Return the seed of each name; cached, as several streams of the same adapters are drawn in turn."""
    return np.array([_name_seed(name) for name in names], np.uint64)


@lru_cache(maxsize=1 << 17)
def _name_seed(name: str) -> int:
    return stream_seed(0, name)


def _firsts(groups: list[tuple[float, ...]]) -> NDArray[np.int64]:
    """Return the offsets of groups that are stored one after the other."""
    return np.concatenate(([0], np.cumsum([len(group) for group in groups]))).astype(np.int64)


class _Processes:
    """The arrival processes of all adapters, each parsed once, and their segments of constant rate in flat arrays."""

    def __init__(self, workload: Workload) -> None:
        usual = workload.arrivals
        named = [usual if adapter.arrivals is None else adapter.arrivals for adapter in workload.adapters]
        names = [arrivals if isinstance(arrivals, str) else "poisson" for arrivals in named]  # timestamps need none
        distinct = {name: index for index, name in enumerate(dict.fromkeys(names))}
        self.of_adapter = np.array([distinct[name] for name in names], np.int64)
        self.distinct = [parse_arrivals(name) for name in distinct]
        segments = [np.array(process.stretches, np.float64).reshape(-1, 2) for process in self.distinct]
        firsts = np.concatenate(([0], np.cumsum([len(rows) for rows in segments]))).astype(np.int64)
        self.segment_first, self.segment_last = firsts[:-1][self.of_adapter], firsts[1:][self.of_adapter]
        self.segments = np.concatenate([np.zeros((0, 2)), *segments])

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a field of the process of each adapter."""
        return np.array([getattr(process, name) for process in self.distinct], np.float64)[self.of_adapter]

    def stretches(self, duration: float) -> float:
        """Return the number of stretches of constant rate of all adapters in the window."""
        period = self.column("period")
        periods = np.divide(duration, period, out=np.zeros(len(period)), where=period > 0.0)
        return float((self.segment_last - self.segment_first).sum() + periods.sum())


class _LengthTables:
    """The length tables of all adapters in one array; adapters with equal lengths share a table."""

    def __init__(self) -> None:
        self._placed: dict[Lengths, tuple[int, int, int, int, int]] = {}
        self._parts: list[NDArray[np.int32]] = []
        self._size = 0

    def place(self, lengths: Lengths) -> tuple[int, int, int, int, int]:
        if lengths not in self._placed:
            table = lengths.table()
            first = self._append(table.input), self._append(table.output)
            sizes = len(table.input), len(table.output)
            self._placed[lengths] = (first[0], sizes[0], first[1], sizes[1], int(table.joint))
        return self._placed[lengths]

    def _append(self, part: NDArray[np.int32]) -> int:
        self._parts.append(part)
        self._size += len(part)
        return self._size - len(part)

    def flat(self) -> NDArray[np.int32]:
        return np.concatenate(self._parts) if self._parts else np.zeros(0, dtype=np.int32)


@compiled
def _draw(sources, duration, expected):
    """Draw all requests in order, one slice of time after the other: draw arrivals, sort them, draw the lengths.

    A slice is small enough to stay in the processor's caches. Its requests are sorted as single integers: the time
    since the slice began, with the index of the adapter in the low bits, so equal times keep the order of the adapters.
    """
    adapters, end = len(sources.rate), np.int64(duration * 1e9)
    bits = 1
    while adapters >> bits:
        bits += 1
    slices = int(expected / _SLICE) + 1
    while (end // slices + 1) >> (62 - bits) > 0:
        slices *= 2
    width = end // slices + 1

    # Per adapter: next arrival, current time, position among segments or given timestamps, and states of generators.
    due, now, place = np.empty(adapters, np.int64), np.zeros(adapters), np.empty(adapters, np.int64)
    state, lengths_state = sources.seed.copy(), np.empty(adapters, np.uint64)
    taken = np.zeros(adapters, np.int64)
    is_steady = np.empty(adapters, np.bool_)
    for a in range(adapters):
        process = _process_of(sources, a)
        is_steady[a] = process.shape == 1.0 and process.period == 0.0 and process.last == sources.segment_first[a]
        lengths_state[a] = split_mix(sources.seed[a] ^ np.uint64(0xD1B54A32D192ED03))
        if sources.replayed[a]:
            due[a], place[a] = _replay(sources.given, sources.given_first[a], sources.given_first[a + 1], duration)
        elif process.rate > 0.0:
            place[a] = 0 if process.period > 0.0 else sources.segment_first[a]
            gap, state[a] = _gap(process.shape, state[a], True)
            due[a], now[a], place[a] = _after(process, sources.segments, duration, gap, now[a], place[a])
        else:
            due[a], place[a] = NO_MORE, 0

    capacity = int(expected + 6.0 * np.sqrt(expected)) + 64
    arrival, adapter = np.empty(capacity, np.int64), np.empty(capacity, np.int32)
    inputs, outputs = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    keys, in_order = np.empty(2 * _SLICE, np.int64), np.empty(2 * _SLICE, np.int64)
    count = 0
    for s in range(slices):
        start, until = s * width, (s + 1) * width
        drawn = np.int64(0)
        for a in range(adapters):
            while due[a] < until:
                if drawn == len(keys):
                    keys, in_order = _enlarged(keys, 2 * drawn), np.empty(2 * drawn, np.int64)
                if sources.replayed[a]:
                    given, last = sources.given, sources.given_first[a + 1]
                    drawn = _draw_replayed(given, last, duration, a, due, place, keys, drawn, start, until, bits)
                elif is_steady[a]:
                    drawn = _draw_steady(sources.rate[a], duration, a, due, now, state, keys, drawn, start, until, bits)
                else:
                    process, clocks = _process_of(sources, a), (due, now, place, state)
                    drawn = _draw_varying(
                        process, sources.segments, duration, a, clocks, keys, drawn, start, until, bits
                    )
        _sort(keys[:drawn], in_order[:drawn], width << bits)

        if count + drawn > capacity:
            capacity = 2 * (count + drawn)
            arrival, adapter = _enlarged(arrival, capacity), _enlarged(adapter, capacity)
            inputs, outputs = _enlarged(inputs, capacity), _enlarged(outputs, capacity)
        for i in range(drawn):
            a = in_order[i] & ((1 << bits) - 1)
            if sources.pairing[a] == 2:
                one = two = taken[a]
                taken[a] += 1
            else:
                lengths_state[a] += GOLDEN
                random = split_mix(lengths_state[a])
                one = two = np.int64((random >> np.uint64(32)) * np.uint64(sources.table_size[a]) >> np.uint64(32))
                if sources.pairing[a] == 0:
                    low = random & np.uint64(0xFFFFFFFF)
                    two = np.int64(low * np.uint64(sources.output_size[a]) >> np.uint64(32))
            arrival[count + i] = start + (in_order[i] >> bits)
            adapter[count + i] = a
            inputs[count + i] = sources.lengths[sources.table_first[a] + one]
            outputs[count + i] = sources.lengths[sources.output_first[a] + two]
        count += drawn
    return arrival[:count], adapter[:count], inputs[:count], outputs[:count]


@compiled
def _draw_steady(rate, duration, a, due, now, state, keys, drawn, start, until, bits):
    """Draw arrivals of a Poisson process of constant rate until the slice ends or `keys` is full."""
    its_due, its_now, its_state = due[a], now[a], state[a]
    while its_due < until and drawn < len(keys):
        keys[drawn] = (its_due - start) << bits | a
        drawn += 1
        gap, its_state = exponential(its_state)
        its_now += gap / rate
        its_due = np.int64(its_now * 1e9) if its_now < duration else NO_MORE
    due[a], now[a], state[a] = its_due, its_now, its_state
    return drawn


@compiled
def _draw_replayed(given, last, duration, a, due, place, keys, drawn, start, until, bits):
    """Take timestamps until the slice ends or `keys` is full."""
    while due[a] < until and drawn < len(keys):
        keys[drawn] = (due[a] - start) << bits | a
        drawn += 1
        due[a], place[a] = _replay(given, place[a], last, duration)
    return drawn


@compiled
def _replay(given, place, last, duration):
    """Return the timestamp at a place, in nanoseconds, and the next place."""
    if place == last or given[place] >= duration:
        return NO_MORE, place
    return np.int64(given[place] * 1e9), place + 1


@compiled
def _draw_varying(process, segments, duration, a, clocks, keys, drawn, start, until, bits):
    """Draw arrivals of a renewal process whose rate may vary until the slice ends or `keys` is full."""
    due, now, place, state = clocks
    its_due, its_now, its_place, its_state = due[a], now[a], place[a], state[a]
    while its_due < until and drawn < len(keys):
        keys[drawn] = (its_due - start) << bits | a
        drawn += 1
        gap, its_state = _gap(process.shape, its_state, False)
        its_due, its_now, its_place = _after(process, segments, duration, gap, its_now, its_place)
    due[a], now[a], place[a], state[a] = its_due, its_now, its_place, its_state
    return drawn


class _Process(NamedTuple):
    """What the arrivals of one adapter follow: see `_Sources`."""

    rate: float
    shape: float
    period: float
    swing: float
    regime_seed: np.uint64
    last: int  # the end of its segments


@compiled
def _process_of(sources, a):
    return _Process(
        sources.rate[a],
        sources.shape[a],
        sources.period[a],
        sources.swing[a],
        sources.regime_seed[a],
        sources.segment_last[a],
    )


@compiled
def _gap(shape, state, is_first):
    """Draw the gap to the next arrival, of mean 1; return it and the new state of the generator."""
    if shape == 1.0:
        return exponential(state)
    if is_first:
        return first_gap(shape, state)
    return gamma(shape, state)


@compiled
def _after(process, segments, duration, gap, now, place):
    """Return the arrival after a gap, in nanoseconds, its time in seconds and its place among the segments."""
    gap /= process.rate
    # The gap is in time at factor 1; convert it segment by segment.
    until, factor = _segment(process, segments, place)
    while until < duration and gap >= (until - now) * factor:
        gap -= (until - now) * factor
        now = until
        place += 1
        until, factor = _segment(process, segments, place)
    if factor <= 0.0:
        return NO_MORE, now, place
    now += gap / factor
    return np.int64(now * 1e9) if now < duration else NO_MORE, now, place


@compiled
def _segment(process, segments, place):
    """Return when a segment of constant rate ends, and its factor on the rate."""
    if process.period > 0.0:
        raised = uniform(process.regime_seed + np.uint64(place + 1) * GOLDEN) * (1.0 + process.swing) < 1.0
        return (place + 1) * process.period, process.swing if raised else 1.0 / process.swing  # of mean 1
    until = segments[place + 1, 0] if place + 1 < process.last else np.inf
    return until, segments[place, 1] if place < process.last else 1.0


@compiled
def _sort(keys, in_order, span):
    """Sort keys that are spread over 0 to `span`: into buckets of about one key each, then by insertion."""
    shift = 0
    while span >> shift > 2 * len(keys):
        shift += 1
    fill = np.zeros((span >> shift) + 2, np.int32)
    for key in keys:
        fill[(key >> shift) + 1] += 1
    fullest = 0
    for b in range(1, len(fill)):
        fullest = max(fullest, fill[b])
        fill[b] += fill[b - 1]
    if fullest > _CROWDED_BUCKET:
        for i in range(len(keys)):
            in_order[i] = keys[i]
        shell_sort(in_order)
        return
    for key in keys:
        in_order[fill[key >> shift]] = key
        fill[key >> shift] += 1
    insertion_sort(in_order, 1)


@compiled
def _enlarged(array, size):
    larger = np.empty(size, array.dtype)
    for i in range(len(array)):  # compiles faster than the assignment of a slice
        larger[i] = array[i]
    return larger
