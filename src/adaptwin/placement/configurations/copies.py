"""Copies: the bulk of a large fleet, dealt to servers with the same configuration, so that these servers are alike.

The linear program says which configurations few servers need, and how many servers each. The twin corrects how much a
server of each configuration holds. As many whole servers are dealt, and what is left over is placed one by one.
"""

import heapq
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.configurations.classes import MOST_CLASSES, LikeParts, classes_of
from adaptwin.placement.configurations.generation import Generated, generate
from adaptwin.placement.configurations.linear_program import fewest
from adaptwin.placement.configurations.mixes import ClassMix, Mixes
from adaptwin.placement.configurations.sampling import OFFSETS, confirmed_mix
from adaptwin.placement.packing.problem import Problem

LEAST_COPIES = 2  # servers of a configuration from which on they are dealt
LEAST_FILLED = 0.05  # of a server, for which one more is used
FEWEST_DEALT = 50  # of a class: fewer cannot be dealt evenly


class Dealt(NamedTuple):
    """Servers that are alike, configuration by configuration, and the parts that have no server."""

    copies: list[list[list[AdapterPart]]]  # by configuration, then by server
    left: list[AdapterPart]


def deal_copies(problem: Problem, parts: Sequence[AdapterPart], factor: float, rounds: int = 1) -> Dealt:
    """Deal these parts to servers that are alike and sustain `factor` times their traffic, as far as they come out.

    All are left where there are more than `MOST_CLASSES`. The twin has confirmed a server of each configuration, but
    not the copies.
    """
    capacity = problem.capacity
    classes = classes_of(capacity, parts)
    many = [alike for alike in classes if len(alike.parts) >= FEWEST_DEALT]
    few = [part for alike in classes if len(alike.parts) < FEWEST_DEALT for part in alike.parts]
    few += [part for part in parts if capacity.load_of(part) <= 0.0]
    if not many or len(classes) > MOST_CLASSES:
        return Dealt([], list(parts))
    mixes = Mixes(capacity, many, factor)
    problem.progress("combining classes of adapters", 0, 3)
    generated = generate(mixes, rounds)
    problem.progress("combining classes of adapters", 1, 3)
    confirmed = confirmed_configurations(problem, mixes, generated, factor)
    problem.progress("combining classes of adapters", 2, 3)
    whole = [(mix, int(copies + 1e-9)) for mix, copies in confirmed if copies >= LEAST_COPIES]
    dealt = _dealt(many, whole)
    full = [float(mix @ mixes.loads) for mix, _ in whole]
    copies = [_tight(capacity, alike, load) for alike, load in zip(dealt.copies, full, strict=True)]
    problem.progress("combining classes of adapters", 3, 3)
    return Dealt(copies, dealt.left + few)


def confirmed_configurations(
    problem: Problem, mixes: Mixes, generated: Generated, factor: float
) -> list[tuple[ClassMix, float]]:
    """Return configurations of the size that the twin confirms, and how many servers need each of them."""
    calls = (
        joblib.delayed(confirmed_mix)(problem.capacity, mixes, mix, (factor, 1.0), OFFSETS) for mix, _ in generated.used
    )
    sized: list[ClassMix] = list(joblib.Parallel(n_jobs=-1, require="sharedmem")(calls))
    covering = fewest(sized)
    return [(mix, copies) for mix, copies in zip(sized, covering.copies.tolist(), strict=True) if copies > 0.0]


def _dealt(classes: Sequence[LikeParts], whole: Sequence[tuple[ClassMix, int]]) -> Dealt:
    """Deal the parts of each class to servers in proportion to the shares of the class that they should have.

    The classes with the largest parts come first: what a server gets too much or too little of one class is made up for
    by the next.
    """
    shares = np.array([mix for mix, copies in whole for _ in range(copies)]).reshape(-1, len(classes))
    servers: list[list[AdapterPart]] = [[] for _ in range(len(shares) + 1)]  # the last one has what is left
    ahead = np.zeros(len(servers))  # load that each server has above what it should have
    for column in sorted(range(len(classes)), key=lambda at: -float(classes[at].loads[0])):
        wanted = np.append(shares[:, column], max(0.0, 1.0 - shares[:, column].sum()))
        _deal_class(classes[column], wanted / wanted.sum(), servers, ahead)
    bounds = np.cumsum([0, *(copies for _, copies in whole)])
    return Dealt([servers[first:last] for first, last in pairwise(bounds.tolist())], servers[-1])


def _deal_class(
    alike: LikeParts, wanted: NDArray[np.float64], servers: list[list[AdapterPart]], ahead: NDArray[np.float64]
) -> None:
    """Give each part, those with the largest load first, to the server that lags most behind its share."""
    least = 1e-12
    total = float(alike.loads.sum())
    due = wanted * total
    queue = [
        (((0.5 * total / len(alike.parts)) + float(ahead[index])) / float(due[index]), index)
        for index in np.flatnonzero(wanted > least).tolist()
    ]
    heapq.heapify(queue)
    for part, load in zip(alike.parts, alike.loads.tolist(), strict=True):
        has, index = queue[0]
        servers[index].append(part)
        ahead[index] += load
        heapq.heapreplace(queue, (has + load / float(due[index]), index))
    ahead -= due
    ahead[-1] = 0.0


def _tight(capacity: Capacity, servers: list[list[AdapterPart]], full: float) -> list[list[AdapterPart]]:
    """Deal the parts of servers that are alike to as many of them as this load fills, if these are fewer.

    Where a single large part is more than a server should have of a class, the other servers get less of it.
    """
    loads = {part: capacity.load_of(part) for parts in servers for part in parts}
    count = math.ceil(sum(loads[part] for parts in servers for part in parts) / full - LEAST_FILLED)
    if not 0 < count < len(servers):
        return servers
    dealt: list[list[AdapterPart]] = [[] for _ in range(count)]
    queue = [(0.0, index) for index in range(count)]
    for part in sorted((part for parts in servers for part in parts), key=lambda part: (-loads[part], part.name)):
        has, index = queue[0]
        dealt[index].append(part)
        heapq.heapreplace(queue, (has + loads[part], index))
    return dealt
