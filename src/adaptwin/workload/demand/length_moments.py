"""LengthMoments: what a request of a length distribution asks for in the mean."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.lengths import Lengths


class LengthMoments(NamedTuple):
    """Means over all requests of a distribution; those that are rejected as too long count as nothing."""

    served: float  # share that is not rejected
    prompt: float  # tokens
    answer: float  # tokens given
    asked: float  # tokens of the answer that were asked for
    context: float  # cached tokens read, summed over the decode steps
    prompt_squares: float
    answer_squares: float


@lru_cache(maxsize=4096)
def length_moments(lengths: Lengths, early_stop_share: float, early_stop_reach: float, longest: int) -> LengthMoments:
    """The moments of lengths on a model that ends a share of the answers early, at a mean of `reach` of their length.

    Let a request have p prompt and o answer tokens: it is in o - 1 decode steps, which read
    sum_{i=1}^{o-1} (p + i - 1) cached tokens. As that is convex in o, answers that end early are given their mean
    length, and the context is at most what there will be. Requests longer than `longest` tokens are rejected.
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
    """The same where any prompt meets any answer: by sums over the prompts that are short enough for an answer."""
    rising = np.sort(prompt)
    fitting = np.searchsorted(rising, longest - asked, side="right")  # prompts, per answer
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
    """The mean of the tokens that an answer still has before it, at the age at which that is highest.

    No answer is longer than `longest` tokens. Answers that end early have no longer a rest in the mean.
    """
    rising = np.sort(np.minimum(lengths.table().output, longest)).astype(np.float64)
    means = np.cumsum(rising[::-1])[::-1] / np.arange(len(rising), 0, -1)  # of those from each on
    ages = np.concatenate(([0.0], rising[:-1]))
    return float((means - ages).max())
