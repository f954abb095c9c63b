"""Other learners on the training runs: forests, nearest neighbours, and the seven features of the paper."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adaptwin.arrays import Array
from adaptwin.surrogate.findings import JUDGED_OUTPUTS
from adaptwin.surrogate.score import f1, mean_error
from adaptwin.surrogate.teacher import teach
from adaptwin.surrogate.train import Examples, actual_figures

ROWS = 20_000  # rows to train on: forests take long

Learned = Callable[[Examples], dict[str, Array]]  # figures by output


def compared(examples: Examples) -> list[list[str]]:
    """Return a row per learner: errors of throughput and mean ITL, and F1 of starvation, on held-out mixes."""
    held = examples.mixes % 5 == 0
    chosen = np.flatnonzero(~held)
    generator = np.random.default_rng(0)
    some = np.zeros(len(held), np.bool_)
    some[generator.choice(chosen, size=min(ROWS, len(chosen)), replace=False)] = True
    training, test = examples.where(some), examples.where(held & examples.drawn)
    forest = {"n_estimators": 150, "min_samples_leaf": 2, "n_jobs": -1, "random_state": 0}
    learners: dict[str, Learned] = {
        "none: the steady state alone": _steady_alone,
        "boosted trees (the large models)": _boosted(training),
        "random forests": _plain(
            training, lambda: RandomForestRegressor(max_features=0.4, **forest), RandomForestClassifier(**forest), _ours
        ),
        "extremely randomised trees": _plain(
            training, lambda: ExtraTreesRegressor(**forest), RandomForestClassifier(**forest), _ours
        ),
        "nearest neighbour": _plain(
            training,
            lambda: make_pipeline(StandardScaler(), KNeighborsRegressor(1)),
            make_pipeline(StandardScaler(), KNeighborsClassifier(1)),
            _ours,
        ),
        "random forests on the paper's seven features": _plain(
            training, lambda: RandomForestRegressor(**forest), RandomForestClassifier(**forest), _papers
        ),
    }
    return [[name, *_scores(learned(test), test)] for name, learned in learners.items()]


def _scores(predicted: dict[str, Array], test: Examples) -> list[str]:
    actual = actual_figures(test)
    errors = [mean_error(predicted[name], actual[name], test.mixes).value for name in ("served", "itl_mean")]
    flag = f1(predicted["starvation"], actual["starvation"] > 0.5, test.mixes).value
    return [f"{errors[0]:.1f} %", f"{errors[1]:.1f} %", f"{flag:.3f}"]


def _steady_alone(test: Examples) -> dict[str, Array]:
    figures = {
        output.name: test.steady_answers[:, output.steady_column]
        for output in JUDGED_OUTPUTS
        if output.scale == "ratio"
    }
    return {**figures, "starvation": (figures["served"] < 0.9).astype(np.float64)}


def _boosted(training: Examples) -> Learned:
    teacher = teach(training.features, training.targets, 0, {}, JUDGED_OUTPUTS)
    return lambda test: {
        o.name: o.value(teacher.learned(o, test.features), test.steady_answers) for o in JUDGED_OUTPUTS
    }


def _ours(examples: Examples) -> tuple[Array, Array]:
    """Return the surrogate's features, and the steady state's answers to be corrected."""
    return examples.features, examples.steady_answers


def _papers(examples: Examples) -> tuple[Array, Array]:
    """Return the paper's features, and ones in place of answers to be corrected.

    The features are sum and spread of the rates; highest, mean and spread of the ranks; slots; and adapters.
    """
    rows = examples.rows
    count = np.maximum(1.0, rows["adapters"].to_numpy())
    mean = rows["rate"].to_numpy() / count
    ranks = [np.array([int(rank) for rank in text.split(",")]) for text in rows["ranks"].to_list()]
    columns = (
        rows["rate"].to_numpy(),
        np.sqrt(np.maximum(0.0, rows["rate_squares"].to_numpy() / count - mean**2)),
        rows["max_rank"].to_numpy(),
        np.array([of.mean() for of in ranks]),
        np.array([of.std() for of in ranks]),
        rows["max_loras"].to_numpy().astype(np.float64),
        count,
    )
    return np.column_stack(columns), np.ones_like(examples.steady_answers)


def _plain(
    training: Examples, regressor: Callable[[], Any], classifier: Any, seen: Callable[[Examples], tuple[Array, Array]]
) -> Learned:
    """Train scikit-learn's models on the columns that `seen` returns of the examples."""
    features, steady_answers = seen(training)
    actual = actual_figures(training)
    models: dict[str, Any] = {"starvation": classifier.fit(features, actual["starvation"] > 0.5)}
    for output in JUDGED_OUTPUTS[:2]:
        target = np.log(np.maximum(1e-9, actual[output.name]) / steady_answers[:, output.steady_column])
        known = np.isfinite(target)
        models[output.name] = regressor().fit(features[known], target[known])

    def answers(test: Examples) -> dict[str, Array]:
        x, base = seen(test)
        figures = {o.name: base[:, o.steady_column] * np.exp(models[o.name].predict(x)) for o in JUDGED_OUTPUTS[:2]}
        return {**figures, "starvation": models["starvation"].predict_proba(x)[:, 1]}

    return answers
