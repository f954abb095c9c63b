"""The API server of the compiled twin, which stalls while it writes out its metrics for a scrape."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import inlined
from adaptwin.profile.scrape_cost import ScrapeCoefficients, scrape_seconds
from adaptwin.workload.drawing.requests import NO_MORE

_scrape_seconds = inlined(scrape_seconds)
_SCRAPES = np.dtype(
    [
        ("due", np.int64),  # when the next scrape begins
        ("start", np.int64),  # when the latest stall began
        ("end", np.int64),  # when the latest stall ends
        ("stalled", np.int64),  # time of all stalls
    ]
)


class Scrapes(NamedTuple):
    """The scrapes of a run so far; times in nanoseconds."""

    every: int  # pause from the end of one scrape to the next; 0: no scrapes
    cost: ScrapeCoefficients
    state: NDArray[np.void]  # (1,)


def no_scrapes(every: int, cost: ScrapeCoefficients) -> Scrapes:
    """Return the state before the first scrape."""
    state = np.zeros(1, _SCRAPES)
    state["due"] = every if every > 0 else NO_MORE
    return Scrapes(every, cost, state)


@inlined
def passes(scrapes, presence, time):
    """Return when a request or token that comes at `time` gets through the API server.

    Only the latest stall is remembered, so a time before it is returned unchanged.
    """
    if scrapes.every == 0:
        return time
    state = scrapes.state[0]
    if state.due <= time:
        seen = presence.seen[0]
        stall = np.int64(_scrape_seconds(scrapes.cost, seen.label_sets, seen.labels) * 1e9 + 0.5)
        more = (time - state.due) // (stall + scrapes.every)  # further scrapes until then: all take equally long
        state.start = state.due + more * (stall + scrapes.every)
        state.end = state.start + stall
        state.stalled += (more + 1) * stall
        state.due = state.end + scrapes.every
    return after_stall(scrapes, time)


@inlined
def after_stall(scrapes, time):
    """Return when a request or token that comes at `time` gets through, considering only scrapes that have begun."""
    state = scrapes.state[0]
    return state.end if state.start <= time < state.end else time
