"""Training on a small sweep: scores on held-out mixes, and consistent models."""

import numpy as np
import polars as pl
import pytest

from adaptwin import SpecError
from adaptwin.surrogate.features import SteadyStateAnswer
from adaptwin.surrogate.findings import find
from adaptwin.surrogate.outputs import NAMES, OUTPUTS
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.surrogate.train import train

LLAMA, QWEN = "h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"


def test_there_is_a_surrogate_for_each_profile_with_the_same_trees(training):
    assert set(training.surrogates) == {LLAMA, QWEN}
    llama, qwen = training.surrogates[LLAMA], training.surrogates[QWEN]
    assert llama.trees == qwen.trees
    assert llama.profile != qwen.profile
    assert set(llama.trees) == set(NAMES)
    assert llama.windows == (120.0, 240.0)
    assert llama.trained_on == qwen.trained_on == (LLAMA, QWEN)
    assert llama.source.endswith("mixes on 2 profiles, adaptwin 0.1.0")


def test_every_row_is_predicted_by_models_that_did_not_see_its_mix(training):
    for predictions in training.held_out:
        for output in OUTPUTS:
            assert np.isfinite(predictions[output.name]).all()
            assert len(predictions[output.name]) == len(training.examples.rows)


def test_a_hundred_mixes_are_enough_to_beat_the_steady_state(training):
    """A model that learned nothing would return the steady-state answers."""
    column = SteadyStateAnswer._fields.index("itl_p99")
    steady_answer, actual = training.examples.steady_answers[:, column], training.examples.rows["itl_p99"].to_numpy()
    learned = training.held_out.teacher["itl_p99"]
    assert np.nanmedian(np.abs(learned / actual - 1)) < 0.8 * np.nanmedian(np.abs(steady_answer / actual - 1))
    for scores in training.scores.values():
        assert scores["teacher"]["served_mean"] < 15
        assert scores["distilled"]["starvation_f1"] > 0.7


def test_loads_that_were_given_count_as_drawn(training):
    """The rates of the paper's grid are absolute; scores leave out only loads that close in on the boundary."""
    rows = training.examples.rows
    assert training.examples.drawn.tolist() == (rows["chosen"] == "drawn").to_list()
    assert training.examples._replace(rows=rows.with_columns(chosen=pl.lit("given"))).drawn.all()


def test_values_invert_targets(training):
    examples = training.examples
    for output in OUTPUTS:
        if output.scale == "ratio":
            back = output.value(examples.targets[output.name], examples.steady_answers)
            measured = output.measured(examples.rows).to_numpy()
            known = np.isfinite(examples.targets[output.name]) & (measured <= 1.0 if output.name == "served" else True)
            assert back[known] == pytest.approx(measured[known])


def test_a_surrogate_reads_back_as_it_was_written(training, tmp_path):
    before = training.surrogates[LLAMA]
    before.write(tmp_path / "surrogate.json")
    after = Surrogate.read(tmp_path / "surrogate.json")
    assert after == before
    rows = training.examples.features, training.examples.steady_answers
    assert after.predict_features(*rows)[0].tolist() == before.predict_features(*rows)[0].tolist()


def test_training_is_deterministic(dataset, training):
    again = train(dataset, folds=2)
    assert again.surrogates == training.surrogates


def test_too_little_data_is_an_error(dataset):
    few = dataset._replace(rows=dataset.rows.filter(pl.col("mix") < 10))
    with pytest.raises(SpecError, match="10 mixes are too few; at least 30 are needed"):
        train(few)
    idle = dataset._replace(rows=dataset.rows.filter(~pl.col("starved")))
    with pytest.raises(SpecError, match="none of the runs show starvation"):
        train(idle)


def test_findings_cover_every_output_and_growing_numbers_of_mixes(training):
    findings = find(training)
    assert [len(lines) for lines in findings.scores.values()] == [len(OUTPUTS)] * 2
    for lines in findings.scores.values():
        for line in lines:
            for score in (line.teacher, line.distilled):
                assert score.value >= 0
                assert np.isnan(score.low) or score.low <= score.value <= score.high
    assert [point.mixes for point in findings.curve] == sorted(point.mixes for point in findings.curve)
    drawn = (training.examples.rows["chosen"] == "drawn").sum()
    by_dimension = {line.dimension: 0 for line in findings.regimes}
    for line in findings.regimes:
        by_dimension[line.dimension] += line.runs
    assert set(by_dimension.values()) == {drawn}
    assert sum(line.runs for line in findings.reliability) == len(training.examples.rows)
    assert 0 <= findings.unsure <= 1
