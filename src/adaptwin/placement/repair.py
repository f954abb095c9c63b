"""repair: mend the servers that failed a verification, by moving adapters off them."""

from collections.abc import Sequence

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity import Capacity, Share
from adaptwin.placement.problem import Assignment

MOVED = 0.15  # of a failing server's load moves at a time


def relieve(capacity: Capacity, assignments: Sequence[Assignment], failing: Sequence[int]) -> list[Assignment]:
    """Take some load off each failing server: to the others that still serve with it, or else to a new one.

    `capacity` should ask for more headroom than the verification did, so that the same does not happen again.
    """
    hands = [dict(assignment.shares) for assignment in assignments]
    changed = set(failing)
    for index in failing:
        moving = _lightest(capacity, hands[index])
        for name in moving:
            del hands[index][name]
        target = _taker(capacity, hands, moving, avoid=set(failing))
        if target is None:
            hands.append({})
            target = len(hands) - 1
        for name, share in moving.items():
            hands[target][name] = hands[target].get(name, 0.0) + share
        changed.add(target)
    return [
        _assignment(capacity, hand) if index in changed else assignments[index]
        for index, hand in enumerate(hands)
        if hand
    ]


def _lightest(capacity: Capacity, hand: dict[str, float]) -> dict[str, float]:
    """The smallest adapters that together make up the part to move; never all of them."""
    total = capacity.load(hand)
    chosen: dict[str, float] = {}
    moved = 0.0
    for name in sorted(hand, key=lambda name: (capacity.load_of(Share(name, hand[name])), name)):
        if moved >= MOVED * total or len(chosen) + 1 == len(hand):
            break
        chosen[name] = hand[name]
        moved += capacity.load_of(Share(name, hand[name]))
    return chosen


def _taker(capacity: Capacity, hands: list[dict[str, float]], moving: dict[str, float], avoid: set[int]) -> int | None:
    """The least loaded server that still serves everybody with the moved adapters added."""
    load = [capacity.load(hand) for hand in hands]
    for index in sorted(set(range(len(hands))) - avoid, key=lambda i: load[i]):
        both = dict(hands[index])
        for name, share in moving.items():
            both[name] = both.get(name, 0.0) + share
        if capacity.fit(both):
            return index
    return None


def _assignment(capacity: Capacity, hand: dict[str, float]) -> Assignment:
    """Its best number of slots; where none serves at the raised traffic, the one that serves most."""
    try:
        return Assignment(capacity.server(hand, capacity.best(hand).max_loras), hand)
    except Infeasible:
        slots = max(capacity.slot_choices(hand), key=lambda slots: capacity.ask(hand, slots).served)
        return Assignment(capacity.server(hand, slots), hand)
