"""Fixed points: where the requests in flight agree with the step time, and adapter loads with the stalls they cause."""

from typing import NamedTuple

from adaptwin.jit import compiled
from adaptwin.steady_state.inputs import MeanTraffic, SteppingServer
from adaptwin.steady_state.slots import take_turns
from adaptwin.steady_state.step_time import pace_in_batch

_TOLERANCE = 1e-3  # relative, of the number of running requests
_TRIES = 40
_SETTLING, _DAMPED = 10, 20  # tries after which the share of served requests is changed by half, or by a fifth
_LARGEST_STALL = 0.95  # largest share of the time that adapter loads may take


class SettledBatch(NamedTuple):
    """The number of requests that run at once, and their pace."""

    running: float
    pace: float  # seconds from one token of an answer to the next


class SlotSharing(NamedTuple):
    """How adapters take turns in the slots, and what that costs."""

    wait: float  # seconds that an adapter without a slot waits for one
    waiting: float  # share of the LoRA requests that arrive while their adapter waits
    reached: float  # share of the requests that need no slot or get one within the window
    loads: float  # adapters loaded to the GPU per second
    stalled: float  # share of the time that these loads take


@compiled
def settle(
    most: float, full: float, mean: MeanTraffic, server: SteppingServer, adapters: float, duration: float
) -> tuple[SettledBatch, SlotSharing]:
    """Find the batch and the turns of adapters for which the assumed stalls equal those that loading then causes.

    `full` is the pace of a batch with `most` requests, which is as many as it can hold. The longer steps are stalled,
    the longer adapters stay in their slots and the less there is to load. The point where the two agree is found by
    bisection. The share of the requests that are served must agree, too. It is set to the share that would be served,
    or, while that leads back and forth, to a mean of both. Batch and turns that are returned belong to each other, even
    where `_TRIES` do not suffice.
    """
    batch = _balance(most, full, mean, server, 0.0, 1.0)
    sharing = SlotSharing(0.0, 0.0, 1.0, 0.0, 0.0)
    if server.slots == 0.0 or adapters <= server.slots:
        return batch, sharing
    low, high, stalled, reached = 0.0, _LARGEST_STALL, 0.0, 1.0
    for tried in range(_TRIES):
        if tried > 0:
            batch = _balance(most, full, mean, server, stalled, reached)
        turns = take_turns(batch.pace, mean, server.slots, duration)
        delayed = 0.5 * turns.wait * turns.waiting / duration
        served = 1.0 - mean.lora_share * (1.0 - turns.reached * (1.0 - delayed))
        needed = min(_LARGEST_STALL, turns.loads * server.load_seconds)
        sharing = SlotSharing(turns.wait, turns.waiting, reached, turns.loads, stalled)
        if (abs(needed - stalled) < 0.01 or high - low < 0.01) and abs(served - reached) < 0.01:
            break
        if needed > stalled:
            low = stalled
        else:
            high = stalled
        stalled = 0.5 * (low + high) if abs(needed - stalled) > 0.1 else min(high, max(low, 0.5 * (needed + stalled)))
        weight = 0.2 if tried >= _DAMPED else 0.5 if tried >= _SETTLING or abs(served - reached) > 0.1 else 1.0
        reached = (1.0 - weight) * reached + weight * served
    return batch, sharing


@compiled
def _balance(
    most: float, full: float, mean: MeanTraffic, server: SteppingServer, stalled: float, reached: float
) -> SettledBatch:
    """Find the batch, of at most `most` requests, whose step time keeps just as many requests in flight.

    `full` is the pace of a full batch, `stalled` the share of the time that adapter loads take, and `reached` the share
    of the requests that are served at all.
    """
    arriving = mean.rate * mean.answer * reached  # answer tokens/s
    slowed = 1.0 / (1.0 - stalled)
    low, high = 0.0, most
    # Requests in flight at the pace of a batch, minus its size: above 0 the batch fills, below 0 it empties.
    at_low = arriving * slowed * pace_in_batch(0.0, 0.0, mean, server)
    at_high = arriving * slowed * full - most
    if at_high >= 0.0:
        return SettledBatch(most, full * slowed)
    running = pace = 0.0
    for _ in range(_TRIES):
        running = (low * at_high - high * at_low) / (at_high - at_low)
        pace = slowed * pace_in_batch(running, running / arriving, mean, server)
        excess = arriving * pace - running
        if abs(excess) < _TOLERANCE * running:
            break
        if excess > 0.0:
            low, at_low, at_high = running, excess, 0.5 * at_high  # the Illinois rule: neither end stays for long
        else:
            high, at_high, at_low = running, excess, 0.5 * at_low
    return SettledBatch(running, pace)
