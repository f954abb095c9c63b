"""ProposedFast, the paper's placement as published: its small tree for starvation, and its test of the last GPU.

The splits of the trees are those that the authors print. The throughput that chooses between two numbers of slots came
from a tree whose splits are not printed; here, it is that of the surrogate, or of the twin. Where the published code
runs out of its given GPUs, this one opens further ones.
"""

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from adaptwin import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.strategies.paper_greedy import TEST_POINTS
from paper_claims import MOST_SLOTS


class Leaf(NamedTuple):
    """A leaf of a tree: the bounds of what reaches it, of which the first that holds counts, and its answer."""

    most_rate: float  # sum of the adapters' rates, requests/s
    most_slots: float
    most_spread: float  # standard deviation of the rates
    most_adapters: float
    served: float  # probability that the server is not starved


LEAVES = {
    "llama-3.1-8b-instruct": (
        Leaf(13.88, inf, inf, 352, 0.999),
        Leaf(13.88, inf, inf, inf, 0.967),
        Leaf(19.98, 12, inf, inf, 0.64),
        Leaf(19.98, inf, inf, inf, 0.98),
        Leaf(23.52, 12, inf, inf, 0.33),
        Leaf(23.52, 80, inf, inf, 0.94),
        Leaf(23.52, inf, 0.185, inf, 0.09),
        Leaf(23.52, inf, inf, inf, 0.73),
        Leaf(25.39, 12, inf, inf, 0.22),
        Leaf(27.51, 12, inf, inf, 0.0),
        Leaf(27.51, inf, inf, 144, 0.65),
        Leaf(27.51, inf, inf, inf, 0.21),
        Leaf(inf, inf, 1.514, 24, 0.44),
        Leaf(inf, inf, 1.514, inf, 0.003),
        Leaf(inf, inf, inf, 48, 0.79),
        Leaf(inf, inf, inf, inf, 0.0),
    ),
    "qwen-2.5-7b-instruct": (
        Leaf(14.65, inf, inf, 352, 0.9996),
        Leaf(14.65, inf, inf, inf, 0.978),
        Leaf(16.29, 176, inf, inf, 0.96),
        Leaf(16.29, inf, inf, inf, 0.29),
        Leaf(27.51, 12, inf, inf, 0.41),
        Leaf(27.51, 144, inf, inf, 0.91),
        Leaf(27.51, inf, inf, 176, 0.43),
        Leaf(27.51, inf, inf, inf, 0.05),
        Leaf(38.2, 12, inf, 48, 0.0),
        Leaf(38.2, inf, inf, 48, 0.96),
        Leaf(inf, inf, inf, 48, 0.0),
        Leaf(28.16, 80, inf, inf, 0.54),
        Leaf(28.16, inf, inf, inf, 0.07),
        Leaf(35.6, inf, inf, inf, 0.04),
        Leaf(inf, inf, inf, inf, 0.0),
    ),
}


def served_probability(model: str, rates: Sequence[float], slots: int) -> float:
    """Return the probability of the published tree that a server with these rates is not starved."""
    asked = sum(rates), slots, float(np.std(rates)), len(rates)
    return next(leaf.served for leaf in LEAVES[model] if all(a <= b for a, b in zip(asked, leaf[:4], strict=True)))


class Fast:
    """A placement by the published algorithm. `padded` is whether the last test of a GPU overstates its load."""

    def __init__(self, model: str, problem: Problem, *, padded: bool = True) -> None:
        self._model, self._capacity, self._padded = model, problem.capacity, padded
        self.overstated: list[float] = []  # of each last test: the sum of rates that is tested over the real one
        self._open()

    def placement(self) -> list[Assignment]:
        """Place all adapters; raises `Infeasible` where not even the first test of an empty GPU passes."""
        queue = deque(_in_order(self._capacity))
        done: list[tuple[list[str], int]] = []
        while queue or self._pending:
            if queue:
                self._pending.append(queue.popleft())
                if len(self._committed) + len(self._pending) < TEST_POINTS[self._test]:
                    continue
            fits = self._fits(last=len(self._committed) + len(self._pending) < TEST_POINTS[self._test])
            if not fits:
                if not self._committed:
                    raise Infeasible("adapters: the published algorithm finds no place for the first ones of a GPU")
                queue.extendleft(reversed(self._pending))
            if not fits or self._test == len(TEST_POINTS):
                done.append((self._committed, self._slots))
                self._open()
        done += [(self._committed, self._slots)] if self._committed else []
        shares = [(dict.fromkeys(names, 1.0), slots) for names, slots in done]
        return [Assignment(self._capacity.server(each, slots), each) for each, slots in shares]

    def _open(self) -> None:
        self._committed: list[str] = []
        self._pending: list[str] = []
        self._slots = self._test = self._step = 0

    def _fits(self, *, last: bool) -> bool:
        """Test the GPU with its pending adapters, and commit them if the tree says that it is not starved."""
        names = self._committed + self._pending
        rank = max(self._capacity.slot_rank(name) for name in names)
        larger = TEST_POINTS[min(self._step, len(TEST_POINTS) - 1)]
        most = MOST_SLOTS[self._model][rank]
        candidates = [slots for slots in dict.fromkeys((self._slots, larger)) if 0 < slots <= most]
        if not candidates:
            return False
        shares = dict.fromkeys(names, 1.0)
        chosen = max(candidates, key=lambda slots: (self._throughput(shares, slots), slots))
        if served_probability(self._model, self._tested_rates(names, last=last), chosen) <= 0.5:
            return False
        self._step += chosen == larger
        self._committed, self._pending, self._slots = names, [], chosen
        self._test += not last
        return True

    def _throughput(self, shares: dict[str, float], slots: int) -> float:
        return self._capacity.estimate(shares, slots).throughput if self._capacity.starts(shares, slots) else 0.0

    def _tested_rates(self, names: list[str], *, last: bool) -> list[float]:
        """Return the rates that are tested: at the end, dummies with the mean rate come on top of the real adapters.

        Their number forgets the adapters that an earlier test committed.
        """
        rates = [self._capacity.rate(name) for name in names]
        if not last or not self._padded:
            return rates
        mean = float(np.mean(rates))
        tested = [*rates, *[mean] * (TEST_POINTS[self._test] - len(self._pending))]
        self.overstated.append(sum(tested) / max(1e-12, sum(rates)))
        return tested


def _in_order(capacity: Capacity) -> list[str]:
    """Return the adapters by falling rank, and within a rank the highest and the lowest remaining rate in turn."""
    order: list[str] = []
    for rank in sorted({capacity.slot_rank(name) for name in capacity.names}, reverse=True):
        of_rank = [name for name in capacity.names if capacity.slot_rank(name) == rank]
        left = deque(sorted(of_rank, key=lambda name: (-capacity.rate(name), name)))
        while left:
            order.append(left.popleft())
            if left:
                order.append(left.pop())
    return order
