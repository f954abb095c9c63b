import math
from typing import get_args

import polars as pl
from tests.report.training.findings import (
    make_findings,
)

from adaptwin.report.training.prediction_charts import (
    VERDICT_COLOURS,
    predicted_itl_figure,
    predicted_ttft_figure,
    reliability_figure,
)
from adaptwin.twin.run import Verdict


def test_every_verdict_has_a_colour_of_its_own() -> None:
    assert set(VERDICT_COLOURS) == set(get_args(Verdict))
    assert len(set(VERDICT_COLOURS.values())) == len(VERDICT_COLOURS)


def test_predictions_stand_over_what_the_twin_says_by_verdict() -> None:
    points = {trace.name: (list(trace.x), list(trace.y)) for trace in predicted_itl_figure(make_findings()).data}
    assert points["ok"] == ([0.02], [0.021])  # another run had no token to measure
    assert points["starved"] == ([0.08], [0.07])
    assert points["backlogged"] == ([0.04], [0.044])


def test_hovering_over_a_prediction_gives_both_numbers_with_their_unit() -> None:
    starved = next(trace for trace in predicted_ttft_figure(make_findings()).data if trace.name == "starved")
    assert starved.customdata[0] == "twin 10 min, prediction 1.5 min"


def test_no_prediction_is_beyond_the_axes() -> None:
    figure = predicted_ttft_figure(make_findings())
    for axis, values in ((figure.layout.xaxis, (0.05, 600.0)), (figure.layout.yaxis, (0.055, 90.0))):
        assert axis.range[0] < math.log10(values[0])
        assert math.log10(values[1]) < axis.range[1]


def test_axes_of_long_latencies_are_marked_in_minutes_and_hours() -> None:
    sample = make_findings().sample.with_columns(twin_ttft_p50=pl.Series([0.05, 50_000.0, 0.1, 20.0]))
    marks = predicted_ttft_figure(make_findings(sample=sample)).layout.xaxis.ticktext
    assert {"100 ms", "1.0 s", "10 s", "1.0 min", "10 min", "1.0 h", "10 h"} <= set(marks)


def test_probabilities_are_drawn_in_per_cent_and_frequent_ones_larger() -> None:
    guide, points = reliability_figure(make_findings()).data
    assert list(guide.x) == list(guide.y) == [0.0, 100.0]
    assert list(points.x) == [2.0, 50.0, 98.0]
    assert list(points.y) == [3.0, 47.0, 97.0]
    assert points.marker.size[1] < points.marker.size[0] < points.marker.size[2]
