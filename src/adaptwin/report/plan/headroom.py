"""The headroom of a server as text."""

import math

from adaptwin.plan.forecast import MOST_HEADROOM, Forecast
from adaptwin.report.style.words import percent


def headroom_text(forecast: Forecast, over: str = "over ") -> str:
    """Return the headroom in percent: ``14 %``, or ``over 300 %`` where the search found no limit."""
    if forecast.headroom_is_open and math.isfinite(forecast.headroom):
        return f"{over}{percent(MOST_HEADROOM)}"
    return percent(forecast.headroom)
