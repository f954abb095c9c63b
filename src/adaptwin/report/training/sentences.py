"""Sentences and scores of a training, for its table and its page."""

import math
from collections.abc import Mapping

from adaptwin.report.style.words import NOTHING, count, percent, share_text
from adaptwin.surrogate.findings import Findings
from adaptwin.surrogate.score import ScoreWithInterval
from adaptwin.surrogate.surrogate import Surrogate


def source_sentence(surrogates: Mapping[str, Surrogate]) -> str:
    """What the predictors were trained on, and for how many profiles."""
    sources = dict.fromkeys(surrogate.source for surrogate in surrogates.values())
    return f"Trained on {' and '.join(sources) or 'nothing'}, for {count(len(surrogates), 'profile')}."


def asked_sentence(findings: Findings, surrogates: Mapping[str, Surrogate]) -> str:
    """How often the distilled models are not sure enough, so that the twin is asked."""
    if not math.isfinite(findings.unsure):
        return "No run was at the boundary, so how often the twin would be asked is not known."
    between = dict.fromkeys(
        f"between {share_text(one.sure.below)} and {share_text(one.sure.above)}" for one in surrogates.values()
    )
    return (
        f"For {percent(findings.unsure)} of the runs at the boundary the twin is asked: their probability of overload "
        f"is {' or '.join(between) or 'not sure'}."
    )


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
    """The interval of a score: ``2.9 to 3.3``; empty where it has none."""
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return ""
    digits = 1 if unit else 3
    return f"{score.low:,.{digits}f} to {score.high:,.{digits}f}"


def error_text(error: float) -> str:
    """An error that is in per cent already: ``3.1 %``."""
    return f"{error:,.1f} %" if math.isfinite(error) else NOTHING
