"""Conversations: requests of a recording that belong to one adapter, because their prompts begin alike."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.drawing.prefixes import Prefixes
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.sources.recording import Recording
from adaptwin.workload.workload import Workload

# With more requests than either, a beginning is common: a system prompt, and no sign that they belong together.
COMMON_SHARE = 0.05  # of all requests
COMMON_REQUESTS = 10


class SharedInTrace(NamedTuple):
    """How much of the prompts of a trace an earlier prompt has begun with, and how much of that a fleet keeps."""

    prompts: int  # that begin like an earlier one
    share: float  # of all prompt tokens; the hit rate of a cache without limits that all adapters share
    within: float  # the same within each adapter, whose blocks no other adapter hits
    kept: bool  # whether the fleet tells which prompts begin alike


def shared_in_trace(recording: Recording, workload: Workload) -> SharedInTrace | None:
    """Return what prompts of a recording share, and of the workload that was made of it; None if nothing is known."""
    shared = recording.prefixes.tokens
    if not shared.any():
        return None
    kept = [adapter for adapter in workload.adapters if adapter.prefixes]
    within = sum(tokens for adapter in kept for _, tokens in adapter.prefixes or ())
    every = sum(
        sum(pair[0] for pair in adapter.lengths.pairs)
        for adapter in workload.adapters
        if adapter.lengths and isinstance(adapter.arrivals, tuple)
    )
    total = int(recording.input.sum())
    return SharedInTrace(int((shared > 0).sum()), int(shared.sum()) / total, within / max(1, every), bool(kept))


def conversations(prefixes: Prefixes) -> NDArray[np.int64]:
    """Return the number of each request's conversation; shape (requests,).

    A request belongs to the conversation of the one it shares most with, unless that beginning is common.
    """
    count = len(prefixes.source)
    source, tokens = prefixes.source.tolist(), prefixes.tokens.tolist()
    extents: defaultdict[int, list[int]] = defaultdict(list)  # by request: how many of its first tokens others have
    for r in range(count):
        origin, extent = source[r], tokens[r]
        while origin >= 0:
            extents[origin].append(extent)
            origin, extent = source[origin], min(extent, tokens[origin])
    rising = {origin: np.sort(shared) for origin, shared in extents.items()}
    most = max(COMMON_REQUESTS, COMMON_SHARE * count)
    of_request = np.arange(count)
    for r in range(count):
        if source[r] >= 0:
            shared = rising[source[r]]
            alike = len(shared) - int(np.searchsorted(shared, tokens[r])) + 1
            if alike <= most:
                of_request[r] = of_request[source[r]]
    return of_request


def share_out_conversations(prefixes: Prefixes, weights: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Return the adapter of each request: whole conversations, drawn in proportion to the weights of the adapters."""
    chances = np.array(weights, np.float64) / sum(weights)
    of_request, number = np.unique(conversations(prefixes), return_inverse=True)
    generator = np.random.default_rng(stream_seed(seed, "", "conversations"))
    adapters: NDArray[np.int64] = generator.choice(len(chances), len(of_request), p=chances)[number]
    return adapters
