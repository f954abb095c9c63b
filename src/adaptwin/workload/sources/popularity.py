"""Popularity: how the traffic of a fleet is distributed to its adapters."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.quantities import parse_share
from adaptwin.workload.drawing.seeds import stream_seed

POPULARITIES = "uniform, dirichlet:0.5, zipf:1.0, hot:0.5, levels:3 or lognormal:1.5"
DECADES = 3.0  # powers of ten that the rates of `levels` are drawn from

_Weights = Callable[[np.random.Generator, int, float], NDArray[np.float64]]


def popularity_shares(popularity: str, adapters: int, seed: int = 0) -> NDArray[np.float64]:
    """Return the share of the traffic that each adapter gets, of shape (adapters,); shares sum to 1.

    - ``uniform``: all shares are equal;
    - ``dirichlet:ALPHA``: shares are drawn at random; a smaller ALPHA makes them less even;
    - ``zipf:S``: the share of the k-th adapter is proportional to k to the power of -S;
    - ``hot:SHARE``: the first adapter gets SHARE, the others share the rest equally;
    - ``levels:K``: K different rates are drawn from three decades and assigned in turn;
    - ``lognormal:SIGMA``: shares are drawn at random; their logarithms have the standard deviation SIGMA.

    Raises `SpecError` for an unknown popularity.
    """
    family, number = parse_popularity(popularity)
    weights = _WEIGHTS[family](np.random.default_rng(stream_seed(seed, "popularity")), adapters, number)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def parse_popularity(popularity: str) -> tuple[str, float]:
    """Return the family and its number; raises `SpecError` when the family is unknown or the number out of range."""
    family, colon, text = popularity.partition(":")
    unknown = SpecError(f"{popularity!r} is not a known popularity ({POPULARITIES})", "popularity")
    if family not in _USUAL_NUMBERS or (colon and family == "uniform"):
        raise unknown
    try:
        number = (parse_share(text) if text.endswith("%") else float(text)) if colon else _USUAL_NUMBERS[family]
    except ValueError:
        raise unknown from None
    if colon and not 0 < number < float("inf"):
        raise SpecError(f"{popularity!r}: the number must be above 0 and finite", "popularity")
    if family == "hot" and number >= 1:
        raise SpecError(f"{popularity!r}: the share must be below 1", "popularity")
    if family == "levels" and number != int(number):
        raise SpecError(f"{popularity!r}: the number of levels must be whole", "popularity")
    return family, number


def _hot(_generator: np.random.Generator, adapters: int, share: float) -> NDArray[np.float64]:
    return np.concatenate(([share], np.full(adapters - 1, (1.0 - share) / max(1, adapters - 1))))


def _levels(generator: np.random.Generator, adapters: int, levels: float) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = 10.0 ** generator.uniform(-DECADES, 0.0, min(adapters, int(levels)))
    return weights[np.arange(adapters) % len(weights)]


def _lognormal(generator: np.random.Generator, adapters: int, sigma: float) -> NDArray[np.float64]:
    normal = generator.standard_normal(adapters)
    weights: NDArray[np.float64] = np.exp(sigma * (normal - normal.max()))  # at most 1, however large sigma is
    return weights


_USUAL_NUMBERS = {"uniform": 0.0, "dirichlet": 0.5, "zipf": 1.0, "hot": 0.5, "levels": 3.0, "lognormal": 1.5}
_WEIGHTS: dict[str, _Weights] = {
    "uniform": lambda _, adapters, __: np.ones(adapters),
    "dirichlet": lambda generator, adapters, alpha: generator.dirichlet(np.full(adapters, alpha)),
    "zipf": lambda _, adapters, s: np.arange(1, adapters + 1, dtype=np.float64) ** -s,
    "hot": _hot,
    "levels": _levels,
    "lognormal": _lognormal,
}
