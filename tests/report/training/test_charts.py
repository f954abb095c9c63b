import math
from typing import get_args

import polars as pl
import pytest
from tests.report.training.findings import REGIMES, make_findings

from adaptwin.report.training import charts as figures
from adaptwin.surrogate.vocabulary import VOCABULARY
from adaptwin.twin.run import Verdict

DRAWN = (
    figures.throughput_figure,
    figures.itl_figure,
    figures.ttft_figure,
    figures.curve_figure,
    figures.reliability_figure,
    figures.importances_figure,
    figures.regimes_figure,
)
EMPTY = {"curve": [], "importances": [], "reliability": [], "regimes": []}


@pytest.mark.parametrize("draw", DRAWN)
def test_a_figure_says_what_its_axis_is_and_survives_a_training_without_findings(draw) -> None:
    titles = [axis.title.text for axis in draw(make_findings()).select_xaxes()]
    assert any(titles)
    findings = make_findings()
    assert draw(make_findings(**EMPTY, sample=findings.sample.clear())).layout.height <= 400


def test_every_verdict_has_a_colour_of_its_own() -> None:
    assert set(figures.VERDICT_COLOURS) == set(get_args(Verdict))
    assert len(set(figures.VERDICT_COLOURS.values())) == len(figures.VERDICT_COLOURS)


def test_guesses_stand_over_what_the_twin_says_by_verdict() -> None:
    points = {trace.name: (list(trace.x), list(trace.y)) for trace in figures.itl_figure(make_findings()).data}
    assert points["ok"] == ([0.02], [0.021])  # another run had no token to measure
    assert points["starved"] == ([0.08], [0.07])
    assert points["backlogged"] == ([0.04], [0.044])


def test_hovering_over_a_guess_gives_both_numbers_with_their_unit() -> None:
    starved = next(trace for trace in figures.ttft_figure(make_findings()).data if trace.name == "starved")
    assert starved.customdata[0] == "twin 10 min, guess 1.5 min"


def test_no_guess_is_beyond_the_axes() -> None:
    figure = figures.ttft_figure(make_findings())
    for axis, values in ((figure.layout.xaxis, (0.05, 600.0)), (figure.layout.yaxis, (0.055, 90.0))):
        assert axis.range[0] < math.log10(values[0])
        assert math.log10(values[1]) < axis.range[1]


def test_axes_of_long_latencies_are_marked_in_minutes_and_hours() -> None:
    sample = make_findings().sample.with_columns(twin_ttft_p50=pl.Series([0.05, 50_000.0, 0.1, 20.0]))
    marks = figures.ttft_figure(make_findings(sample=sample)).layout.xaxis.ticktext
    assert {"100 ms", "1.0 s", "10 s", "1.0 min", "10 min", "1.0 h", "10 h"} <= set(marks)


def test_probabilities_are_drawn_in_per_cent_and_frequent_ones_larger() -> None:
    guide, points = figures.reliability_figure(make_findings()).data
    assert list(guide.x) == list(guide.y) == [0.0, 100.0]
    assert list(points.x) == [2.0, 50.0, 98.0]
    assert list(points.y) == [3.0, 47.0, 97.0]
    assert points.marker.size[1] < points.marker.size[0] < points.marker.size[2]


def test_the_most_important_features_are_named_in_words_from_the_top() -> None:
    figure = figures.importances_figure(make_findings())
    features = [line.feature for line in make_findings().importances][: figures.SHOWN_FEATURES]
    for bars in figure.data:
        assert list(bars.y) == [VOCABULARY[feature].phrase for feature in features]
    assert [bars.x[0] for bars in figure.data] == pytest.approx([120.0, 60.0, 30.0])
    bottom, top = figure.layout.yaxis.range
    assert top < 0 < bottom


def test_the_learning_curve_keeps_errors_and_f1_apart() -> None:
    traces = {trace.name: trace for trace in figures.curve_figure(make_findings()).data}
    assert list(traces["throughput"].y) == [8.0, 5.0, 4.0]
    assert traces["throughput"].yaxis == traces["mean ITL"].yaxis != traces["starvation"].yaxis
    assert list(traces["starvation"].x) == [50, 100, 200]


def test_each_regime_has_a_row_under_its_quantity() -> None:
    figure = figures.regimes_figure(make_findings())
    written = list(figure.layout.yaxis.ticktext)
    assert written == ["", "0 to 0.1", "above 1.5", "", "0 to 0.1", "above 300"]
    assert [note.text for note in figure.layout.annotations] == ["<b>utilisation</b>", "<b>adapters</b>"]
    for marks in figure.data:
        assert len(set(marks.y)) == len(REGIMES)  # though two have the same name
        assert set(marks.y) < set(figure.layout.yaxis.categoryarray)


def test_unknown_errors_leave_gaps_and_long_names_are_cut() -> None:
    lines = [REGIMES[0]._replace(throughput=math.nan, itl=0.0, regime="regimes:period=300,factor=1.5")]
    figure = figures.regimes_figure(make_findings(regimes=lines))
    assert [marks.x[0] for marks in figure.data] == [None, None, 11.6]
    assert figure.layout.yaxis.ticktext[1] == "regimes:period=300,…"
    assert "regimes:period=300,factor=1.5" in figure.data[0].customdata[0]
