"""The page of a training: errors of the surrogate against the twin, weakest regimes, and importance of features."""

import importlib.metadata
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go

from adaptwin.report.style.page import Card, Picture, render
from adaptwin.report.style.words import NOTHING, count, percent, share_text
from adaptwin.report.training.curve_chart import curve_figure
from adaptwin.report.training.importance_chart import importances_figure
from adaptwin.report.training.prediction_charts import (
    predicted_itl_figure,
    predicted_throughput_figure,
    predicted_ttft_figure,
    reliability_figure,
)
from adaptwin.report.training.regime_chart import by_dimension, regimes_figure
from adaptwin.report.training.sentences import (
    asked_sentence,
    error_text,
    interval_text,
    source_sentence,
    value_text,
)
from adaptwin.report.training.weakest import REGIME_ERRORS, WRONG_KIND, Weakness, weakest
from adaptwin.surrogate.findings import Findings, RegimeLine, ScoreLine
from adaptwin.surrogate.score import ScoreWithInterval
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.writing import write_atomically

HEADLINES = {  # scores on the cards, and their labels there
    "throughput, mean error": "Throughput error",
    "mean ITL, mean error": "Mean ITL error",
    "starvation, F1": "Starvation, F1",
}

_TRAINING_PICTURES: tuple[tuple[Picture, Callable[[Findings], go.Figure]], ...] = (
    (
        Picture(
            "throughput", "Throughput", "Prompt and output tokens per second that are served. Both axes logarithmic."
        ),
        predicted_throughput_figure,
    ),
    (
        Picture("itl", "Mean inter-token latency", "The mean gap between output tokens. Both axes logarithmic."),
        predicted_itl_figure,
    ),
    (
        Picture("ttft", "Median time to first token", "From arrival to the first token. Both axes logarithmic."),
        predicted_ttft_figure,
    ),
    (
        Picture(
            "regimes",
            "Errors by regime",
            "Errors of the distilled models, one row per regime. Further left is better. The axis is logarithmic.",
        ),
        regimes_figure,
    ),
    (
        Picture(
            "reliability",
            "Probability of overload",
            "How often runs were overloaded to which the distilled model gave about this probability. On the dotted "
            "line, probability and frequency agree. A larger point stands for more runs.",
        ),
        reliability_figure,
    ),
    (
        Picture(
            "curve",
            "Learning curve",
            "Scores of the large models when they are trained on only some of the mixes. If an error still falls, or "
            "F1 still rises, at the end of its curve, more runs of the twin would help.",
        ),
        curve_figure,
    ),
    (
        Picture(
            "importances",
            "Importance of the features",
            "How far the answers of the large models change when one feature is shuffled among the runs, as a share "
            "of the spread of the answers. Features that carry much the same information share their importance.",
        ),
        importances_figure,
    ),
)

_MEANINGS = {
    "Mix": "Adapters, their shares of the traffic, and a server. Each mix has several runs, which differ in load.",
    "Held out": "Each mix was left out of one training, and the models of that training predicted it. All scores, "
    "errors and points are about runs of mixes that the model was not trained on.",
    "Error": "The difference from what the twin reports, in per cent of it. It is not the error against a real GPU, to "
    "which the error of the twin adds.",
    "Mean, median": "A few runs can dominate a mean. Half of the runs have a smaller error than the median.",
    "F1": "Combines two shares: of the runs predicted to be starved, how many were; of the runs that were starved, how "
    "many were predicted to be. 1 is perfect.",
    "95 % interval": "Where the figure would lie 95 times in 100 if other mixes had been drawn.",
    "Large models": "Gradient-boosted trees. The distilled models learn from their answers. They are not kept.",
    "Distilled": "Small trees with a short formula in each leaf, which a surrogate file holds. "
    "adaptwin train --explain prints their rules.",
    "Boundary": "Loads near which a server stops serving all its traffic. Runs there are the hardest to predict. They "
    "are among the points and count for the probabilities, but not for the scores and the regimes.",
    "Overload": "The server, or an adapter on it, is starved or backlogged.",
    "Running the twin": "A planner runs the twin if the probability of overload is neither low nor high enough to be "
    "confident, or if a server is unlike those in the training data.",
}


def training_report(findings: Findings, surrogates: Mapping[str, Surrogate]) -> str:
    """Render the findings as one self-contained HTML page; surrogates by the name of their profile."""
    return render(
        "training.html",
        {picture.key: draw(findings) for picture, draw in _TRAINING_PICTURES},
        source=source_sentence(surrogates),
        asked=asked_sentence(findings, surrogates),
        cards=list(_score_cards(findings)),
        pictures={picture.key: picture for picture, _ in _TRAINING_PICTURES},
        scores={profile: [_score_row(line) for line in lines] for profile, lines in findings.scores.items()},
        weaknesses=[_weakness(one) for one in weakest(findings.regimes)],
        regimes=_regimes(findings.regimes),
        meanings=_MEANINGS,
        facts=_training_facts(surrogates),
    )


def write_training_report(findings: Findings, surrogates: Mapping[str, Surrogate], path: str | Path) -> None:
    """Write the page to `path`; raises `SpecError` if that fails."""
    write_atomically(path, training_report(findings, surrogates))


def _score_cards(findings: Findings) -> Iterator[Card]:
    """Yield one card per headline score; of several profiles, the card shows the one with the worst score."""
    for figure, label in HEADLINES.items():
        lines = {
            profile: line
            for profile, of_profile in findings.scores.items()
            for line in of_profile
            if line.figure == figure and math.isfinite(line.distilled.value)
        }
        yield _card(label, lines) if lines else Card(label, NOTHING, "not scored")
    yield Card("Twin needed", percent(findings.unsure), "of the runs at the boundary")


def _card(label: str, lines: dict[str, ScoreLine]) -> Card:
    profile = max(lines, key=lambda name: lines[name].distilled.value * (1.0 if lines[name].unit else -1.0))
    line = lines[profile]
    note = f"{_interval_words(line.distilled, line.unit)}large models {value_text(line.teacher, line.unit)}"
    return Card(label, value_text(line.distilled, line.unit), f"{note}; {profile}" if len(lines) > 1 else note)


def _interval_words(score: ScoreWithInterval, unit: str) -> str:
    interval = interval_text(score, unit)
    return f"{interval}; " if interval else ""


class ScoreCell(NamedTuple):
    """A score in words."""

    value: str
    interval: str


class ScoreRow(NamedTuple):
    """One score of the large models and of the distilled ones."""

    figure: str
    cells: list[ScoreCell]


def _score_row(line: ScoreLine) -> ScoreRow:
    scores = (line.teacher, line.distilled)
    return ScoreRow(line.figure, [ScoreCell(value_text(s, line.unit), interval_text(s, line.unit)) for s in scores])


def _weakness(one: Weakness) -> str:
    """Return a sentence on the regime in which a figure has its largest error."""
    figure = f"{one.figure[0].upper()}{one.figure[1:]}"
    where = f"\N{LEFT DOUBLE QUOTATION MARK}{one.where}\N{RIGHT DOUBLE QUOTATION MARK}"
    error, runs = error_text(one.error), count(one.regime.runs, "run")
    if one.kind == WRONG_KIND:
        return f"{figure} is predicted wrongly most often at {where}: in {error} of {runs}."
    return f"{figure} has its largest {one.kind} at {where}: {error} over {runs}."


class ErrorCell(NamedTuple):
    """An error in words."""

    text: str
    worst: bool  # whether it is the largest of its column


class RegimeRow(NamedTuple):
    """A regime as the table shows it."""

    regime: str
    runs: str
    errors: list[ErrorCell]
    overloaded: str


def _regimes(regimes: Sequence[RegimeLine]) -> dict[str, list[RegimeRow]]:
    """Return the rows of the table of regimes, by dimension."""
    worst = {(one.figure, one.regime) for one in weakest(regimes)}
    return {
        dimension: [
            RegimeRow(
                regime=line.regime,
                runs=f"{line.runs:,}",
                errors=[
                    ErrorCell(error_text(error(line)), (figure, line) in worst) for figure, _, error in REGIME_ERRORS
                ],
                overloaded=percent(line.overloaded),
            )
            for line in lines
        ]
        for dimension, lines in by_dimension(regimes)
    }


def _training_facts(surrogates: Mapping[str, Surrogate]) -> dict[str, str]:
    """Return the facts of the training: version, trees, training runs, thresholds of overload."""
    facts = {"adaptwin": importlib.metadata.version("adaptwin")}
    for profile, surrogate in surrogates.items():
        rules = sum(len(tree.leaves) for tree in surrogate.trees.values())
        facts[profile] = (
            f"{count(len(surrogate.trees), 'tree')} with {count(rules, 'rule')}, from {surrogate.source}. "
            f"A server counts as not overloaded up to a probability of {share_text(surrogate.sure.below)}, and as "
            f"overloaded from {share_text(surrogate.sure.above)} on."
        )
    return facts
