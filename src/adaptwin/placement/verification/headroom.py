"""Headroom: how much more traffic a server sustains with each of several seeds that the search did not use.

One seed tells little. With bursts, the traffic that a server sustains varies by several per cent from seed to seed. The
headroom is therefore the traffic that the server sustains with all of `HEADROOM_SEEDS` fresh seeds. With one more seed,
it sustains that traffic with a probability of `HEADROOM_SEEDS` / (`HEADROOM_SEEDS` + 1), as each seed is equally likely
to be the worst of all.

A seed with which the server sustains some traffic is assumed to do so with less. So the limit is searched for with one
seed, and each other seed costs one run, unless it is worse than all before.
"""

from typing import NamedTuple

from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import Bisected, largest_near, largest_within
from adaptwin.placement.packing.problem import Assignment
from adaptwin.plan.forecast import HEADROOM_SEEDS, MOST_HEADROOM
from adaptwin.workload.drawing.seeds import stream_seed

HEADROOM_PRECISION = 2.0  # per cent of the planned traffic; whole numbers keep sums of steps exact
USUAL_HEADROOM = 10.0  # per cent: where the search starts if the surrogate does not know the server


class FoundHeadroom(NamedTuple):
    """The headroom of a server, as a share of its traffic, and an answer just beyond it."""

    headroom: float
    too_much: float  # a share with which the server fails; equal to the headroom where no limit was found
    seed: int  # a seed with which it fails then
    answer: Answer  # the answer with `too_much` and this seed


def find_headroom(capacity: Capacity, assignment: Assignment) -> FoundHeadroom:
    """Return how much more traffic a server sustains with each of the fresh seeds."""
    asked = _Asked(capacity, assignment)
    worst, *others = headroom_seeds(capacity.workload.seed)
    found = asked.limit(worst, _predicted_headroom(capacity, assignment))
    for seed in others:
        if found.low > 0.0 and not asked.holds(found.low, seed):
            worst, found = seed, asked.limit(seed, found.low)
    return FoundHeadroom(found.low / 100.0, found.high / 100.0, worst, asked.answer(found.high, worst))


def headroom_seeds(seed: int) -> tuple[int, ...]:
    """Return the seeds with which headroom is measured; they depend only on the seed of the plan."""
    return tuple(stream_seed(seed, "headroom", str(number)) >> 1 for number in range(HEADROOM_SEEDS))


class _Asked:
    """Answers about one server with more traffic, in per cent, each simulated once."""

    def __init__(self, capacity: Capacity, assignment: Assignment) -> None:
        self._capacity, self._assignment = capacity, assignment
        self._answers: dict[tuple[float, int], Answer] = {}

    def answer(self, percent: float, seed: int) -> Answer:
        """Return the answer with so much more traffic, drawn with this seed."""
        key = percent, seed
        if key not in self._answers:
            part = self._capacity.fresh_part(self._assignment.shares, 1.0 + percent / 100.0, seed)
            self._answers[key] = self._capacity.simulate(part, self._assignment.server)
        return self._answers[key]

    def holds(self, percent: float, seed: int) -> bool:
        """Whether the server sustains so much more traffic with this seed."""
        return self.answer(percent, seed).ok

    def limit(self, seed: int, start: float) -> Bisected:
        """Bracket what the server sustains with this seed, in per cent, searched for from `start`."""
        most = 100.0 * MOST_HEADROOM
        return largest_near(start, 0.0, most, HEADROOM_PRECISION, lambda percent: self.holds(percent, seed))


def _predicted_headroom(capacity: Capacity, assignment: Assignment) -> float:
    """Return how much more traffic, in per cent, a server sustains by the surrogate's prediction."""

    def likely_holds(percent: float) -> bool:
        overload = capacity.predicted_overload(assignment.shares, assignment.server, 1.0 + percent / 100.0)
        return overload is not None and overload <= 0.5

    return round(largest_within(0.0, 100.0 * MOST_HEADROOM, HEADROOM_PRECISION, likely_holds).low) or USUAL_HEADROOM
