"""Column generation: configurations with which few servers suffice, found by predictions.

First come the obvious mixes: every class alone, pairs of them, all of one rank, all up to a rank. Then the mixes that
the linear program uses are varied, one class at a time. A variation is added if the dual values say that it would save
servers.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from adaptwin.placement.configurations.linear_program import Covering, fewest
from adaptwin.placement.configurations.mixes import ClassMix, Mixes

VARIATIONS = (0.4, -0.4)  # of one class in a mix, as shares of the load of a server
LEAST_WORTH = 1.004  # dual value of a variation that is added
MOST_ADDED = 12  # variations that are added in a round
UNUSED = 1e-6  # servers up to which a configuration counts as not used
LEAST_PROGRESS = 0.002  # share of the servers that a round must save for another one


class Generated(NamedTuple):
    """Configurations, and the best way to cover all classes with them."""

    configurations: list[ClassMix]
    covering: Covering

    @property
    def used(self) -> list[tuple[ClassMix, float]]:
        """The configurations that some servers have, and how many servers have each."""
        return [
            (mix, copies)
            for mix, copies in zip(self.configurations, self.covering.copies.tolist(), strict=True)
            if copies > UNUSED
        ]


def generate(mixes: Mixes, rounds: int, known: Sequence[ClassMix] = ()) -> Generated:
    """Generate configurations besides the known ones, with this many rounds of variations at most."""
    found = [*known, *(mix for direction in _directions(mixes) if (mix := mixes.largest(direction)) is not None)]
    generated = Generated(found, fewest(found))
    for _ in range(rounds):
        before = generated.covering.servers
        worth = sorted(
            (
                (float(generated.covering.values @ mix), number, mix)
                for number, mix in enumerate(_variations(mixes, generated))
            ),
            key=lambda each: (-each[0], each[1]),
        )
        added = [mix for value, _, mix in worth if value > LEAST_WORTH][:MOST_ADDED]
        if not added:
            break
        found = [*generated.configurations, *added]
        generated = Generated(found, fewest(found))
        if generated.covering.servers > (1.0 - LEAST_PROGRESS) * before:
            break
    return generated


def _directions(mixes: Mixes) -> Iterator[ClassMix]:
    """Yield the obvious mixes, each once."""
    classes, ranks = len(mixes.classes), mixes.ranks
    groups = [np.arange(classes) == i for i in range(classes)]
    for rank in sorted(set(ranks.tolist())):
        groups += [ranks == rank, ranks <= rank]
    for chosen in {tuple(group.tolist()): group for group in groups}.values():
        yield chosen * 1.0  # all of each class
    for i in range(classes):
        for j in range(i):
            yield ((np.arange(classes) == i) | (np.arange(classes) == j)) / mixes.loads  # as much load of both


def _variations(mixes: Mixes, generated: Generated) -> Iterator[ClassMix]:
    for mix, _ in generated.used:
        full = float(mix @ mixes.loads)
        for i in range(len(mix)):
            for part in VARIATIONS:
                varied = mix.copy()
                varied[i] = max(0.0, varied[i] + part * full / mixes.loads[i])
                if varied.any() and (larger := mixes.largest(varied)) is not None:
                    yield larger
