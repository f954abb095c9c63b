import math

from tests.report.training.findings import (
    REGIMES,
    make_findings,
)

from adaptwin.report.training.regime_chart import regimes_figure


def test_each_regime_has_a_row_under_its_quantity() -> None:
    figure = regimes_figure(make_findings())
    written = list(figure.layout.yaxis.ticktext)
    assert written == ["", "0 to 0.1", "above 1.5", "", "0 to 0.1", "above 300"]
    assert [note.text for note in figure.layout.annotations] == ["<b>utilisation</b>", "<b>adapters</b>"]
    for marks in figure.data:
        assert len(set(marks.y)) == len(REGIMES)  # though two have the same name
        assert set(marks.y) < set(figure.layout.yaxis.categoryarray)


def test_unknown_errors_leave_gaps_and_long_names_are_cut() -> None:
    lines = [REGIMES[0]._replace(throughput=math.nan, itl=0.0, regime="regimes:period=300,factor=1.5")]
    figure = regimes_figure(make_findings(regimes=lines))
    assert [marks.x[0] for marks in figure.data] == [None, None, 11.6]
    assert figure.layout.yaxis.ticktext[1] == "regimes:period=300,…"
    assert "regimes:period=300,factor=1.5" in figure.data[0].customdata[0]
