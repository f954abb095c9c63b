"""Variability: how far the tokens that arrive in one window may be from their mean."""

import math

import numpy as np

from adaptwin.workload.demand.length_moments import LengthMoments
from adaptwin.workload.demand.traffic import AdapterDemands


def token_variability(demands: AdapterDemands, duration: float) -> float:
    """Return the coefficient of variation of the prompt and answer tokens that arrive in `duration` seconds.

    An adapter's n requests of m tokens on average bring a variance of n (s + d m^2), where s is the variance of the
    tokens of a request and d the squared coefficient of variation of the gaps between arrivals (a renewal-reward
    process, in a window with many arrivals). Regimes add (n m)^2 v p, where v is the relative variance of the rate and
    p the number of windows in a period. Prompts and answers count as independent. The result is 0 without tokens.
    """
    each = LengthMoments(*demands.per_request.T)
    requests, tokens = demands.rate * duration, each.prompt + each.answer
    of_a_request = each.prompt_squares - each.prompt**2 + each.answer_squares - each.answer**2
    by_chance = requests * (np.maximum(0.0, of_a_request) + demands.dispersion * tokens**2)
    by_regimes = (requests * tokens) ** 2 * demands.swing * np.minimum(1.0, demands.period / duration)
    mean = float((requests * tokens).sum())
    return math.sqrt(float((by_chance + by_regimes).sum())) / mean if mean > 0.0 else 0.0
