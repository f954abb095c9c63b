"""Outputs: the figures that the surrogate predicts, and the scale on which each is learned.

Latencies and the served share are learned as the logarithm of their ratio to the steady state's answer, probabilities
as log odds, and the share of the worst-served adapter as it is.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from adaptwin.arrays import Array
from adaptwin.surrogate.features import SteadyStateAnswer

LearnedScale = Literal["ratio", "odds", "share"]

MOST_ODDS = 8.0  # limit of the learned log odds: a probability of one in three thousand


class Output(NamedTuple):
    """One predicted figure: its name, the scale on which it is learned, and its value in the rows of a dataset."""

    name: str
    scale: LearnedScale
    measured: Callable[[pl.DataFrame], pl.Series]

    @property
    def steady_column(self) -> int:
        """Index of the column of `SteadyStateAnswer` that this output corrects."""
        return SteadyStateAnswer._fields.index(self.name)

    def target(self, rows: pl.DataFrame, steady_answers: Array) -> Array:
        """Return the values to learn, shape (rows,), on the output's scale; NaN where a row has no such figure."""
        values = self.measured(rows).cast(pl.Float64).to_numpy()
        if self.scale != "ratio":
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio: Array = np.log(values / steady_answers[:, self.steady_column])
        return np.where(np.isfinite(ratio), ratio, np.nan)

    def value(self, learned: Array, steady_answers: Array) -> Array:
        """Convert a model's answers, which are on the output's scale, to the figure itself."""
        if self.scale == "ratio":
            most = 1.0 if self.name == "served" else steady_answers[:, SteadyStateAnswer._fields.index("window")]
            figure: Array = np.minimum(most, steady_answers[:, self.steady_column] * np.exp(learned))
            return figure
        return np.clip(learned, 0.0, 1.0) if self.scale == "share" else 1.0 / (1.0 + np.exp(-learned))


OUTPUTS = (
    Output("served", "ratio", lambda rows: rows["throughput"] / rows["offered_throughput"]),
    Output("itl_mean", "ratio", lambda rows: rows["itl_mean"]),
    Output("itl_p99", "ratio", lambda rows: rows["itl_p99"]),
    Output("ttft_p50", "ratio", lambda rows: rows["ttft_p50"]),
    Output("ttft_p99", "ratio", lambda rows: rows["ttft_p99"]),
    Output("e2e_mean", "ratio", lambda rows: rows["e2e_mean"]),
    Output("worst_share", "share", lambda rows: rows["worst_share"]),
    Output("starvation", "odds", lambda rows: rows["starved"]),
    Output("overload", "odds", lambda rows: rows["starved"] | (rows["worst"] != "ok")),
)
NAMES = tuple(output.name for output in OUTPUTS)
_NOT_BELOW = (("overload", "starvation"), ("ttft_p99", "ttft_p50"))  # the first figure is at least the second


def figures_of(learned: Array, steady_answers: Array) -> dict[str, Array]:
    """Convert the models' answers, of shape (rows, outputs), to figures that do not contradict each other, by name.

    Each output has a model of its own. A starved server is overloaded, and a percentile is no lower than the median.
    """
    figures = {output.name: output.value(learned[:, i], steady_answers) for i, output in enumerate(OUTPUTS)}
    for name, least in _NOT_BELOW:
        figures[name] = np.maximum(figures[name], figures[least])
    return figures
