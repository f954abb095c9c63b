"""Slots: how adapters take turns in the slots when there are more adapters than slots."""

import math
from typing import NamedTuple

from adaptwin.arrays import Array
from adaptwin.jit import compiled
from adaptwin.steady_state.in_flight import busy_adapters
from adaptwin.steady_state.inputs import MeanTraffic
from adaptwin.workload.demand.traffic import OCTAVE_ADAPTERS, OCTAVE_TOKENS

_LONGEST_STAY = 30.0  # mean requests in flight above which stays grow no further: such an adapter never leaves its slot


class Turns(NamedTuple):
    """How adapters take turns in the slots."""

    wait: float  # seconds that an adapter without a slot waits for one
    waiting: float  # share of the LoRA requests that arrive while their adapter waits
    reached: float  # share of the demand for slots that is met within the window
    loads: float  # adapters loaded to the GPU per second


class Stays(NamedTuple):
    """The stays of all adapters in their slots. A stay ends when the adapter has no request left."""

    slots: float  # slots that all stays need together, on average
    per_second: float  # stays that begin per second
    waiting: float  # share of the requests that arrive before their adapter has its slot


@compiled
def take_turns(pace: float, mean: MeanTraffic, slots: float, duration: float) -> Turns:
    """Estimate how adapters take turns within a window of `duration` seconds.

    An adapter keeps its slot for a busy period. Its length is (e^n - 1) / rate with n requests in flight on average,
    plus a term that grows with the logarithm of the requests that gathered while the adapter waited. Between two stays
    the adapter waits for the next request and then for a slot, so all stays together need ``sum of stay / (stay + wait
    + 1 / rate)`` slots. This number falls as the wait grows, and the wait settles where it equals the number of slots.
    If no wait is needed, adapters stay in their slots after their last request until others evict them, the least
    recently used first.
    """
    wanted = busy_adapters(mean.by_octave, pace, mean.dispersion)
    # While all slots are busy, loading an adapter evicts one that is in the batch and must be loaded again at once.
    # This evicts the next one. In the twin, an adapter that joins the batch causes about sqrt(slots) loads in this way.
    chain = math.sqrt(slots)
    if wanted.mean < slots:
        loads = _newcomers(pace, mean, slots) * (1.0 + (chain - 1.0) * exceeds(wanted.mean, wanted.variance, slots))
        return Turns(0.0, 0.0, 1.0, loads)
    stays = _stays(pace, mean, duration)
    if stays.slots > slots:
        return Turns(duration, stays.waiting, slots / stays.slots, stays.per_second * chain)
    low, high = math.log(1e-3), math.log(duration)
    while high - low > 0.02:
        middle = 0.5 * (low + high)
        stays = _stays(pace, mean, math.exp(middle))
        if stays.slots > slots:
            low = middle
        else:
            high = middle
    return Turns(math.exp(high), stays.waiting, 1.0, stays.per_second * chain)


@compiled
def exceeds(mean: float, variance: float, slots: float) -> float:
    """Probability that more adapters are busy than there are slots, if their number is normally distributed."""
    return 0.5 * math.erfc((slots + 0.5 - mean) / math.sqrt(2.0 * max(variance, 1e-9)))


@compiled
def _newcomers(pace: float, mean: MeanTraffic, slots: float) -> float:
    """Requests per second that find their adapter evicted, if a slot can be freed for each of them at once."""
    by_octave, answer = mean.by_octave, mean.answer
    lingering = _lingering(by_octave, pace, answer, slots)
    newcomers = 0.0
    for i in range(len(by_octave)):
        adapters = by_octave[i, OCTAVE_ADAPTERS]
        if adapters > 0.0:
            rate = by_octave[i, OCTAVE_TOKENS] / adapters / answer
            newcomers += adapters * rate * math.exp(-rate * (answer * pace + lingering))
    return newcomers


@compiled
def _stays(pace: float, mean: MeanTraffic, wait: float) -> Stays:
    """Estimate the stays of adapters that wait `wait` seconds for a slot."""
    slots = per_second = waiting = total = 0.0
    by_octave, answer, spread = mean.by_octave, mean.answer, mean.answer_spread
    lifetime = answer * pace
    for i in range(len(by_octave)):
        adapters, tokens = by_octave[i, OCTAVE_ADAPTERS], by_octave[i, OCTAVE_TOKENS]
        if adapters == 0.0 or tokens == 0.0:
            continue
        rate = tokens / adapters / answer
        stay = math.expm1(min(_LONGEST_STAY, rate * lifetime)) / rate + spread * lifetime * math.log1p(rate * wait)
        turn = stay + wait + 1.0 / rate
        slots += adapters * stay / turn
        per_second += adapters / turn
        waiting += adapters * (1.0 + rate * wait) / turn
        total += adapters * rate
    return Stays(slots, per_second, waiting / max(total, 1e-300))


@compiled
def _lingering(by_octave: Array, pace: float, answer: float, slots: float) -> float:
    """Seconds for which an adapter stays in its slot after its last request.

    It stays until as many other adapters have been used as there are slots: Che's approximation of an LRU cache.
    """
    low, high = math.log(1e-3), math.log(1e7)
    while high - low > 0.05:
        middle = 0.5 * (low + high)
        if busy_adapters(by_octave, pace + math.exp(middle) / answer, 1.0).mean < slots:
            low = middle
        else:
            high = middle
    return math.exp(high)
