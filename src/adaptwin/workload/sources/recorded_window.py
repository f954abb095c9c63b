"""Recorded window: the stretch of a recording that a workload is made from, and what it holds."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from adaptwin.errors import SpecError
from adaptwin.workload.sources.recording import Recording

LEAST_REQUESTS = 10  # fewer say nothing about a rate
WINDOW_SECONDS = 3600.0  # seconds: the usual window


class WindowFigures(NamedTuple):
    """What the window of a recording holds, and what is left out; times in seconds."""

    requests: int  # of the recording
    span: float  # from the first request of the recording to the last
    start: float  # of the window, since the first request
    window: float
    kept: int  # requests in the window
    before: int  # requests left out, before and after the window
    after: int
    raised: int  # lengths of 0 tokens in the recording, which count as 1
    mean_rate: float  # requests/s of the window
    peak_rate: float  # in its busiest minute
    mean_input: float  # tokens
    mean_output: float
    dispersion_second: float  # variance over mean of the requests per second; 1 where they come independently
    dispersion_minute: float  # of the requests per minute; NaN in windows of less than two minutes


def busiest_window(
    whole: Recording,
    *,
    raised: int,
    first_part: float = 1.0,
    busiest: float = WINDOW_SECONDS,
    file: str | Path | None = None,
) -> tuple[Recording, WindowFigures]:
    """Return the window of a recording with the most tokens, prompts and answers together, and its figures.

    Args:
        whole: The recording.
        raised: Number of its lengths that were 0.
        first_part: Share of the recording's time, from its start, that the window lies in.
        busiest: Seconds of the window; `math.inf` takes the whole recording, as does one that is shorter.
        file: The file that errors name.

    Raises:
        SpecError: An argument is wrong, or the window holds too few requests.
    """
    if not 0 < first_part <= 1:
        raise SpecError(f"{first_part:g} must be above 0 and at most 1", "first_part")
    if not busiest > 0:
        raise SpecError(f"{busiest:g} must be above 0", "busiest")
    part = whole.window(0.0, first_part * whole.duration)
    seconds = min(busiest, part.duration)
    start = part.busiest_start(seconds)
    seen = part.window(start, seconds)
    if len(seen.time) < LEAST_REQUESTS:
        message = f"too few requests: {len(seen.time)} in {seconds:g} s (at least {LEAST_REQUESTS} needed)"
        raise SpecError(message, file=file)
    before = int(np.searchsorted(whole.time, start))
    figures = WindowFigures(
        requests=len(whole.time),
        span=float(whole.time[-1]),
        start=start,
        window=seconds,
        kept=len(seen.time),
        before=before,
        after=len(whole.time) - len(seen.time) - before,
        raised=raised,
        mean_rate=seen.rate,
        peak_rate=seen.peak_rate(),
        mean_input=float(seen.input.mean()),
        mean_output=float(seen.output.mean()),
        dispersion_second=seen.dispersion(1.0),
        dispersion_minute=seen.dispersion(60.0),
    )
    return seen, figures
