"""LengthMoments: mean demand of a request whose lengths follow a distribution."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.lengths import Lengths


class LengthMoments(NamedTuple):
    """Means over all requests of a distribution; requests that are rejected as too long count as 0."""

    served: float  # share of the requests that is not rejected
    prompt: float  # prompt tokens
    answer: float  # answer tokens given
    asked: float  # answer tokens asked for
    context: float  # cached tokens read, summed over the decode steps
    prompt_squares: float
    answer_squares: float


@lru_cache(maxsize=4096)
def length_moments(lengths: Lengths, early_stop_share: float, early_stop_reach: float, longest: int) -> LengthMoments:
    """Return the moments of lengths on a model that ends `early_stop_share` of the answers early.

    An answer that ends early has, on average, `early_stop_reach` of its length. A request with p prompt tokens and o
    answer tokens takes part in o - 1 decode steps, which read sum_{i=1}^{o-1} (p + i - 1) cached tokens. Answers that
    end early are computed with their mean length; as the sum is convex in o, `context` is a lower bound. Requests
    longer than `longest` tokens are rejected.
    """
    early = early_stop_share if lengths.are_limits else 0.0
    table = lengths.table()
    prompt, answer = table.input.astype(np.float64), table.output.astype(np.float64)
    sums = _joint_sums if table.joint else _independent_sums
    whole = sums(prompt, answer, answer, longest)
    if early == 0.0:
        return LengthMoments(*whole)
    cut = sums(prompt, answer, np.maximum(1.0, early_stop_reach * answer), longest)
    return LengthMoments(
        *((1.0 - early) * of_whole + early * of_cut for of_whole, of_cut in zip(whole, cut, strict=True))
    )


def _joint_sums(
    prompt: NDArray[np.float64], asked: NDArray[np.float64], answer: NDArray[np.float64], longest: int
) -> tuple[float, ...]:
    served = prompt + asked <= longest
    p, q, o = prompt[served], asked[served], answer[served]
    decodes = o - 1.0
    sums = (served, p, o, q, p * decodes + decodes * (decodes - 1.0).clip(0.0) / 2.0, p * p, o * o)
    return tuple(float(values.sum()) / len(prompt) for values in sums)


def _independent_sums(
    prompt: NDArray[np.float64], asked: NDArray[np.float64], answer: NDArray[np.float64], longest: int
) -> tuple[float, ...]:
    """Return the same sums as `_joint_sums` for independent lengths: for each answer, over all prompts that fit."""
    rising = np.sort(prompt)
    fitting = np.searchsorted(rising, longest - asked, side="right")  # number of prompts, per answer
    prompts, squares = (np.concatenate(([0.0], np.cumsum(rising**power)))[fitting] for power in (1, 2))
    decodes = answer - 1.0
    reading = decodes * (decodes - 1.0).clip(0.0) / 2.0
    sums = (
        fitting,
        prompts,
        fitting * answer,
        fitting * asked,
        prompts * decodes + fitting * reading,
        squares,
        fitting * answer * answer,
    )
    return tuple(float(values.sum()) / (len(prompt) * len(answer)) for values in sums)


@lru_cache(maxsize=4096)
def longest_mean_rest(lengths: Lengths, longest: int) -> float:
    """Return the highest mean residual length of an answer over all ages, in tokens.

    Answers are cut at `longest` tokens. Early stops do not raise the mean residual length.
    """
    rising = np.sort(np.minimum(lengths.table().output, longest)).astype(np.float64)
    means = np.cumsum(rising[::-1])[::-1] / np.arange(len(rising), 0, -1)  # of each answer and all longer ones
    ages = np.concatenate(([0.0], rising[:-1]))
    return float((means - ages).max())
