"""RateForecast: the rates of the next hour, by what was seen of the last hours.

A count of requests varies by chance, even where the rate stays the same, and the largest of several counts is above
their mean for that reason alone. So the deviations of counts from their mean are shrunk by the share of their variance
that chance explains: that of a Poisson process, and as much more as the variance of a few counts varies by chance. What
remains is the largest rate of the recent windows (`recent maximum`). Chance hides in single adapters what all of them
show together, such as the rise of a morning; so each adapter has at least its mean rate times the recent maximum of all
adapters over their mean.

Where the history reaches back to yesterday, the recent maximum of the same time then, with the hour that is ahead now,
counts as well, scaled by how much more traffic there is today.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from adaptwin.arrays import Array
from adaptwin.live.watching.recorded_traffic import RecordedTraffic
from adaptwin.workload.rates_over_time import DAY

AHEAD = 3600.0  # seconds of the forecast
PRIOR_SECONDS = 600.0  # of traffic as planned that count as seen, so that a silent adapter is not taken for gone
CHANCE_DEVIATIONS = 1.5  # standard deviations of the variance of counts that chance explains, too
MOST_DAILY_GROWTH = 3.0  # factor between yesterday and today, either way
Method = Literal["auto", "recent-maximum"]


class RateForecast(NamedTuple):
    """Requests per second of each adapter in the next hour, and how they were forecast."""

    rates: dict[str, float]
    method: str  # in words

    @property
    def request_rate(self) -> float:
        """Requests per second of all adapters together."""
        return sum(self.rates.values())


def forecast_rates(
    traffic: RecordedTraffic,
    planned: Mapping[str, float],
    *,
    now: float,
    look_back: float,
    method: Method = "auto",
) -> RateForecast | None:
    """Forecast the rates of the next hour; None if nothing is known of the time to look back to.

    Args:
        traffic: What was recorded.
        planned: Rates of the plan by adapter, whose shares stand for a few minutes of traffic.
        now: Time from which on to forecast, unix seconds.
        look_back: Seconds before that count.
        method: ``auto`` takes yesterday into account if it was recorded; ``recent-maximum`` does not.
    """
    names = tuple(planned)
    recent = traffic.between(now - look_back, now)
    if not len(recent.seconds):
        return None
    prior = _prior(recent, planned)
    rates = _recent_maxima(recent.counts_of(names), recent.seconds, prior)
    words = f"the recent maximum of {recent.seconds.sum() / 60.0:,.0f} minutes"
    if method == "auto":
        then, ahead = (
            traffic.between(now - DAY + start, now - DAY + end) for start, end in ((-look_back, 0.0), (0.0, AHEAD))
        )
        if _is_whole(then, look_back) and _is_whole(ahead, AHEAD) and then.rate > 0:
            growth = float(np.clip(recent.rate / then.rate, 1.0 / MOST_DAILY_GROWTH, MOST_DAILY_GROWTH))
            yesterday = _recent_maxima(ahead.counts_of(names), ahead.seconds, prior / growth)
            rates = np.maximum(rates, growth * yesterday)
            words += f", and the same hour of yesterday times {growth:.2f}"
    return RateForecast(dict(zip(names, rates.tolist(), strict=True)), words)


def _is_whole(traffic: RecordedTraffic, seconds: float) -> bool:
    """Whether most of a time was recorded."""
    return float(traffic.seconds.sum()) >= 0.75 * seconds


def _prior(recent: RecordedTraffic, planned: Mapping[str, float]) -> Array:
    """Return the planned rates, scaled to the traffic that was seen."""
    rates = np.array(list(planned.values()))
    total = float(rates.sum())
    return recent.rate * (rates / total) if total > 0 else rates


def _recent_maxima(counts: Array, seconds: Array, prior: Array) -> Array:
    """Return the largest rate of each adapter over some windows, without what chance adds.

    Args:
        counts: Requests, shape (adapters, windows).
        seconds: Length of each window.
        prior: Rates that count as seen for `PRIOR_SECONDS`.
    """
    known = float(seconds.sum())
    means = (counts.sum(axis=1) + PRIOR_SECONDS * prior) / (known + PRIOR_SECONDS)
    total = counts.sum(axis=0, keepdims=True)
    mean_of_all = total.sum() / known
    growth = float(_largest(total, seconds, total.sum(axis=1) / known)[0] / mean_of_all) if mean_of_all > 0 else 1.0
    own = _largest(counts, seconds, counts.sum(axis=1) / known)
    return np.asarray(np.maximum(growth * means, own))


def _largest(counts: Array, seconds: Array, means: Array) -> Array:
    """Return the largest rate of each row, whose deviations from its mean are shrunk by what chance explains."""
    expected = means[:, None] * seconds
    deviations = counts - expected
    squares = (deviations**2).sum(axis=1)
    total, windows = expected.sum(axis=1), len(seconds)
    deviation = np.sqrt((2.0 * total**2 + windows * total) / windows)
    by_chance = (1.0 - 1.0 / windows) * (total + CHANCE_DEVIATIONS * deviation)
    beyond = np.sqrt(np.clip(1.0 - np.divide(by_chance, squares, out=np.ones_like(squares), where=squares > 0), 0, 1))
    return np.asarray(means + beyond * (deviations / seconds).max(axis=1, initial=0.0))
