import math

import pytest
from tests.report.reading import words
from tests.report.training.findings import (
    REGIMES,
    make_findings,
    make_surrogates,
)

from adaptwin.report.training.table import training_table
from adaptwin.report.training.weakest import weakest


def test_the_weakest_regime_of_each_figure_is_one_with_enough_runs() -> None:
    found = [(one.figure, one.where, one.error) for one in weakest(REGIMES)]
    assert found == [
        ("throughput", "utilisation: above 1.5", 13.9),
        ("mean ITL", "adapters: above 300", 17.8),
        ("median TTFT", "adapters: above 300", 92.6),
        ("overload", "adapters: above 300", pytest.approx(8.4)),
    ]
    assert "utilisation: above 1.5 300 13.9 % mean error" in words(training_table(make_findings(), make_surrogates()))


def test_regimes_without_a_number_are_nobodys_weakest() -> None:
    unknown = REGIMES[0]._replace(throughput=math.nan, itl=math.nan, ttft=math.nan, overload_wrong=math.nan)
    assert weakest([unknown]) == []
    assert "No regime" in words(training_table(make_findings(regimes=[unknown]), make_surrogates()))
