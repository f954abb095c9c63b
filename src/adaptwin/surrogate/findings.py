"""Findings of a training: scores with intervals, errors by regime, and what more data and each feature contribute."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.features import Features
from adaptwin.surrogate.outputs import OUTPUTS
from adaptwin.surrogate.score import BINS, ScoreWithInterval, error, f1, mean_error
from adaptwin.surrogate.teacher import Teacher, teach
from adaptwin.surrogate.train import Examples, HeldOut, Training, actual_figures

SAMPLED_RUNS = 1500  # runs shown as single points
CURVE_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of the mixes that are not held out
HELD_OUT_EVERY = 5  # every fifth mix is held out for the learning curve and the importances
# Outputs that the learning curve and the importances consider.
JUDGED_OUTPUTS = tuple(output for output in OUTPUTS if output.name in ("served", "itl_mean", "starvation"))
SHUFFLED_ROWS = 5000


class ScoreLine(NamedTuple):
    """One score on held-out mixes at drawn loads: per cent, or F1 as a share."""

    figure: str  # such as "throughput, mean error"
    unit: str  # "%" or ""
    teacher: ScoreWithInterval
    distilled: ScoreWithInterval


class RegimeLine(NamedTuple):
    """Errors of the distilled models in one regime, on held-out mixes, in per cent unless a comment says otherwise."""

    dimension: str  # such as "slot pressure"
    regime: str  # such as "1 to 2"
    runs: int
    throughput: float  # mean error
    itl: float  # mean error
    ttft: float  # median error of the median TTFT
    overload_wrong: float  # share of the runs for which the model is wrong about overload
    overloaded: float  # share of the runs that are overloaded


class CurvePoint(NamedTuple):
    """Scores of the large models when they are trained on only some of the mixes."""

    mixes: int
    throughput: float  # mean error, %
    itl: float  # mean error, %
    starvation_f1: float


class Importance(NamedTuple):
    """How much outputs change when a feature is shuffled among runs: a share of the output's standard deviation."""

    feature: str
    throughput: float
    itl: float
    starvation: float


class Reliability(NamedTuple):
    """Observed frequency of overload among runs to which the distilled model gave about this probability."""

    probability: float
    frequency: float
    runs: int


class Findings(NamedTuple):
    """Everything that the report of a training shows."""

    scores: dict[str, list[ScoreLine]]  # by profile
    regimes: list[RegimeLine]
    curve: list[CurvePoint]
    importances: list[Importance]  # the most important first
    reliability: list[Reliability]
    sample: pl.DataFrame  # some runs: profile, worst, and twin_X and predicted_X for throughput, itl_mean, ttft_p50
    unsure: float  # share of the boundary runs for which a planner would run the twin; NaN without such runs


def find(training: Training, *, progress: Progress = silent) -> Findings:
    """Evaluate a training: scores, errors by regime, learning curve, importances.

    The learning curve trains the large models again on parts of the mixes.
    """
    examples, held_out = training.examples, training.held_out
    progress("evaluating", 0, len(CURVE_SHARES) + 1)
    held = examples.mixes % HELD_OUT_EVERY == 0
    curve = []
    for number, share in enumerate(CURVE_SHARES, 1):
        curve.append(_curve_point(examples, held, share))
        progress("evaluating", number, len(CURVE_SHARES) + 1)
    names = examples.rows["profile"].to_numpy()
    findings = Findings(
        scores={name: _score_lines(examples, held_out, names == name) for name in training.surrogates},
        regimes=_regime_lines(examples, held_out),
        curve=curve,
        importances=_importances(training),
        reliability=_reliability(examples, held_out),
        sample=_sample(examples, held_out),
        unsure=_unsure(training),
    )
    progress("evaluating", len(CURVE_SHARES) + 1, len(CURVE_SHARES) + 1)
    return findings


_FIGURES = {
    "served": "throughput, mean error",
    "itl_mean": "mean ITL, mean error",
    "itl_p99": "ITL p99, median error",
    "ttft_p50": "median TTFT, median error",
    "ttft_p99": "TTFT p99, median error",
    "e2e_mean": "mean latency, median error",
    "worst_share": "worst adapter's share, mean difference",
    "starvation": "starvation, F1",
    "overload": "overload, F1",
}


def _score_lines(examples: Examples, held_out: HeldOut, chosen: NDArray[np.bool_]) -> list[ScoreLine]:
    chosen = chosen & examples.drawn
    actual, mixes = actual_figures(examples), examples.mixes[chosen]
    lines = []
    for output in OUTPUTS:
        figure = _FIGURES[output.name]
        scores = [
            _score_of_figure(figure, predictions[output.name][chosen], actual[output.name][chosen], mixes)
            for predictions in held_out
        ]
        lines.append(ScoreLine(figure, "" if figure.endswith("F1") else "%", *scores))
    return lines


def _score_of_figure(figure: str, predicted: Array, actual: Array, mixes: NDArray[np.int64]) -> ScoreWithInterval:
    if figure.endswith("F1"):
        return f1(predicted, actual > 0.5, mixes)
    if figure.endswith("mean difference"):
        return mean_error(1.0 + np.abs(predicted - actual), np.where(np.isfinite(actual), 1.0, np.nan), mixes)
    if figure.endswith("median error"):
        median = float(np.nanmedian(error(predicted, actual)))
        return ScoreWithInterval(median, float("nan"), float("nan"))
    return mean_error(predicted, actual, mixes)


_BANDS: dict[str, tuple[Callable[[Examples], Array], tuple[float, ...]]] = {
    "utilisation": (lambda e: np.exp(_feature(e, "utilisation")), (0.0, 0.1, 0.3, 0.6, 0.9, 1.1, 1.5)),
    "adapters wanting a slot, per slot": (
        lambda e: np.exp(_feature(e, "slot_pressure")),
        (0.0, 0.5, 0.9, 1.1, 2.0, 5.0),
    ),
    "KV cache in use": (lambda e: np.exp(_feature(e, "kv_fullness")), (0.0, 0.3, 0.6, 0.9)),
    "prompt tokens that are cached, %": (lambda e: 100.0 * _feature(e, "hit_share"), (0.0, 1.0, 20.0, 50.0)),
    "adapters": (lambda e: e.rows["adapters"].to_numpy(), (0.0, 2.0, 10.0, 60.0, 300.0)),
    "requests": (lambda e: e.rows["arrived"].to_numpy().astype(np.float64), (0.0, 500.0, 3000.0, 20000.0)),
}


def _feature(examples: Examples, name: str) -> Array:
    return examples.features[:, Features._fields.index(name)]


def _regime_lines(examples: Examples, held_out: HeldOut) -> list[RegimeLine]:
    drawn, actual, predicted = examples.drawn, actual_figures(examples), held_out.distilled
    lines = []
    for dimension, (values_of, edges) in _BANDS.items():
        values = values_of(examples)
        for low, high in zip(edges, [*edges[1:], np.inf], strict=True):
            name = f"{low:,g} to {high:,g}" if np.isfinite(high) else f"above {low:,g}"
            lines.append(_regime_line(actual, predicted, drawn & (values >= low) & (values < high), dimension, name))
    for column in ("arrivals", "lengths"):
        of_rows = examples.rows[column].to_numpy()
        kinds = sorted(set(of_rows.tolist()))
        lines += [_regime_line(actual, predicted, drawn & (of_rows == kind), column, kind) for kind in kinds]
    return [line for line in lines if line.runs]


def _regime_line(
    actual: dict[str, Array], predicted: dict[str, Array], chosen: NDArray[np.bool_], dimension: str, regime: str
) -> RegimeLine:
    if not chosen.any():
        return RegimeLine(dimension, regime, 0, *[float("nan")] * 5)
    throughput, itl, ttft = (error(predicted[n][chosen], actual[n][chosen]) for n in ("served", "itl_mean", "ttft_p50"))
    overloaded = actual["overload"][chosen] > 0.5
    return RegimeLine(
        dimension=dimension,
        regime=regime,
        runs=int(chosen.sum()),
        throughput=float(np.nanmean(throughput)),
        itl=float(np.nanmean(itl)),
        ttft=float(np.nanmedian(ttft)),
        overload_wrong=float(((predicted["overload"][chosen] > 0.5) != overloaded).mean()),
        overloaded=float(overloaded.mean()),
    )


def _curve_point(examples: Examples, held: NDArray[np.bool_], share: float) -> CurvePoint:
    """Train on the first mixes that are not held out, and score the judged outputs on those that are."""
    available = np.unique(examples.mixes[~held])
    mixes = available[: max(1, round(share * len(available)))]
    training = examples.where(~held & (examples.mixes <= mixes[-1]))
    teacher = teach(training.features, training.targets, 0, {}, JUDGED_OUTPUTS)
    return CurvePoint(len(mixes), *judged_scores(teacher, examples.where(held & examples.drawn)))


def judged_scores(teacher: Teacher, test: Examples) -> tuple[float, float, float]:
    """Return a teacher's mean errors of throughput and mean ITL, in per cent, and its F1 of starvation, on `test`."""
    actual = actual_figures(test)
    predicted = {o.name: o.value(teacher.learned(o, test.features), test.steady_answers) for o in JUDGED_OUTPUTS}
    throughput, itl = (mean_error(predicted[name], actual[name], test.mixes).value for name in ("served", "itl_mean"))
    return throughput, itl, f1(predicted["starvation"], actual["starvation"] > 0.5, test.mixes).value


def _importances(training: Training) -> list[Importance]:
    """Permutation importances of the final large models, on a sample of the runs, the most important feature first."""
    examples = training.examples
    generator = np.random.default_rng(0)
    chosen = np.zeros(len(examples.rows), np.bool_)
    chosen[generator.choice(len(chosen), size=min(SHUFFLED_ROWS, len(chosen)), replace=False)] = True
    part = examples.where(chosen)
    taught = {output.name: training.teacher.learned(output, part.features) for output in JUDGED_OUTPUTS}
    found = []
    for column, name in enumerate(Features._fields):
        shuffled = part.features.copy()
        generator.shuffle(shuffled[:, column])
        # Standard deviation of the change in the model's output, then divided by that of the output itself.
        moved = {o.name: float(np.std(training.teacher.learned(o, shuffled) - taught[o.name])) for o in JUDGED_OUTPUTS}
        shares = [moved[name] / max(1e-9, float(np.std(answers))) for name, answers in taught.items()]
        found.append(Importance(name, *shares))
    return sorted(found, key=lambda line: -(line.throughput + line.itl + line.starvation))


def _reliability(examples: Examples, held_out: HeldOut) -> list[Reliability]:
    probability, happened = held_out.distilled["overload"], examples.targets["overload"] > 0.5
    bins = np.minimum(BINS - 1, (probability * BINS).astype(np.int64))
    lines = []
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            lines.append(
                Reliability(float(probability[inside].mean()), float(happened[inside].mean()), int(inside.sum()))
            )
    return lines


def _sample(examples: Examples, held_out: HeldOut) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    chosen = np.sort(generator.choice(len(examples.rows), size=min(SAMPLED_RUNS, len(examples.rows)), replace=False))
    actual, predicted, offered = (
        actual_figures(examples),
        held_out.distilled,
        examples.rows["offered_throughput"].to_numpy(),
    )
    columns = {name: examples.rows[name].to_numpy()[chosen] for name in ("profile", "worst")}
    for shown, name, scale in (
        ("throughput", "served", offered),
        ("itl_mean", "itl_mean", np.ones(len(offered))),
        ("ttft_p50", "ttft_p50", np.ones(len(offered))),
    ):
        columns[f"twin_{shown}"] = (actual[name] * scale)[chosen]
        columns[f"predicted_{shown}"] = (predicted[name] * scale)[chosen]
    return pl.DataFrame(columns)


def _unsure(training: Training) -> float:
    surrogate = next(iter(training.surrogates.values()))
    boundary = ~training.examples.drawn
    if not boundary.any():
        return float("nan")
    probability = training.held_out.distilled["overload"][boundary]
    return float(((probability > surrogate.sure.below) & (probability < surrogate.sure.above)).mean())
