"""Teacher: the large models, gradient-boosted trees, one per output, from which the small models are distilled."""

from typing import Any, NamedTuple

import numpy as np

from adaptwin.arrays import Array
from adaptwin.errors import SpecError
from adaptwin.surrogate.features import Features
from adaptwin.surrogate.outputs import MOST_ODDS, OUTPUTS, Output

NO_SCIKIT_LEARN = "training needs scikit-learn: pip install 'adaptwin[train]'"
# Features whose effect on starvation and overload has a known sign: more traffic per slot or seat never helps.
RISING_ODDS = {"utilisation": 1, "slot_pressure": 1, "slots_full": 1, "slot_wait": 1, "slot_reached": -1}
LEARNER_SETTINGS = {"learning_rate": 0.05, "max_leaf_nodes": 63, "l2_regularization": 3.0, "min_samples_leaf": 30}
MOST_TREES, ROWS_PER_TREE = 1200, 20  # fewer trees for fewer rows, against overfitting


class Teacher(NamedTuple):
    """One model per output. Log odds are corrected by ``scale x odds + shift`` to give calibrated probabilities."""

    models: dict[str, Any]
    odds: dict[str, tuple[float, float]]

    def learned(self, output: Output, features: Array) -> Array:
        """Return the model's answers for an output, on the output's scale, shape (rows,)."""
        model = self.models[output.name]
        if output.scale != "odds":
            answer: Array = model.predict(features)
            return answer
        scale, shift = self.odds.get(output.name, (1.0, 0.0))
        odds: Array = np.clip(scale * model.decision_function(features) + shift, -MOST_ODDS, MOST_ODDS)
        return odds


def teach(
    features: Array,
    targets: dict[str, Array],
    seed: int,
    odds: dict[str, tuple[float, float]],
    outputs: tuple[Output, ...] = OUTPUTS,
) -> Teacher:
    """Train one model per output, each on the rows that have a target for it.

    Args:
        features: Shape (rows, features).
        targets: By name of the output, shape (rows,), on the output's scale; NaN where a row has none.
        seed: Seed of the models.
        odds: Scale and shift that correct the log odds, by name of the output; not corrected where absent.
        outputs: The outputs to learn.

    Raises:
        SpecError: No row has a target for an output, an event occurs in all rows or in none, or scikit-learn is not
            installed.
    """
    regressor, classifier = _learners()
    models: dict[str, Any] = {}
    settings = {
        **LEARNER_SETTINGS,
        "max_iter": min(MOST_TREES, 1 + len(features) // ROWS_PER_TREE),
        "random_state": seed,
    }
    for output in outputs:
        known = np.isfinite(targets[output.name])
        if not known.any():
            raise SpecError(f"none of the runs has {output.name}: sweep longer windows or more traffic", "runs")
        x, y = features[known], targets[output.name][known]
        if output.scale == "odds":
            if y.min() == y.max():
                state = "all" if y.max() else "none"
                raise SpecError(f"{state} of the runs show {output.name}: sweep servers with and without it", "runs")
            signs = [RISING_ODDS.get(name, 0) for name in Features._fields]
            models[output.name] = classifier(**settings, monotonic_cst=signs).fit(x, y > 0.5)
        else:
            models[output.name] = regressor(**settings).fit(x, y)
    return Teacher(models, odds)


def _learners() -> tuple[Any, Any]:
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    except ImportError:
        raise SpecError(NO_SCIKIT_LEARN) from None
    return HistGradientBoostingRegressor, HistGradientBoostingClassifier


def corrected_odds(odds: Array, happened: Array) -> tuple[float, float]:
    """Fit the scale and shift that calibrate held-out log odds to what happened (Platt 1999), by Newton's method."""
    scale, shift = 1.0, 0.0
    design = np.column_stack([odds, np.ones(len(odds))])
    for _ in range(20):
        probability = 1.0 / (1.0 + np.exp(-np.clip(scale * odds + shift, -30, 30)))
        gradient = design.T @ (probability - happened)
        curvature = design.T @ (design * (probability * (1.0 - probability))[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        scale, shift = scale - float(step[0]), shift - float(step[1])
        if float(np.abs(step).max()) < 1e-6:
            break
    return scale, shift
