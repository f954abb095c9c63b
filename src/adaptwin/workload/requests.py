"""Requests: a workload played out - every request with its time, adapter and lengths, drawn from the seed."""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.jit import compiled
from adaptwin.workload.arrivals import ArrivalProcess, parse_arrivals
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Workload

NANOSECONDS = 1_000_000_000
MOST_REQUESTS = 100_000_000  # some 5 GB


class Requests(NamedTuple):
    """All requests of a window in order of arrival; equal times in the order of the adapters. Each of shape (n,)."""

    arrival: NDArray[np.int64]  # nanoseconds since the start
    adapter: NDArray[np.int32]  # index into Workload.adapters
    input: NDArray[np.int32]  # prompt tokens
    output: NDArray[np.int32]  # answer tokens


class _Sources(NamedTuple):
    """Where each adapter's arrivals come from, in flat arrays for the compiled loop."""

    seed: NDArray[np.uint64]
    rate: NDArray[np.float64]
    shape: NDArray[np.float64]  # of the Gamma gaps; 1 is Poisson
    segment_first: NDArray[np.int64]  # adapter a's segments are first[a] : first[a + 1]
    segment_start: NDArray[np.float64]
    segment_factor: NDArray[np.float64]
    given_first: NDArray[np.int64]  # replayed timestamps likewise; none means drawn
    given: NDArray[np.float64]
    replayed: NDArray[np.bool_]
    table_first: NDArray[np.int64]  # adapter a draws lengths from first[a], size[a] entries
    table_size: NDArray[np.int64]
    output_first: NDArray[np.int64]
    output_size: NDArray[np.int64]
    pairing: NDArray[np.int8]  # 0 independent, 1 joint, 2 joint and in order
    lengths: NDArray[np.int32]


def draw_requests(workload: Workload, seed: int | None = None) -> Requests:
    """Draw every request of the workload's window.

    Each adapter draws from a generator of its own, seeded by its name, so adding an adapter leaves the arrivals
    and lengths of the others as they were.
    """
    expected = workload.rate * workload.duration
    if expected > MOST_REQUESTS:
        raise SpecError(
            f"{expected:.3g} requests in {workload.duration:g} s; at most {MOST_REQUESTS:.0e} are simulated", "rate"
        )
    sources = _sources(workload, workload.seed if seed is None else seed)
    return Requests(*_draw(*sources, workload.duration))


def stream_seed(seed: int, *names: str) -> int:
    """A 64-bit seed for the stream with these names, independent of all others."""
    text = "\x1f".join((str(seed), *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _sources(workload: Workload, seed: int) -> _Sources:
    adapters = workload.adapters
    processes = [
        parse_arrivals(arrivals) if isinstance(arrivals, str) else ArrivalProcess()
        for arrivals in (adapter.arrivals or workload.arrivals for adapter in adapters)
    ]
    given = _given_timestamps(workload, seed)
    segments = [
        _segments(process, workload.duration, seed, adapter.name)
        for process, adapter in zip(processes, adapters, strict=True)
    ]
    starts = [start for pairs in segments for start, _ in pairs]
    factors = [factor for pairs in segments for _, factor in pairs]
    tables = _LengthTables()
    of_adapter = [tables.place(workload.lengths_of(adapter)) for adapter in adapters]
    rows = np.array(of_adapter, dtype=np.int64).reshape(-1, 5)
    pairing = rows[:, 4].astype(np.int8)
    for index, adapter in enumerate(adapters):  # a replay: as many pairs as timestamps of its own belong together
        if isinstance(adapter.arrivals, tuple) and pairing[index] == 1 and rows[index, 1] == len(adapter.arrivals):
            pairing[index] = 2
    return _Sources(
        seed=np.array([stream_seed(seed, adapter.name) for adapter in adapters], dtype=np.uint64),
        rate=np.array([adapter.rate for adapter in adapters], dtype=np.float64),
        shape=np.array([process.cv**-2 for process in processes], dtype=np.float64),
        segment_first=_firsts(segments),
        segment_start=np.array(starts, dtype=np.float64),
        segment_factor=np.array(factors, dtype=np.float64),
        given_first=_firsts([times or () for times in given]),
        given=np.array([time for times in given for time in times or ()], dtype=np.float64),
        replayed=np.array([times is not None for times in given], dtype=np.bool_),
        table_first=np.ascontiguousarray(rows[:, 0]),
        table_size=np.ascontiguousarray(rows[:, 1]),
        output_first=np.ascontiguousarray(rows[:, 2]),
        output_size=np.ascontiguousarray(rows[:, 3]),
        pairing=pairing,
        lengths=tables.flat(),
    )


def _firsts(groups: list[tuple[tuple[float, float], ...]] | list[tuple[float, ...]]) -> NDArray[np.int64]:
    """Offsets of groups laid one behind the other."""
    return np.concatenate(([0], np.cumsum([len(group) for group in groups]))).astype(np.int64)


def _given_timestamps(workload: Workload, seed: int) -> list[tuple[float, ...] | None]:
    """Replayed timestamps per adapter; None where arrivals are drawn.

    Timestamps of the whole workload are dealt out to its adapters at random, in proportion to their rates.
    """
    own = [a.arrivals if isinstance(a.arrivals, tuple) else None for a in workload.adapters]
    if isinstance(workload.arrivals, str):
        return own
    sharing = [i for i, adapter in enumerate(workload.adapters) if adapter.arrivals is None]
    rates = np.array([workload.adapters[i].rate for i in sharing])
    if not sharing or rates.sum() <= 0:
        return [() if a.arrivals is None else times for a, times in zip(workload.adapters, own, strict=True)]
    dice = np.random.default_rng(stream_seed(seed, "", "timestamps"))
    dealt = dice.choice(sharing, size=len(workload.arrivals), p=rates / rates.sum())
    hands: dict[int, list[float]] = {i: [] for i in sharing}
    for time, i in zip(workload.arrivals, dealt, strict=True):
        hands[int(i)].append(time)
    return [tuple(hands[i]) if i in hands else times for i, times in enumerate(own)]


def _segments(process: ArrivalProcess, duration: float, seed: int, name: str) -> tuple[tuple[float, float], ...]:
    """(start, factor) of the stretches of constant rate; none when the rate never changes."""
    if process.rates:
        return process.rates if process.rates[0][0] == 0 else ((0.0, 1.0), *process.rates)
    if not process.period:
        return ()
    dice = np.random.default_rng(stream_seed(seed, name, "regimes"))
    raised = dice.random(int(np.ceil(duration / process.period))) < 1.0 / (1.0 + process.factor)  # keeps the mean at 1
    factors = np.where(raised, process.factor, 1.0 / process.factor)
    return tuple((i * process.period, float(factor)) for i, factor in enumerate(factors))


class _LengthTables:
    """Length tables of all adapters in one array; adapters with the same lengths share theirs."""

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
def split_mix(state: np.uint64) -> np.uint64:
    """SplitMix64's output function (Steele, Lea, Flood 2014)."""
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def _uniform(state: np.uint64) -> float:
    """A number in (0, 1] from the generator's state."""
    return (float(split_mix(state) >> np.uint64(11)) + 1.0) * (1.0 / 9007199254740992.0)


@compiled
def _gamma_gap(shape: float, state: np.uint64) -> tuple[float, np.uint64]:
    """A Gamma variate of mean 1 by Marsaglia and Tsang's method (2000), boosted for shapes below 1."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    boosted = shape + 1.0 if shape < 1.0 else shape
    d = boosted - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    while True:
        state += golden
        radius = np.sqrt(-2.0 * np.log(_uniform(state)))
        state += golden
        normal = radius * np.cos(2.0 * np.pi * _uniform(state))
        v = (1.0 + c * normal) ** 3
        state += golden
        if v > 0.0 and np.log(_uniform(state)) < 0.5 * normal * normal + d - d * v + d * np.log(v):
            break
    value = d * v
    if shape < 1.0:
        state += golden
        value *= _uniform(state) ** (1.0 / shape)
    return value / shape, state


@compiled
def _draw(
    seed, rate, shape, segment_first, segment_start, segment_factor, given_first, given, replayed,
    table_first, table_size, output_first, output_size, pairing, lengths, duration,
):  # fmt: skip
    golden = np.uint64(0x9E3779B97F4A7C15)
    adapters = len(rate)
    capacity = len(given) + 64
    for a in range(adapters):
        capacity += int(1.05 * rate[a] * duration) + 8
    time = np.empty(capacity, np.int64)
    who = np.empty(capacity, np.int32)
    count = 0
    first_of = np.zeros(adapters + 1, np.int64)

    for a in range(adapters):
        if replayed[a]:
            for i in range(given_first[a], given_first[a + 1]):
                if given[i] < duration:
                    time[count] = int(given[i] * 1e9)
                    who[count] = a
                    count += 1
            first_of[a + 1] = count
            continue
        first_of[a + 1] = count
        if rate[a] <= 0.0:
            continue
        state = seed[a]
        segment, last = segment_first[a], segment_first[a + 1]
        factor = segment_factor[segment] if segment < last else 1.0
        now = 0.0
        while True:
            if shape[a] == 1.0:
                state += golden
                gap = -np.log(_uniform(state))
            else:
                gap, state = _gamma_gap(shape[a], state)
            gap /= rate[a]
            # Spend the gap, which is in time of factor 1, over the stretches of constant rate.
            while segment + 1 < last and gap > (segment_start[segment + 1] - now) * factor:
                gap -= (segment_start[segment + 1] - now) * factor
                now = segment_start[segment + 1]
                segment += 1
                factor = segment_factor[segment]
            if factor <= 0.0:
                break
            now += gap / factor
            if now >= duration:
                break
            if count == capacity:
                capacity += capacity // 2 + 64
                time_more = np.empty(capacity, np.int64)
                who_more = np.empty(capacity, np.int32)
                time_more[:count] = time[:count]
                who_more[:count] = who[:count]
                time, who = time_more, who_more
            time[count] = int(now * 1e9)
            who[count] = a
            count += 1
        first_of[a + 1] = count

    # Sort by time: into buckets of about four, then by insertion. Stable, so ties keep the adapters' order.
    buckets = count // 4 + 1
    width = int(duration * 1e9) // buckets + 1
    fill = np.zeros(buckets + 1, np.int64)
    for i in range(count):
        fill[time[i] // width + 1] += 1
    for b in range(buckets):
        fill[b + 1] += fill[b]
    arrival = np.empty(count, np.int64)
    adapter = np.empty(count, np.int32)
    inputs = np.empty(count, np.int32)
    outputs = np.empty(count, np.int32)
    for a in range(adapters):
        stream = split_mix(seed[a] ^ np.uint64(0xD1B54A32D192ED03))
        for i in range(first_of[a], first_of[a + 1]):
            k = i - first_of[a]
            if pairing[a] == 2:
                into, out = table_first[a] + k, output_first[a] + k
            else:
                stream += golden
                bits = split_mix(stream)
                one = np.int64(((bits >> np.uint64(32)) * np.uint64(table_size[a])) >> np.uint64(32))
                two = one
                if pairing[a] == 0:
                    two = np.int64(((bits & np.uint64(0xFFFFFFFF)) * np.uint64(output_size[a])) >> np.uint64(32))
                into, out = table_first[a] + one, output_first[a] + two
            b = time[i] // width
            place = fill[b]
            fill[b] += 1
            arrival[place] = time[i]
            adapter[place] = a
            inputs[place] = lengths[into]
            outputs[place] = lengths[out]
    for i in range(1, count):
        if arrival[i] >= arrival[i - 1]:
            continue
        t, w, n, m = arrival[i], adapter[i], inputs[i], outputs[i]
        j = i
        while j > 0 and arrival[j - 1] > t:
            arrival[j], adapter[j] = arrival[j - 1], adapter[j - 1]
            inputs[j], outputs[j] = inputs[j - 1], outputs[j - 1]
            j -= 1
        arrival[j], adapter[j], inputs[j], outputs[j] = t, w, n, m
    return arrival, adapter, inputs, outputs
