"""waiting_adapters: which adapters of a server wait without being served, and for how long."""

from collections.abc import Sequence
from math import ceil

from pydantic import Field

from adaptwin.live.watched_server import Reading, WatchedServer
from adaptwin.spec import Spec

LEAST_READINGS = 2
LEAST_OF_READINGS = 0.25  # of the readings: vLLM lists each adapter that arrives as waiting for one step


class WaitingAdapter(Spec):
    """An adapter with waiting requests and none that runs."""

    name: str = Field(description="name of the adapter")
    readings: int = Field(description="readings of the metrics in which it waits and has no running request")
    in_a_row: float = Field(description="longest time over which all readings found it so, in seconds")
    still_waits: bool = Field(description="whether the last reading found it so")


def waiting_adapters(watched: WatchedServer) -> tuple[WaitingAdapter, ...]:
    """Return the adapters that wait without a running request in a good part of the readings, the longest wait first.

    Single readings do not count: vLLM lists an adapter as waiting for the one step in which its request arrives.
    """
    readings = watched.readings
    names = {name for reading in readings for name in reading.metrics.waiting_adapters}
    found = [_waiting(name, readings) for name in sorted(names)]
    needed = max(LEAST_READINGS, ceil(LEAST_OF_READINGS * len(readings)))
    often = [adapter for adapter in found if adapter.readings >= needed]
    return tuple(sorted(often, key=lambda adapter: (-adapter.in_a_row, -adapter.readings, adapter.name)))


def _waiting(name: str, readings: Sequence[Reading]) -> WaitingAdapter:
    waits = [_is_not_served(name, reading) for reading in readings]
    longest, began = 0.0, None
    for reading, is_waiting in zip(readings, waits, strict=True):
        began = None if not is_waiting else reading.seconds if began is None else began
        longest = max(longest, reading.seconds - began) if began is not None else longest
    return WaitingAdapter(name=name, readings=sum(waits), in_a_row=longest, still_waits=waits[-1])


def _is_not_served(name: str, reading: Reading) -> bool:
    metrics = reading.metrics
    return name in metrics.waiting_adapters and name not in metrics.running_adapters and bool(metrics.waiting)
