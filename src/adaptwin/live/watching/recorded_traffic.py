"""RecordedTraffic: requests of adapters in the windows of time in which a fleet was observed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from adaptwin.arrays import Array
from adaptwin.live.metering.router_counters import Counted

_WINDOW_ROUNDING = 1.0  # seconds by which a window may reach out of a stretch


class RecordedTraffic(NamedTuple):
    """Requests and tokens of adapters by window; windows may have gaps between them and different lengths."""

    names: tuple[str, ...]
    ends: Array  # of the windows, unix seconds, ascending
    seconds: Array  # length of each window
    requests: Array  # adapters x windows
    prompt_tokens: Array
    answer_tokens: Array

    @classmethod
    def of_windows(cls, windows: Sequence[tuple[float, float, Mapping[str, Counted]]]) -> "RecordedTraffic":
        """Return the traffic of windows: their end, their seconds, and the requests by adapter."""
        names = tuple(sorted({name for _, _, requests in windows for name in requests}))
        place = {name: index for index, name in enumerate(names)}
        table = np.zeros((3, len(names), len(windows)))
        for column, (_, _, requests) in enumerate(windows):
            for name, counted in requests.items():
                table[:, place[name], column] = counted
        ends, seconds = (np.array([window[part] for window in windows], dtype=np.float64) for part in (0, 1))
        return cls(names, ends, seconds, *table)

    @property
    def rate(self) -> float:
        """Requests per second of all adapters."""
        known = float(self.seconds.sum())
        return float(self.requests.sum()) / known if known > 0 else 0.0

    def between(self, start: float, end: float) -> "RecordedTraffic":
        """Return the windows that lie between two times."""
        inside = (self.ends - self.seconds >= start - _WINDOW_ROUNDING) & (self.ends <= end + _WINDOW_ROUNDING)
        tables = (table[:, inside] for table in (self.requests, self.prompt_tokens, self.answer_tokens))
        return RecordedTraffic(self.names, self.ends[inside], self.seconds[inside], *tables)

    def counts_of(self, names: Sequence[str]) -> Array:
        """Return the requests of some adapters by window; 0 for adapters without any."""
        place = {name: index for index, name in enumerate(self.names)}
        counts = np.zeros((len(names), len(self.ends)))
        for row, name in enumerate(names):
            if name in place:
                counts[row] = self.requests[place[name]]
        return counts

    def total_of(self, name: str) -> Counted:
        """Return the requests and tokens of an adapter in all windows."""
        if name not in self.names:
            return Counted(0.0, 0.0, 0.0)
        row = self.names.index(name)
        tables = (self.requests, self.prompt_tokens, self.answer_tokens)
        return Counted(*(float(table[row].sum()) for table in tables))
