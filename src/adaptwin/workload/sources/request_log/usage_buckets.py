"""Usage buckets: rows of an export that stand for the requests of a minute, an hour or a day."""

import numpy as np
import polars as pl

from adaptwin.arrays import Array


class NoWidthError(Exception):
    """There is one bucket only, and it does not say when it ends."""


def spread_over_buckets(requests: pl.DataFrame, seconds: Array) -> tuple[pl.DataFrame, Array]:
    """Return a row for each request, and its time: at random in its bucket, with the mean lengths of the bucket.

    A bucket lasts from its time (`seconds`) to its `end`; without one, as long as the shortest time between two
    buckets. The draws are always the same. Raises `NoWidthError`.
    """
    number = requests["requests"].to_numpy().round().astype(np.int64)
    end = requests["end"].to_numpy()
    width = np.where(np.isfinite(end) & (end > seconds), end - seconds, _usual_width(seconds, end))
    which = np.repeat(np.arange(len(number)), number)
    means = requests.with_columns((pl.col("input", "output") / pl.col("requests")).round())
    order = np.lexsort((requests["row"].to_numpy(), seconds))
    drawn = np.empty(len(which))
    place = np.argsort(np.argsort(order)[which], kind="stable")  # so that the order of the rows changes nothing
    drawn[place] = np.random.default_rng(0).random(len(which))
    return means[which], seconds[which] + drawn * width[which]


def _usual_width(seconds: Array, end: Array) -> float:
    gaps = np.diff(np.unique(seconds))
    if len(gaps):
        return float(gaps.min())
    if np.isfinite(end).all():
        return 1.0
    raise NoWidthError
