import math

from tests.report.reading import assert_fits, rendered, words
from tests.report.training.findings import (
    LLAMA,
    QWEN,
    make_findings,
    make_surrogates,
)

from adaptwin.report.training.table import training_table
from adaptwin.surrogate.findings import ScoreLine
from adaptwin.surrogate.score import ScoreWithInterval


def test_the_table_of_a_training_fits_a_terminal_and_has_every_score_with_its_interval() -> None:
    table = training_table(make_findings(), make_surrogates())
    assert_fits(rendered(table))
    text = words(table)
    assert "Trained on 1,000 runs of 250 mixes, adaptwin 0.1.0, for 2 profiles." in text
    assert text.count("2.4 % (2.2 to 2.6)") == 2
    assert "throughput, mean error 2.4 % (2.2 to 2.6) 3.1 % (2.9 to 3.3)" in text
    assert "ITL p99, median error 7.8 % 10.7 %" in text
    assert "starvation, F1 0.966 (0.957 to 0.974) 0.931 (0.948 to 0.963)" in text
    assert LLAMA in text
    assert QWEN in text


def test_the_table_says_how_often_the_twin_is_asked() -> None:
    said = "A planner runs the twin for 64 % of the runs at the boundary: their probability of overload is between 0.88"
    assert said in words(training_table(make_findings(), make_surrogates()))
    assert "it is not known" in words(training_table(make_findings(unsure=math.nan), make_surrogates()))


def test_scores_that_nobody_knows_are_dashes() -> None:
    unknown = ScoreLine(
        "mean ITL, mean error",
        "%",
        ScoreWithInterval(math.nan, math.nan, math.nan),
        ScoreWithInterval(5.0, math.nan, 6.0),
    )
    text = words(training_table(make_findings(scores={LLAMA: [unknown]}), make_surrogates()))
    assert "mean ITL, mean error – 5.0 %" in text
    assert "nan" not in text
