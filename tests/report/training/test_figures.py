import pytest
from tests.report.training.findings import (
    make_findings,
)

from adaptwin.report.training.curve_chart import curve_figure
from adaptwin.report.training.importance_chart import importances_figure
from adaptwin.report.training.prediction_charts import (
    predicted_itl_figure,
    predicted_throughput_figure,
    predicted_ttft_figure,
    reliability_figure,
)
from adaptwin.report.training.regime_chart import regimes_figure

DRAWN = (
    predicted_throughput_figure,
    predicted_itl_figure,
    predicted_ttft_figure,
    curve_figure,
    reliability_figure,
    importances_figure,
    regimes_figure,
)


EMPTY = {"curve": [], "importances": [], "reliability": [], "regimes": []}


@pytest.mark.parametrize("draw", DRAWN)
def test_a_figure_says_what_its_axis_is_and_survives_a_training_without_findings(draw) -> None:
    titles = [axis.title.text for axis in draw(make_findings()).select_xaxes()]
    assert any(titles)
    findings = make_findings()
    assert draw(make_findings(**EMPTY, sample=findings.sample.clear())).layout.height <= 400
