"""Mean lengths of the requests of a workload, the tokens that they come to, and how many of these are in long ones."""

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from adaptwin.workload.demand.distinct_lengths import distinct_lengths
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Workload


class MeanLengths(NamedTuple):
    """Mean prompt and answer tokens of the requests of a workload, which adapters send in proportion to their rates."""

    prompt: float
    answer: float


class SharesLonger(NamedTuple):
    """Shares of the prompt tokens and of the answer tokens that belong to longer prompts and answers than a bound."""

    prompts: float
    answers: float


def mean_lengths(workload: Workload) -> MeanLengths:
    """Return the mean lengths of the requests of a workload; without traffic, those of its own distribution."""
    means = [(share, *_means(lengths)) for lengths, share in _shares(workload)]
    return MeanLengths(
        sum(share * prompt for share, prompt, _ in means), sum(share * answer for share, _, answer in means)
    )


def shares_longer(workload: Workload, *, prompt: int, answer: int) -> SharesLonger:
    """Return the share of tokens in prompts of over `prompt` tokens, and that in answers of over `answer` tokens.

    Tokens count rather than requests, because they are what a server spends its time on.
    """
    means = mean_lengths(workload)
    longer = [(share, *_tokens_longer(lengths, prompt, answer)) for lengths, share in _shares(workload)]
    return SharesLonger(
        sum(share * prompts for share, prompts, _ in longer) / means.prompt,
        sum(share * answers for share, _, answers in longer) / means.answer,
    )


def tokens_per_adapter(workload: Workload) -> dict[str, float]:
    """Return the mean prompt and answer tokens per second that the requests to each adapter ask for, by its name."""
    tokens = np.array(workload.rates, np.float64)
    for lengths, adapters in distinct_lengths(workload):
        tokens[adapters] *= lengths.mean_input + lengths.mean_output
    return dict(zip((adapter.name for adapter in workload.adapters), tokens.tolist(), strict=True))


def _shares(workload: Workload) -> Iterator[tuple[Lengths, float]]:
    """Yield each distribution of lengths with the share of the requests that follow it."""
    rates = workload.rates
    total = sum(rates)
    if total <= 0:
        yield workload.lengths, 1.0
        return
    for lengths, adapters in distinct_lengths(workload):
        if (rate := sum(rates[index] for index in adapters)) > 0:
            yield lengths, rate / total


def _means(lengths: Lengths) -> tuple[float, float]:
    if lengths.input_mean is not None and lengths.output_mean is not None:
        return lengths.input_mean, lengths.output_mean
    return lengths.mean_input, lengths.mean_output


def _tokens_longer(lengths: Lengths, prompt: int, answer: int) -> tuple[float, float]:
    """Return the mean tokens per request in prompts of over `prompt` tokens, and in answers of over `answer` tokens."""
    if lengths.kind == "lognormal":
        return (
            _lognormal_tokens(lengths.input_mean, lengths.input_cv, prompt),
            _lognormal_tokens(lengths.output_mean, lengths.output_cv, answer),
        )
    table = lengths.table()
    inputs, outputs = table.input, table.output
    return float((inputs * (inputs > prompt)).mean()), float((outputs * (outputs > answer)).mean())


def _lognormal_tokens(mean: float | None, cv: float | None, bound: int) -> float:
    """Return the mean of a lognormal of this mean and coefficient of variation, where values up to a bound are 0."""
    assert mean is not None
    assert cv is not None
    sigma = math.sqrt(math.log1p(cv * cv))
    if sigma == 0.0:
        return mean if mean > bound else 0.0
    return mean * (1.0 - NormalDist(math.log(mean) + sigma * sigma / 2.0, sigma).cdf(math.log(bound)))
