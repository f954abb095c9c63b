"""The API server of the compiled twin, which stands still while its metrics are written out for a scrape."""

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
        ("start", np.int64),  # of the last one: the server stands still from here
        ("end", np.int64),  # to here
        ("stalled", np.int64),  # by all of them together
    ]
)


class Scrapes(NamedTuple):
    """The scrapes of a run so far; times in nanoseconds."""

    every: int  # from the end of one scrape to the next; 0 is none
    cost: ScrapeCoefficients
    state: NDArray[np.void]  # (1,)


def no_scrapes(every: int, cost: ScrapeCoefficients) -> Scrapes:
    """The scrapes before the first one."""
    state = np.zeros(1, _SCRAPES)
    state["due"] = every if every > 0 else NO_MORE
    return Scrapes(every, cost, state)


@inlined
def passes(scrapes, presence, time):
    """When something that comes at `time` gets through the API server; times must not go back."""
    if scrapes.every == 0:
        return time
    state = scrapes.state[0]
    while state.due <= time:
        seen = presence.seen[0]
        seconds = _scrape_seconds(scrapes.cost, seen.label_sets, seen.labels)
        state.start = state.due
        state.end = state.start + np.int64(seconds * 1e9 + 0.5)
        state.stalled += state.end - state.start
        state.due = state.end + scrapes.every
    return after_stall(scrapes, time)


@inlined
def after_stall(scrapes, time):
    """When something that comes at `time` gets through the API server, as far as scrapes are known."""
    state = scrapes.state[0]
    return state.end if state.start <= time < state.end else time
