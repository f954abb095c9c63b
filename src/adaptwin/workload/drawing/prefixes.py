"""Prefixes: the first tokens that prompts have in common with earlier requests."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

_ALL_TOKENS = 2**31 - 1  # tokens of a request, however long it is


class Prefixes(NamedTuple):
    """The first tokens that each prompt shares with an earlier request; both arrays are empty if no prompt shares any.

    The tokens of a request are those of its prompt, followed by those of its answer. The first `tokens[r]` tokens of
    the prompt of request r are also the first tokens of request `source[r]`, an earlier request to the same adapter. No
    request before r has more in common with it, so two requests share exactly what follows from these links.
    """

    source: NDArray[np.int32]  # (requests,), or (0,); -1: the prompt shares no token with an earlier request
    tokens: NDArray[np.int32]  # (requests,), or (0,); at most the length of the prompt

    def of(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the prefixes that some of the requests, given by a mask, share with each other."""
        if not len(self.source):
            return self
        place = np.cumsum(chosen) - 1
        source, tokens = np.full(int(chosen.sum()), -1, np.int32), np.zeros(int(chosen.sum()), np.int32)
        # By request: how many of its first tokens a chosen one has, and which.
        furthest: dict[int, tuple[int, int]] = {}
        for r in map(int, np.flatnonzero(chosen)):
            origin, extent = r, _ALL_TOKENS
            while origin >= 0:
                known, holder = furthest.get(origin, (0, -1))
                if source[place[r]] < 0 and min(extent, known) > self.tokens[origin]:
                    source[place[r]], tokens[place[r]] = place[holder], min(extent, known)
                if known < extent:
                    furthest[origin] = extent, r
                origin, extent = int(self.source[origin]), min(extent, int(self.tokens[origin]))
        return type(self)(source, tokens)

    def repeated(self, number: NDArray[np.int64]) -> Self:
        """Return the prefixes of the requests if each occurs as often as `number` says, one copy after the other.

        A copy shares its first tokens with the copy of the same number of its source, or else with the last one.
        """
        if not len(self.source):
            return self
        left, counts = self.of(number > 0), number[number > 0]
        at, firsts = np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts
        rank, source = np.arange(len(at)) - firsts[at], left.source[at]
        copy = firsts[source] + np.minimum(rank, counts[source] - 1)
        return type(self)(np.where(source >= 0, copy, -1).astype(np.int32), left.tokens[at])


NO_PREFIXES = Prefixes(np.zeros(0, np.int32), np.zeros(0, np.int32))
