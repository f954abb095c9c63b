"""A training for the terminal: its scores, where it is weakest, and the rules of a distilled tree in words."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.words import NOTHING, count, duration, number, percent
from adaptwin.surrogate.findings import Findings, RegimeLine, ScoreLine
from adaptwin.surrogate.model_tree import Leaf, Rule, rules_of
from adaptwin.surrogate.outputs import OUTPUTS, LearnedScale
from adaptwin.surrogate.region import Region
from adaptwin.surrogate.score import ScoreWithInterval
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.surrogate.vocabulary import VOCABULARY, Word

FEWEST_RUNS = 30  # in a regime that is called the weakest: fewer say too little
STRONGEST = 3  # terms of a formula that are shown
NO_EFFECT = 0.005  # on the scale of the output: a term below it is not worth a word


def training_table(findings: Findings, surrogates: Mapping[str, Surrogate]) -> RenderableType:
    """The scores on held-out mixes by profile, the weakest regimes, and how often the twin is asked."""
    parts: list[RenderableType] = [Text(source_sentence(surrogates), style="bold")]
    for profile, lines in findings.scores.items():
        parts += [heading(f"On mixes held out, {profile}"), _scores_table(lines)]
    parts += [heading("Where the distilled models are weakest"), _weakest_table(findings.regimes)]
    return Group(*parts, Text(f"\n{asked_sentence(findings, surrogates)}"))


def source_sentence(surrogates: Mapping[str, Surrogate]) -> str:
    """What the predictors were trained on, and for how many profiles."""
    sources = dict.fromkeys(surrogate.source for surrogate in surrogates.values())
    return f"Trained on {' and '.join(sources) or 'nothing'}, for {count(len(surrogates), 'profile')}."


def asked_sentence(findings: Findings, surrogates: Mapping[str, Surrogate]) -> str:
    """How often the distilled models are not sure, so that the twin is asked."""
    if not math.isfinite(findings.unsure):
        return "No run was at the boundary, so how often the twin would be asked is not known."
    between = dict.fromkeys(
        f"between {share_text(one.sure.below)} and {share_text(one.sure.above)}" for one in surrogates.values()
    )
    return (
        f"For {percent(findings.unsure)} of the runs at the boundary the twin is asked: their probability of overload "
        f"is {' or '.join(between) or 'not sure'}."
    )


def _scores_table(lines: Sequence[ScoreLine]) -> RenderableType:
    table = plain_table()
    table.add_column("Figure")
    add_numbers(table, "Large models", "Distilled")
    for line in lines:
        table.add_row(line.figure, *(score_text(score, line.unit) for score in (line.teacher, line.distilled)))
    return table


def score_text(score: ScoreWithInterval, unit: str) -> str:
    """A score with its interval, if it has one: ``3.1 % (2.9 to 3.3)``, ``0.956 (0.948 to 0.963)``."""
    interval = interval_text(score, unit)
    return f"{value_text(score, unit)} ({interval})" if interval else value_text(score, unit)


def value_text(score: ScoreWithInterval, unit: str) -> str:
    """A score alone: ``3.1 %``, ``0.956``."""
    if not math.isfinite(score.value):
        return NOTHING
    return error_text(score.value) if unit else f"{score.value:.3f}"


def interval_text(score: ScoreWithInterval, unit: str) -> str:
    """``2.9 to 3.3``; nothing where there is no interval."""
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return ""
    digits = 1 if unit else 3
    return f"{score.low:,.{digits}f} to {score.high:,.{digits}f}"


def error_text(error: float) -> str:
    """An error that is in per cent already: ``3.1 %``."""
    return f"{error:,.1f} %" if math.isfinite(error) else NOTHING


class Weakness(NamedTuple):
    """A figure, and the regime in which the distilled models are furthest off."""

    figure: str  # such as "mean ITL"
    kind: str  # such as "mean error"
    regime: RegimeLine
    error: float  # per cent

    @property
    def where(self) -> str:
        """The regime in words."""
        return f"{self.regime.dimension}: {self.regime.regime}"


JUDGED: tuple[tuple[str, str, Callable[[RegimeLine], float]], ...] = (
    ("throughput", "mean error", lambda line: line.throughput),
    ("mean ITL", "mean error", lambda line: line.itl),
    ("median TTFT", "median error", lambda line: line.ttft),
    ("overload", "called wrongly", lambda line: 100.0 * line.overload_wrong),
)


def weakest(regimes: Sequence[RegimeLine], most: int = 1) -> list[Weakness]:
    """For each figure, the regimes with the largest errors; without those that few runs were in."""
    found = []
    for figure, kind, error in JUDGED:
        known = [line for line in regimes if line.runs >= FEWEST_RUNS and math.isfinite(error(line))]
        known.sort(key=error, reverse=True)
        found += [Weakness(figure, kind, line, error(line)) for line in known[:most]]
    return found


def _weakest_table(regimes: Sequence[RegimeLine]) -> RenderableType:
    found = weakest(regimes, most=2)
    if not found:
        return Text(f"No regime has {FEWEST_RUNS} runs, which is too few to tell.")
    table = plain_table()
    table.add_column("Figure", no_wrap=True)
    table.add_column("Regime", overflow="fold")
    add_numbers(table, "Runs", "Error")
    table.add_column("", no_wrap=True)
    before = ""
    for one in found:
        figure, before = "" if one.figure == before else one.figure, one.figure
        table.add_row(figure, Text(one.where), f"{one.regime.runs:,}", error_text(one.error), one.kind)
    return table


_SAID = {
    "served": "throughput is {} the steady state's",
    "itl_mean": "mean ITL is {} the steady state's",
    "itl_p99": "ITL p99 is {} the steady state's",
    "ttft_p50": "median TTFT is {} the steady state's",
    "ttft_p99": "TTFT p99 is {} the steady state's",
    "e2e_mean": "mean latency is {} the steady state's",
    "worst_share": "the worst adapter gets {} of its tokens",
    "starvation": "starves with {}",
    "overload": "somebody suffers with {}",
}
_SCALES: dict[str, LearnedScale] = {output.name: output.scale for output in OUTPUTS}


def rules_text(surrogate: Surrogate, output: str, most: int = 12) -> RenderableType:
    """The rules of a distilled tree that most training rows fell under, for people.

    Args:
        surrogate: Whose tree.
        output: A key of its trees, such as "starvation".
        most: Rules to show, those with most rows first.
    """
    rules = rules_of(surrogate.trees[output])
    rows = sum(rule.leaf.rows for rule in rules)
    shown = rules[:most]
    covered = share_text(sum(rule.leaf.rows for rule in shown) / max(1, rows))
    table = Table.grid(padding=(0, 1, 1, 0))
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for place, rule in enumerate(shown, 1):
        table.add_row(f"{place}.", _rule(rule, output, surrogate.region))
    headline = Text.assemble(
        (f"\n{output} of {surrogate.profile.name}: ", "bold"),
        f"{count(len(rules), 'rule')} from {count(rows, 'row')}; ",
        f"the most frequent {len(shown):,} hold {covered} of them.\n",
    )
    return Group(headline, table, Text(_HOW_TO_READ + _TERMS_MEAN[_SCALES[output]], style="dim"))


_HOW_TO_READ = (
    '"a to b" is above a, and up to b. A prediction is that for the middle of the training data, moved to where the '
    "rule holds; in brackets, what it is kept between. Below it are the strongest terms of its formula: "
)
_TERMS_MEAN: dict[LearnedScale, str] = {
    "ratio": "what they multiply it by.",
    "odds": "what they multiply its odds by.",
    "share": "how many points they add.",
}


class Interval(NamedTuple):
    """Values of a feature, above `low` and up to `high`."""

    low: float = -math.inf
    high: float = math.inf


def _rule(rule: Rule, output: str, region: Region) -> Text:
    leaf, intervals, scale = rule.leaf, merged(rule.conditions), _SCALES[output]
    conditions = " and ".join(_condition(VOCABULARY[name], interval) for name, interval in intervals.items())
    text = Text(f"if {conditions}:\n" if conditions else "always:\n")
    text.append(_SAID[output].format(_said(_middle(leaf, intervals, region), scale)), style="bold")
    text.append(f" ({_figure(leaf.low, scale)} to {_figure(leaf.high, scale)}); {count(leaf.rows, 'row')}")
    terms = "; ".join(_terms(leaf, intervals, region, scale))
    return text.append(f"\n{terms}", style="dim") if terms else text


def merged(conditions: Iterable[tuple[str, str, float]]) -> dict[str, Interval]:
    """One interval for each feature, in the order in which they are asked about."""
    intervals: dict[str, Interval] = {}
    for name, sign, threshold in conditions:
        low, high = intervals.get(name, Interval())
        intervals[name] = Interval(low, min(high, threshold)) if sign == "<=" else Interval(max(low, threshold), high)
    return intervals


def _condition(word: Word, interval: Interval) -> str:
    low, high = interval
    if word.unit == "switch":
        return word.phrase if low > -math.inf else f"no {word.phrase}"
    if low == -math.inf:
        return f"{word.phrase} <= {_quantity(word, high)}"
    if high == math.inf:
        return f"{word.phrase} > {_quantity(word, low)}"
    return f"{word.phrase} {_range(word, interval)}"


def _range(word: Word, interval: Interval) -> str:
    """``2 to 9``, ``12 ms to 1.4 s``, ``0.3 to 2.00 per slot``."""
    bare = word._replace(unit="") if word.unit not in _WAYS else word
    low, high = _quantity(bare, interval.low), _quantity(word, interval.high)
    return f"about {high}" if low == _quantity(bare, interval.high) else f"{low} to {high}"


def _quantity(word: Word, value: float) -> str:
    """A value of a feature as the quantity it stands for."""
    natural = word.natural(value)
    if word.unit in _WAYS:
        return _WAYS[word.unit](natural)
    return f"{_plain(natural)}{word.unit and f' {word.unit}'}"


def _plain(value: float) -> str:
    return "0" if abs(value) < 5e-4 else number(value)


def share_text(share: float) -> str:
    """A share in per cent, with digits that keep it apart from none and all: ``14 %``, ``0.83 %``, ``99.94 %``."""
    if not math.isfinite(share):
        return NOTHING
    distance = 100.0 * min(abs(share), abs(1.0 - share))
    digits = min(3, max(0, 1 - math.floor(math.log10(distance)))) if 5e-4 <= distance < 10.0 else 0
    return f"{100.0 * share:,.{digits}f} %"


# Thresholds lie between two whole numbers, and the ends of ranges a little beside one.
_WAYS: dict[str, Callable[[float], str]] = {
    "s": duration,
    "share": share_text,
    "whole": lambda value: f"{math.floor(value + 0.01):,}",
}


def _middle(leaf: Leaf, intervals: Mapping[str, Interval], region: Region) -> float:
    """The formula where features are as in the middle of the training data, or as near to it as the rule allows."""
    means = dict(zip(region.features, region.mean, strict=True))
    value = leaf.constant
    for name, weight in leaf.weights.items():
        low, high = intervals.get(name, Interval())
        value += weight * min(high, max(low, means[name]))
    return min(leaf.high, max(leaf.low, value))


def _said(value: float, scale: LearnedScale) -> str:
    """A prediction, from what a tree gives on the output's scale."""
    return f"{_figure(value, scale)} x" if scale == "ratio" else _figure(value, scale)


def _figure(value: float, scale: LearnedScale) -> str:
    if scale == "ratio":
        return _factor(math.exp(value))
    return share_text(1.0 / (1.0 + math.exp(-value)) if scale == "odds" else min(1.0, max(0.0, value)))


def _terms(leaf: Leaf, intervals: Mapping[str, Interval], region: Region, scale: LearnedScale) -> list[str]:
    """The terms that move the formula most over the values that the rule and the training data leave their feature."""
    box = {name: Interval(*ends) for name, *ends in zip(region.features, region.low, region.high, strict=True)}

    def width(name: str) -> float:
        within = intervals.get(name, Interval())
        return min(box[name].high, within.high) - max(box[name].low, within.low)

    strength = {name: abs(weight) * width(name) for name, weight in leaf.weights.items()}
    strongest = sorted(strength, key=lambda name: -strength[name])[:STRONGEST]
    return [
        _term(VOCABULARY[name], leaf.weights[name], width(name), scale)
        for name in strongest
        if strength[name] >= NO_EFFECT
    ]


def _term(word: Word, weight: float, width: float, scale: LearnedScale) -> str:
    """What a step of a feature does: ``twice the adapters: x 1.03``."""
    change, step = _step(word, width)
    effect = weight * step
    return f"{change}: {100.0 * effect:+.1f} points" if scale == "share" else f"{change}: x {_factor(math.exp(effect))}"


def _step(word: Word, width: float) -> tuple[str, float]:
    """A step that people can imagine within that width, and its size on the feature's scale."""
    if word.unit == "switch":
        return word.phrase, 1.0
    if word.scale == "plain":
        step = 0.1 if width > 0.1 else 0.01
        return f"{count(round(100 * step), 'point') if word.unit == 'share' else step} more {word.phrase}", step
    # Of adapters and slots there are so many that one more of them makes no difference.
    exact = word.scale == "log" or word.unit == "whole"
    return f"twice {'the' if exact else '1 +'} {word.phrase}", math.log(2.0)


def _factor(value: float) -> str:
    return f"{value:.2f}" if 0.095 <= value < 9.995 else number(value)
