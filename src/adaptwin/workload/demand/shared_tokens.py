"""SharedTokens: how much of a mean prompt an earlier request may have had."""

from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.drawing.prefixes import Prefixes
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.recorded_prefixes import RecordedPrefixes, links_of
from adaptwin.workload.templates import Template
from adaptwin.workload.workload import Adapter, Workload


class SharedTokens(NamedTuple):
    """Means over the requests of an adapter, of their shared tokens: those that an earlier request began with as well.

    If all of them were in cached blocks, they would be the tokens that requests hit. Requests that are rejected as too
    long share nothing; the first request with each prefix counts like the others.
    """

    tokens: float
    squares: float
    focus: float  # of the shared tokens, times the share of the adapter's requests that begin with them
    answers: float  # of the shared tokens, times the answer tokens asked for


NOTHING_SHARED = SharedTokens(0.0, 0.0, 0.0, 0.0)


class Openings(NamedTuple):
    """What the prompts of an adapter begin with: templates, or recorded prefixes."""

    templates: tuple[Template, ...] = ()
    prefixes: RecordedPrefixes = ()

    @classmethod
    def of(cls, workload: Workload, adapter: Adapter) -> Self:
        """Return what the prompts of an adapter of a workload begin with."""
        return cls(workload.templates_of(adapter), adapter.prefixes or ())

    def between(self, first: int, last: int) -> Self:
        """Return them with the recorded prefixes of the requests from `first` to before `last` only."""
        return self._replace(prefixes=tuple((max(-1, at - first), many) for at, many in self.prefixes[first:last]))

    @property
    def longest(self) -> int:
        """The most tokens that a prompt may share."""
        return max((template.tokens for template in self.templates), default=0) or max(
            (tokens for _, tokens in self.prefixes), default=0
        )


@lru_cache(maxsize=4096)
def shared_tokens(lengths: Lengths, openings: Openings, longest: int) -> SharedTokens:
    """Return the shared tokens of requests with these lengths; those of over `longest` tokens are rejected."""
    if openings.prefixes:
        return _of_recorded(lengths, links_of(openings.prefixes), longest)
    return _of_templates(lengths, openings.templates, longest) if openings.templates else NOTHING_SHARED


def _of_recorded(lengths: Lengths, links: Prefixes, longest: int) -> SharedTokens:
    """Return the shared tokens of requests with recorded prefixes.

    Tokens that come again after g requests of the adapter, on average, are those that every g-th begins with.
    """
    table, tokens = lengths.table(), links.tokens.astype(np.float64)
    answers = np.full(len(tokens), table.output.mean())
    if lengths.belong_to(len(tokens)):
        answers = table.output.astype(np.float64)
        tokens = tokens * (table.input + table.output <= longest)
    mean, apart = float(tokens.mean()), float((tokens * _gaps(links.source)).mean())
    focus = mean * mean / apart if apart > 0.0 else 0.0
    return SharedTokens(mean, float((tokens * tokens).mean()), focus, float((tokens * answers).mean()))


def _gaps(source: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how many requests ago the source of each request, or another request with the same source, came."""
    order = np.argsort(source, kind="stable")
    latest = source.copy()
    again = np.flatnonzero(source[order][1:] == source[order][:-1]) + 1
    latest[order[again]] = order[again - 1]
    return np.arange(len(source)) - latest


def _of_templates(lengths: Lengths, templates: tuple[Template, ...], longest: int) -> SharedTokens:
    """Return the shared tokens of requests of which a prompt that is longer than its template begins with it."""
    table = lengths.table()
    if table.joint:
        served = (table.input + table.output <= longest).astype(np.float64)
        answers = served * table.output
    else:
        rising = np.sort(table.output)
        fitting = np.searchsorted(rising, longest - table.input, side="right")  # number of answers, per prompt
        served = fitting / len(rising)
        answers = np.concatenate(([0.0], np.cumsum(rising)))[fitting] / len(rising)
    sums = np.zeros(len(SharedTokens._fields))
    for template in templates:
        begins = table.input > template.tokens
        shared = template.share * template.tokens * float((served * begins).mean())
        of_answers = template.share * template.tokens * float((answers * begins).mean())
        sums += shared, shared * template.tokens, shared * template.share, of_answers
    return SharedTokens(*sums.tolist())
