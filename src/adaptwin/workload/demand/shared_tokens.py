"""SharedTokens: how much of a mean prompt an earlier request may have had."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from adaptwin.workload.lengths import Lengths
from adaptwin.workload.templates import Template
from adaptwin.workload.workload import Adapter, Workload


class SharedTokens(NamedTuple):
    """Means over the requests of an adapter, of their shared tokens: those that an earlier request began with as well.

    If all of them were in cached blocks, they would be the tokens that requests hit.
    """

    tokens: float
    squares: float
    focus: float  # of the shared tokens, times the share of the adapter's requests that begin with them


NOTHING_SHARED = SharedTokens(0.0, 0.0, 0.0)


def shared_tokens(workload: Workload, adapter: Adapter) -> SharedTokens:
    """Return the shared tokens of an adapter's requests, the first request with each prefix included."""
    if adapter.prefixes:
        return _of_recorded(adapter.prefixes)
    templates = workload.templates_of(adapter)
    return _of_templates(workload.lengths_of(adapter), templates) if templates else NOTHING_SHARED


def _of_recorded(prefixes: Sequence[tuple[int, int]]) -> SharedTokens:
    tokens = np.array(prefixes, np.float64)[:, 1]
    mean = float(tokens.mean())
    return SharedTokens(mean, float((tokens * tokens).mean()), mean / len(tokens))


@lru_cache(maxsize=4096)
def _of_templates(lengths: Lengths, templates: tuple[Template, ...]) -> SharedTokens:
    """Return the shared tokens of requests of which a prompt that is longer than its template begins with it."""
    prompts = lengths.table().input
    each = [(float(t.tokens), t.share, t.share * float((prompts > t.tokens).mean())) for t in templates]
    return SharedTokens(
        sum(requests * tokens for tokens, _, requests in each),
        sum(requests * tokens * tokens for tokens, _, requests in each),
        sum(requests * tokens * share for tokens, share, requests in each),
    )
