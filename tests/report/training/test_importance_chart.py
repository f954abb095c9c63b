import pytest
from tests.report.training.findings import (
    make_findings,
)

from adaptwin.report.training.importance_chart import SHOWN_FEATURES, importances_figure
from adaptwin.surrogate.vocabulary import VOCABULARY


def test_the_most_important_features_are_named_in_words_from_the_top() -> None:
    figure = importances_figure(make_findings())
    features = [line.feature for line in make_findings().importances][:SHOWN_FEATURES]
    for bars in figure.data:
        assert list(bars.y) == [VOCABULARY[feature].phrase for feature in features]
    assert [bars.x[0] for bars in figure.data] == pytest.approx([120.0, 60.0, 30.0])
    bottom, top = figure.layout.yaxis.range
    assert top < 0 < bottom
