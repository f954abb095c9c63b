"""train: a Dataset -> a Surrogate for each of its profiles, with scores on held-out mixes."""

from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.dataset.dataset import Dataset
from adaptwin.dataset.design_profiles import design_profiles
from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.rounding import rounded
from adaptwin.surrogate.distil import ODDS_LEAVES, UNDECIDED_ODDS, distil
from adaptwin.surrogate.features import Features, features_of_table
from adaptwin.surrogate.model_tree import ModelTree, evaluate, plant
from adaptwin.surrogate.outputs import OUTPUTS, figures_of
from adaptwin.surrogate.region import Region, clip_to
from adaptwin.surrogate.score import calibration_error, error, f1, mean_error
from adaptwin.surrogate.surrogate import OverloadThresholds, Surrogate
from adaptwin.surrogate.teacher import Teacher, corrected_odds, teach
from adaptwin.surrogate.training_folds import TRAINING_FOLDS

FEWEST_MIXES = 30
WRONG_SHARE = 0.002  # largest share of wrong ones among the predictions that count as confident


class Examples(NamedTuple):
    """Rows of a dataset in the form that the models are trained on."""

    rows: pl.DataFrame
    features: Array  # (rows, features)
    steady_answers: Array  # (rows, 8)
    targets: dict[str, Array]  # by output, (rows,); on the output's scale

    def where(self, chosen: NDArray[np.bool_]) -> "Examples":
        """Return the examples with only the chosen rows."""
        targets = {name: values[chosen] for name, values in self.targets.items()}
        return Examples(self.rows.filter(chosen), self.features[chosen], self.steady_answers[chosen], targets)

    @property
    def mixes(self) -> NDArray[np.int64]:
        """The mix of each row; rows of one mix are held out together."""
        numbers: NDArray[np.int64] = self.rows["mix"].to_numpy()
        return numbers

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Which rows have a load that was drawn or given; the others were placed at the boundary, the hardest loads."""
        drawn: NDArray[np.bool_] = (self.rows["chosen"] != "boundary").to_numpy()
        return drawn


class HeldOut(NamedTuple):
    """Predictions for every row by models not trained on its mix: by output, shape (rows,), converted to figures."""

    teacher: dict[str, Array]
    distilled: dict[str, Array]


class Training(NamedTuple):
    """Everything that `train` returns."""

    surrogates: dict[str, Surrogate]  # by the name of the profile
    teacher: Teacher
    examples: Examples
    held_out: HeldOut
    scores: dict[str, dict[str, dict[str, float]]]  # by profile, then teacher or distilled, then figure


def train(dataset: Dataset, *, folds: int = TRAINING_FOLDS, seed: int = 0, progress: Progress = silent) -> Training:
    """Train large models on a dataset, distil small ones from them, and score both on held-out mixes.

    One set of models serves all profiles of the dataset, because its features mean the same on each. The scores come
    from cross-validation over mixes. The models that are kept are trained on all mixes.

    Args:
        dataset: Runs of the twin, as `sweep` returns them.
        folds: Number of parts into which the mixes are divided for the cross-validation.
        seed: Seed of the division and of the models.
        progress: Called with the number of trainings done.

    Raises:
        SpecError: The dataset has too few mixes, all or none of its runs are starved or overloaded, no run has a
            figure, or scikit-learn is not installed.
    """
    by_name = {profile.name: profile for profile in design_profiles(dataset.design)}
    examples = make_examples(dataset.rows, by_name)
    if examples.rows["mix"].n_unique() < FEWEST_MIXES:
        raise SpecError(
            f"{examples.rows['mix'].n_unique()} mixes are too few; at least {FEWEST_MIXES} are needed", "runs"
        )
    progress("training", 0, folds + 1)
    held_out, odds = _cross_fit(examples, folds, seed, progress)
    teacher = teach(examples.features, examples.targets, seed, odds)
    trees = distil_all(examples.features, teacher)
    progress("training", folds + 1, folds + 1)
    scores = {name: _scores(examples, held_out, examples.rows["profile"].to_numpy() == name) for name in by_name}
    region = Region.around(examples.features, Features._fields)
    sure = _overload_thresholds(held_out.distilled["overload"], examples.targets["overload"] > 0.5)
    profiles = f"{len(by_name)} profiles" if len(by_name) > 1 else "1 profile"
    runs = f"{len(examples.rows):,} runs of {examples.rows['mix'].n_unique():,} mixes on {profiles}"
    source = f"{runs}, adaptwin {version('adaptwin')}"
    durations = examples.rows["duration"].to_numpy()
    windows = float(durations.min()), float(durations.max())
    surrogates = {
        name: Surrogate(
            profile=profile,
            trained_on=tuple(by_name),
            source=source,
            windows=windows,
            region=region,
            sure=sure,
            trees=trees,
            scores=scores[name],
        )
        for name, profile in by_name.items()
    }
    return Training(surrogates, teacher, examples, held_out, scores)


def make_examples(rows: pl.DataFrame, profiles: dict[str, Profile]) -> Examples:
    """Compute features and targets of the rows in which requests arrived and that could be judged; profiles by name."""
    rows = rows.filter((pl.col("arrived") > 0) & (pl.col("served_rate") > 0) & (pl.col("worst") != "unknown"))
    features, steady_answers = features_of_table(rows, profiles)
    return Examples(
        rows, features, steady_answers, {output.name: output.target(rows, steady_answers) for output in OUTPUTS}
    )


def distil_all(features: Array, teacher: Teacher) -> dict[str, ModelTree]:
    """Distil one small tree per output from a teacher."""
    trees: dict[str, ModelTree] = {}
    for output in OUTPUTS:
        taught = teacher.learned(output, features)
        if output.scale == "odds":
            trees[output.name] = distil(features, taught, Features._fields, leaves=ODDS_LEAVES, clear=UNDECIDED_ODDS)
        else:
            trees[output.name] = distil(features, taught, Features._fields)
    return trees


def _cross_fit(
    examples: Examples, folds: int, seed: int, progress: Progress
) -> tuple[HeldOut, dict[str, tuple[float, float]]]:
    """Predict every mix by models not trained on it, and fit the corrections of their log odds (see `Teacher`)."""
    mixes = np.unique(examples.mixes)
    fold_of = dict(zip(mixes.tolist(), np.random.default_rng(seed).permutation(len(mixes)) % folds, strict=True))
    fold = np.array([fold_of[mix] for mix in examples.mixes.tolist()])
    learned = {kind: np.full((len(fold), len(OUTPUTS)), np.nan) for kind in HeldOut._fields}
    for number in range(folds):
        training, held = examples.where(fold != number), fold == number
        teacher = teach(training.features, training.targets, seed, {})
        trees = distil_all(training.features, teacher)
        region = Region.around(training.features, Features._fields).arrays()
        clipped, _ = clip_to(region, examples.features[held])
        forest = plant([trees[output.name] for output in OUTPUTS], Features._fields)
        learned["distilled"][held] = evaluate(forest, clipped)
        for column, output in enumerate(OUTPUTS):
            learned["teacher"][held, column] = teacher.learned(output, examples.features[held])
        progress("training", number + 1, folds + 1)
    odds: dict[str, tuple[float, float]] = {}
    for column, output in enumerate(OUTPUTS):
        if output.scale == "odds":
            odds[output.name] = corrected_odds(learned["teacher"][:, column], examples.targets[output.name])
            for values in learned.values():
                values[:, column] = odds[output.name][0] * values[:, column] + odds[output.name][1]
    figures = {kind: figures_of(values, examples.steady_answers) for kind, values in learned.items()}
    return HeldOut(**figures), odds


def _overload_thresholds(probability: Array, overloaded: NDArray[np.bool_]) -> OverloadThresholds:
    """Return the probabilities beyond which at most `WRONG_SHARE` of the held-out predictions were wrong."""
    order = np.argsort(probability)
    wrong = np.cumsum(overloaded[order]) / np.arange(1, len(order) + 1)
    below = probability[order][np.flatnonzero(wrong <= WRONG_SHARE)[-1]] if (wrong <= WRONG_SHARE).any() else 0.0
    falling = order[::-1]
    wrong = np.cumsum(~overloaded[falling]) / np.arange(1, len(order) + 1)
    above = probability[falling][np.flatnonzero(wrong <= WRONG_SHARE)[-1]] if (wrong <= WRONG_SHARE).any() else 1.0
    return OverloadThresholds(below=min(0.5, float(below)), above=max(0.5, float(above)))


def actual_figures(examples: Examples) -> dict[str, Array]:
    """What the twin measured, by output, shape (rows,)."""
    return {output.name: output.measured(examples.rows).cast(pl.Float64).to_numpy() for output in OUTPUTS}


def _scores(examples: Examples, held_out: HeldOut, chosen: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Scores on held-out mixes at drawn loads, without those placed at the boundary: by kind of model, then figure."""
    chosen = chosen & examples.drawn
    actual, mixes = actual_figures(examples), examples.mixes[chosen]
    scores: dict[str, dict[str, float]] = {}
    for kind, predictions in zip(HeldOut._fields, held_out, strict=True):
        of_kind: dict[str, float] = {"runs": float(chosen.sum())}
        for output in OUTPUTS:
            predicted, true = predictions[output.name][chosen], actual[output.name][chosen]
            if output.scale == "ratio":
                of_kind[f"{output.name}_mean"] = mean_error(predicted, true, mixes).value
                of_kind[f"{output.name}_median"] = float(np.nanmedian(error(predicted, true)))
            elif output.scale == "odds":
                of_kind[f"{output.name}_f1"] = f1(predicted, true > 0.5, mixes).value
                of_kind[f"{output.name}_calibration"] = calibration_error(predicted, true > 0.5)
            else:
                of_kind[f"{output.name}_error"] = float(np.nanmean(np.abs(predicted - true)))
        scores[kind] = {name: rounded(value, 4) for name, value in of_kind.items()}
    return scores
