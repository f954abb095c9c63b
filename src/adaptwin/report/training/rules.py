"""The rules of a distilled tree, in words."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from rich.console import Group, RenderableType

from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import count, duration, number, share_text
from adaptwin.surrogate.model_tree import Leaf, Rule, rules_of
from adaptwin.surrogate.outputs import OUTPUTS, LearnedScale
from adaptwin.surrogate.region import Region
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.surrogate.vocabulary import VOCABULARY, Word

SHOWN_TERMS = 3  # terms of a formula that are shown
NO_EFFECT = 0.005  # on the scale of the output: terms with a smaller effect are not shown
_PREDICTION_TEXTS = {
    "served": "throughput is {} the steady state's",
    "itl_mean": "mean ITL is {} the steady state's",
    "itl_p99": "ITL p99 is {} the steady state's",
    "ttft_p50": "median TTFT is {} the steady state's",
    "ttft_p99": "TTFT p99 is {} the steady state's",
    "e2e_mean": "mean latency is {} the steady state's",
    "worst_share": "the worst-served adapter gets {} of its tokens",
    "starvation": "the probability of starvation is {}",
    "overload": "the probability of overload is {}",
}
_SCALES: dict[str, LearnedScale] = {output.name: output.scale for output in OUTPUTS}
_HOW_TO_READ = (
    'A condition "a to b" holds above a, and up to b. A rule shows its formula at the mean of the training data, with '
    "each feature moved into the range that the rule allows. In brackets are the limits to which the formula is "
    "clipped. The line below shows the strongest terms of the formula: "
)
_TERMS_MEAN: dict[LearnedScale, str] = {
    "ratio": "the factor by which a change of a feature multiplies the prediction.",
    "odds": "the factor by which a change of a feature multiplies the odds.",
    "share": "the percentage points that a change of a feature adds.",
}
# Whole numbers are rounded down with a margin: thresholds lie between two of them, ends of ranges close to one.
_UNIT_TEXTS: dict[str, Callable[[float], str]] = {
    "s": duration,
    "share": share_text,
    "whole": lambda value: f"{math.floor(value + 0.01):,}",
}


class Interval(NamedTuple):
    """An interval of a feature: above `low`, and up to `high`."""

    low: float = -math.inf
    high: float = math.inf


def rules_text(surrogate: Surrogate, output: str, most: int = 12) -> RenderableType:
    """Show the rules of a distilled tree in words, those with most training rows first.

    Args:
        surrogate: The surrogate that holds the tree.
        output: The output that the tree predicts, such as "starvation".
        most: Largest number of rules to show.
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
        f"the rules shown cover {covered} of the rows.\n",
    )
    return Group(headline, table, Text(_HOW_TO_READ + _TERMS_MEAN[_SCALES[output]], style="dim"))


def _rule(rule: Rule, output: str, region: Region) -> Text:
    leaf, intervals, scale = rule.leaf, merged_conditions(rule.conditions), _SCALES[output]
    conditions = " and ".join(_condition(VOCABULARY[name], interval) for name, interval in intervals.items())
    text = Text(f"if {conditions}:\n" if conditions else "always:\n")
    text.append(
        _PREDICTION_TEXTS[output].format(_prediction_text(_middle(leaf, intervals, region), scale)), style="bold"
    )
    text.append(f" ({_figure(leaf.low, scale)} to {_figure(leaf.high, scale)}); {count(leaf.rows, 'row')}")
    terms = "; ".join(_terms(leaf, intervals, region, scale))
    return text.append(f"\n{terms}", style="dim") if terms else text


def merged_conditions(conditions: Iterable[tuple[str, str, float]]) -> dict[str, Interval]:
    """Merge conditions to one interval per feature, in the order in which the conditions first name the features."""
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
    """Write an interval in words: ``2 to 9``, ``12 ms to 1.4 s``, ``0.3 to 2.00 per slot``."""
    bare = word._replace(unit="") if word.unit not in _UNIT_TEXTS else word
    low, high = _quantity(bare, interval.low), _quantity(word, interval.high)
    return f"about {high}" if low == _quantity(bare, interval.high) else f"{low} to {high}"


def _quantity(word: Word, value: float) -> str:
    """Write a value of a feature as the quantity that it stands for."""
    natural = word.natural(value)
    if word.unit in _UNIT_TEXTS:
        return _UNIT_TEXTS[word.unit](natural)
    return f"{_value_text(natural)}{word.unit and f' {word.unit}'}"


def _value_text(value: float) -> str:
    return "0" if abs(value) < 5e-4 else number(value)


def _middle(leaf: Leaf, intervals: Mapping[str, Interval], region: Region) -> float:
    """Evaluate the formula at the mean of the training data, each feature moved into the interval of the rule."""
    means = dict(zip(region.features, region.mean, strict=True))
    value = leaf.constant
    for name, weight in leaf.weights.items():
        low, high = intervals.get(name, Interval())
        value += weight * min(high, max(low, means[name]))
    return min(leaf.high, max(leaf.low, value))


def _prediction_text(value: float, scale: LearnedScale) -> str:
    """Write a prediction in words, from a value on the scale of the output."""
    return f"{_figure(value, scale)} x" if scale == "ratio" else _figure(value, scale)


def _figure(value: float, scale: LearnedScale) -> str:
    if scale == "ratio":
        return _factor(math.exp(value))
    return share_text(1.0 / (1.0 + math.exp(-value)) if scale == "odds" else min(1.0, max(0.0, value)))


def _terms(leaf: Leaf, intervals: Mapping[str, Interval], region: Region, scale: LearnedScale) -> list[str]:
    """Describe the terms with most effect over the values that the rule and the training data leave to a feature."""
    box = {name: Interval(*ends) for name, *ends in zip(region.features, region.low, region.high, strict=True)}

    def width(name: str) -> float:
        within = intervals.get(name, Interval())
        return min(box[name].high, within.high) - max(box[name].low, within.low)

    strength = {name: abs(weight) * width(name) for name, weight in leaf.weights.items()}
    strongest = sorted(strength, key=lambda name: -strength[name])[:SHOWN_TERMS]
    return [
        _term(VOCABULARY[name], leaf.weights[name], width(name), scale)
        for name in strongest
        if strength[name] >= NO_EFFECT
    ]


def _term(word: Word, weight: float, width: float, scale: LearnedScale) -> str:
    """Describe the effect of a step of a feature: ``twice the adapters: x 1.03``."""
    change, step = _imaginable_step(word, width)
    effect = weight * step
    return f"{change}: {100.0 * effect:+.1f} points" if scale == "share" else f"{change}: x {_factor(math.exp(effect))}"


def _imaginable_step(word: Word, width: float) -> tuple[str, float]:
    """Return a plausible step of a feature within a width: in words, and its size on the feature's scale."""
    if word.unit == "switch":
        return word.phrase, 1.0
    if word.scale == "plain":
        step = 0.1 if width > 0.1 else 0.01
        return f"{count(round(100 * step), 'point') if word.unit == 'share' else step} more {word.phrase}", step
    # "twice the" ignores the one in "log of one plus" for adapters and slots, because there are many of them.
    exact = word.scale == "log" or word.unit == "whole"
    return f"twice {'the' if exact else '1 +'} {word.phrase}", math.log(2.0)


def _factor(value: float) -> str:
    return f"{value:.2f}" if 0.095 <= value < 9.995 else number(value)
