"""Slots: the numbers of slots with which a server serves its adapters, and the best of them."""

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import ServerDemand
from adaptwin.placement.caution import MOST_LOAD, SLOT_LIKELIHOOD, SLOT_STRESS_FACTOR
from adaptwin.surrogate.surrogate import Prediction

CONTENDERS = 4  # numbers of slots, the best by the surrogate, that the twin compares
RESIDENCE_SECONDS = 8.0  # rough time that a request spends in a well-loaded server


class SlotChoice(NamedTuple):
    """A number of slots, and how a server serves its adapters with it."""

    max_loras: int
    answer: Answer


def choose_slots(capacity: Capacity, shares: Mapping[str, float], factor: float = 1.0) -> SlotChoice | None:
    """Return a number of slots that serves these adapters at `factor` times their traffic; None if there is none.

    Of the numbers at which the surrogate is confident that the server serves, the one with the lowest mean end-to-end
    latency is returned. If there is none, the twin is run on the likeliest numbers, up to the first that serves.
    """
    choices = capacity.slot_choices(shares)
    if not choices or capacity.load(shares) * factor > MOST_LOAD:
        return None
    demand = capacity.demand_of(shares.items())
    predictions = capacity.predict(demand, choices, factor)
    sure = capacity.sure_answers(demand, predictions) or [None] * len(choices)
    good = [SlotChoice(slots, answer) for slots, answer in zip(choices, sure, strict=True) if answer and answer.ok]
    if good:
        return min(good, key=_latency)
    unsure = [index for index, answer in enumerate(sure) if answer is None]
    left, known = [choices[i] for i in unsure], [predictions[i] for i in unsure if predictions]
    for slots in _likeliest(capacity, shares, left, known, factor):
        answer = capacity.ask(shares, slots, factor)
        if answer.ok:
            return SlotChoice(slots, answer)
    return None


def best_slots(capacity: Capacity, shares: Mapping[str, float]) -> SlotChoice:
    """Return the number of slots that serves these adapters with the lowest mean end-to-end latency.

    This latency weighs the time to the first token, which more slots shorten, against the time between tokens, which
    they lengthen. Numbers are compared under slightly more traffic where that is served too, so that one without
    headroom does not win. Raises `Infeasible` when no number of slots serves the adapters.
    """
    contenders = _contenders(capacity, shares)
    stressed = [SlotChoice(slots, capacity.ask(shares, slots, SLOT_STRESS_FACTOR)) for slots in contenders]
    for choice in sorted((choice for choice in stressed if choice.answer.ok), key=_latency):
        answer = capacity.ask(shares, choice.max_loras)
        if answer.ok:
            return SlotChoice(choice.max_loras, answer)
    asked = (SlotChoice(slots, capacity.ask(shares, slots)) for slots in contenders)
    good = [choice for choice in asked if choice.answer.ok]
    if not good:
        raise Infeasible(f"{len(shares)} adapters do not fit on one {capacity.profile.name}")
    return min(good, key=_latency)


def best_or_most_served(capacity: Capacity, shares: Mapping[str, float]) -> int:
    """Return the best number of slots or, where none serves all adapters, the one that serves the most.

    It is 1 where the server starts with none.
    """
    try:
        return best_slots(capacity, shares).max_loras
    except Infeasible:
        choices = capacity.slot_choices(shares)
        return max(choices, key=lambda slots: capacity.ask(shares, slots).served, default=1)


def expected_prediction(capacity: Capacity, demand: ServerDemand, factor: float = 1.0) -> Prediction | None:
    """Return the prediction for the best number of slots by the surrogate; None where it knows no such server."""
    predictions = capacity.known_predictions(demand, factor)
    return min(predictions, key=lambda each: (each.overload > 0.5, each.e2e_mean), default=None)


def downhill(choices: list[int], start: int, cost: Callable[[int], float]) -> Iterable[int]:
    """Yield choices from `start` outwards: on either side until the cost rises."""
    yield choices[start]
    for direction in (1, -1):
        i, least = start, cost(choices[start])
        while 0 <= i + direction < len(choices):
            i += direction
            yield choices[i]
            if cost(choices[i]) > least:
                break
            least = cost(choices[i])


def _latency(choice: SlotChoice) -> tuple[float, int]:
    return choice.answer.e2e_mean, choice.max_loras


def _likeliest(
    capacity: Capacity, shares: Mapping[str, float], choices: list[int], predictions: list[Prediction], factor: float
) -> Iterable[int]:
    """Return numbers of slots in the order in which to run the twin on them.

    If the surrogate knows all of them, these are the few with which overload is least likely. Otherwise the end-to-end
    latency is the guide: it falls with more slots, until the KV cache that they take away and the cost of idle slots
    weigh more. The search therefore starts at about as many slots as adapters are busy at once, and goes downhill. It
    does so a second time from the most slots: where every request finds a slot, none is passed over for lack of one,
    and the latency is often lower than with somewhat fewer slots.
    """
    if len(choices) < 2:
        return choices
    if predictions and all(prediction.inside for prediction in predictions):
        ranked = sorted(zip(choices, predictions, strict=True), key=lambda pair: pair[1].overload)
        return [slots for slots, _ in ranked[:CONTENDERS]]
    busy = _busy_adapters(capacity, shares)
    starts = min(range(len(choices)), key=lambda i: abs(choices[i] - busy)), len(choices) - 1
    ways = (downhill(choices, start, lambda slots: capacity.ask(shares, slots, factor).e2e_mean) for start in starts)
    return _distinct(chain.from_iterable(ways))


def _distinct(numbers: Iterable[int]) -> Iterable[int]:
    """Yield each number when it comes first."""
    seen: set[int] = set()
    for number in numbers:
        if number not in seen:
            seen.add(number)
            yield number


def _busy_adapters(capacity: Capacity, shares: Mapping[str, float]) -> float:
    """Estimate how many adapters have a request running at a time, if each request takes `RESIDENCE_SECONDS`."""
    rates = np.array([capacity.rate(name) * share for name, share in shares.items() if capacity.adapter(name).rank])
    return float(np.sum(1.0 - np.exp(-rates * RESIDENCE_SECONDS)))


def _contenders(capacity: Capacity, shares: Mapping[str, float]) -> list[int]:
    """Return the numbers of slots on which to run the twin: all that start, or the best ones by the surrogate.

    The best ones exclude numbers that are clearly riskier than the safest, as other arrivals may overload an adapter.
    """
    choices, demand = capacity.slot_choices(shares), capacity.demand_of(shares.items())
    predictions = capacity.predict(demand, choices)
    if len(choices) <= CONTENDERS or not predictions or not all(each.inside for each in predictions):
        return choices
    safest = min(prediction.overload for prediction in predictions)
    stressed = capacity.predict(demand, choices, SLOT_STRESS_FACTOR)
    likely = sorted(
        (under_stress.e2e_mean, slots)
        for slots, prediction, under_stress in zip(choices, predictions, stressed, strict=True)
        if prediction.overload <= max(SLOT_LIKELIHOOD, 2.0 * safest)
    )
    found = sorted(slots for _, slots in likely[:CONTENDERS])
    return found if any(capacity.ask(shares, slots).ok for slots in found) else choices
