"""Sentences about a training and the format of its scores, for its table and its page."""

import math
from collections.abc import Mapping

from adaptwin.report.style.words import NOTHING, count, percent, share_text
from adaptwin.surrogate.findings import Findings
from adaptwin.surrogate.score import ScoreWithInterval
from adaptwin.surrogate.surrogate import Surrogate


def source_sentence(surrogates: Mapping[str, Surrogate]) -> str:
    """Say what the surrogates were trained on, and for how many profiles."""
    sources = dict.fromkeys(surrogate.source for surrogate in surrogates.values())
    return f"Trained on {' and '.join(sources) or 'nothing'}, for {count(len(surrogates), 'profile')}."


def asked_sentence(findings: Findings, surrogates: Mapping[str, Surrogate]) -> str:
    """Say how often the distilled models are not confident enough, so that a planner runs the twin."""
    if not math.isfinite(findings.unsure):
        return "No run was at the boundary, so it is not known how often a planner would run the twin."
    between = dict.fromkeys(
        f"between {share_text(one.sure.below)} and {share_text(one.sure.above)}" for one in surrogates.values()
    )
    return (
        f"A planner runs the twin for {percent(findings.unsure)} of the runs at the boundary: their probability of "
        f"overload is {' or '.join(between) or 'neither low nor high'}."
    )


def score_text(score: ScoreWithInterval, unit: str) -> str:
    """Write a score with its interval, if it has one: ``3.1 % (2.9 to 3.3)``, ``0.956 (0.948 to 0.963)``."""
    interval = interval_text(score, unit)
    return f"{value_text(score, unit)} ({interval})" if interval else value_text(score, unit)


def value_text(score: ScoreWithInterval, unit: str) -> str:
    """Write a score without its interval: ``3.1 %``, ``0.956``."""
    if not math.isfinite(score.value):
        return NOTHING
    return error_text(score.value) if unit else f"{score.value:.3f}"


def interval_text(score: ScoreWithInterval, unit: str) -> str:
    """Write the interval of a score: ``2.9 to 3.3``; empty if it has none."""
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return ""
    digits = 1 if unit else 3
    return f"{score.low:,.{digits}f} to {score.high:,.{digits}f}"


def error_text(error: float) -> str:
    """Write an error that is in per cent already: ``3.1 %``."""
    return f"{error:,.1f} %" if math.isfinite(error) else NOTHING
