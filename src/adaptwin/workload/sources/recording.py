"""Recording: the requests of a log, and the stretch of it that brings the most load."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.workload.drawing.prefixes import NO_PREFIXES, Prefixes
from adaptwin.workload.timestamps import copies, repeated

MOST_GAP = 30 * 86400.0  # seconds without a request that no log of one service has
MOST_GAP_RATIO = 1000.0  # a gap this many times as long as all the rest, and a minute, comes from a wrong time


class Recording(NamedTuple):
    """Recorded requests in order of arrival; every array has the shape (n,), and n is at least 1."""

    time: Array  # seconds since the beginning
    input: NDArray[np.int64]  # prompt tokens, at least 1
    output: NDArray[np.int64]  # answer tokens, at least 1
    duration: float  # seconds; every request arrives before
    adapter: NDArray[np.int64] | None = None  # index of the adapter that each request names; None: they name none
    prefixes: Prefixes = NO_PREFIXES  # in which requests that name different adapters share nothing

    @property
    def rate(self) -> float:
        """Requests per second on average."""
        return len(self.time) / self.duration

    def window(self, start: float, seconds: float) -> "Recording":
        """Return the requests of so many seconds, with times since `start`."""
        first, last = np.searchsorted(self.time, (start, start + seconds)).tolist()
        adapter = None if self.adapter is None else self.adapter[first:last]
        time = np.minimum(self.time[first:last] - start, np.nextafter(seconds, 0.0))  # in spite of rounding
        chosen = np.zeros(len(self.time), np.bool_)
        chosen[first:last] = True
        prefixes = self.prefixes.of(chosen)
        return Recording(time, self.input[first:last], self.output[first:last], seconds, adapter, prefixes)

    def multiplied(self, factor: float) -> "Recording":
        """Return the recording with `factor` times the requests: some left out, or further ones between them.

        A further request has the lengths, and the adapter, of the one that it follows.
        """
        number = copies(len(self.time), factor, "")
        return Recording(
            np.array(repeated(self.time.tolist(), number), np.float64),
            np.repeat(self.input, number),
            np.repeat(self.output, number),
            self.duration,
            None if self.adapter is None else np.repeat(self.adapter, number),
            self.prefixes.repeated(number),
        )

    def busiest_start(self, seconds: float) -> float:
        """Return when the `seconds` with the most tokens begin, prompts and answers together; the first of equals."""
        return self._most_within(seconds, self.input + self.output)[0]

    def peak_rate(self, seconds: float = 60.0) -> float:
        """Return the highest number of requests in any so many seconds, per second."""
        seconds = min(seconds, self.duration)
        return self._most_within(seconds, np.ones(len(self.time), np.int64))[1] / seconds

    def dispersion(self, seconds: float) -> float:
        """Return variance over mean of the number of requests in so many seconds; 1 where they come independently.

        NaN where the recording holds fewer than two such stretches.
        """
        whole = int(self.duration / seconds)
        if whole < 2:
            return float("nan")
        stretch = (self.time / seconds).astype(np.int64)
        counts = np.bincount(stretch[stretch < whole], minlength=whole)
        return float(counts.var(ddof=1) / counts.mean()) if counts.any() else float("nan")

    def _most_within(self, seconds: float, weights: NDArray[np.int64]) -> tuple[float, float]:
        """Return where the `seconds` with the most weight begin, within the recording, and that weight.

        A stretch can begin later, without losing a request, until it begins with one or ends with the recording. So one
        of those that begin with a request, or the last one, has the most.
        """
        latest = max(0.0, self.duration - seconds)
        starts = np.append(self.time[self.time < latest], latest)
        sums = np.concatenate(([0], np.cumsum(weights)))
        within = sums[np.searchsorted(self.time, starts + seconds)] - sums[np.searchsorted(self.time, starts)]
        most = int(within.argmax())
        return float(starts[most]), float(within[most])


def suspicious_gap(time: Array) -> tuple[int, float] | None:
    """Return the position of a request that is impossibly far from the others, and the gap; None if there is none.

    `time` is in ascending order. Of the two sides of the gap, the request is on the smaller, next to the gap.
    """
    if len(time) < 2:
        return None
    gaps = np.diff(time)
    at = int(gaps.argmax())
    gap, rest = float(gaps[at]), float(time[-1] - time[0] - gaps[at])
    if gap <= min(MOST_GAP, MOST_GAP_RATIO * max(rest, 60.0)):
        return None
    return (at if at + 1 <= len(time) - at - 1 else at + 1), gap
