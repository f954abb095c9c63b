"""Random streams: random numbers for compiled loops, from generators that cost nothing to start.

A generator is a 64-bit counter to which `GOLDEN` is added before each draw; SplitMix64 turns it into random bits.
Exponential variates are logarithms of uniform ones, which is as fast as a ziggurat here.
"""

import numpy as np

from adaptwin.jit import compiled

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@compiled
def split_mix(state: np.uint64) -> np.uint64:
    """Return random bits for a state: the output function of SplitMix64 (Steele, Lea, Flood 2014)."""
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def uniform(state: np.uint64) -> float:
    """Return a number in (0, 1] from the state of a generator."""
    return (float(split_mix(state) >> np.uint64(11)) + 1.0) * (1.0 / 9007199254740992.0)


@compiled
def exponential(state: np.uint64) -> tuple[float, np.uint64]:
    """Draw an exponential variate of mean 1; return it and the new state of the generator."""
    state += GOLDEN
    return -np.log(uniform(state)), state


@compiled
def gamma(shape: float, state: np.uint64) -> tuple[float, np.uint64]:
    """Draw a Gamma variate of mean 1; return it and the new state of the generator.

    The method is that of Marsaglia and Tsang (2000), boosted for shapes below 1.
    """
    boosted = shape + 1.0 if shape < 1.0 else shape
    d = boosted - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    while True:
        state += GOLDEN
        radius = np.sqrt(-2.0 * np.log(uniform(state)))
        state += GOLDEN
        normal = radius * np.cos(2.0 * np.pi * uniform(state))
        v = (1.0 + c * normal) ** 3
        state += GOLDEN
        if v > 0.0 and np.log(uniform(state)) < 0.5 * normal * normal + d - d * v + d * np.log(v):
            break
    value = d * v
    if shape < 1.0:
        state += GOLDEN
        value *= uniform(state) ** (1.0 / shape)
    return value / shape, state


@compiled
def first_gap(shape: float, state: np.uint64) -> tuple[float, np.uint64]:
    """Draw the time to the first event of a renewal process with Gamma gaps of mean 1 that began long ago.

    Seen from a random moment, the gap around it is drawn in proportion to its length, and the moment lies anywhere in
    it (Cox 1962, Renewal Theory, chapter 5): a uniform share of a Gamma variate whose shape is larger by one. With it,
    as many events are expected in every second from the first one on.
    """
    around, state = gamma(shape + 1.0, state)
    state += GOLDEN
    return uniform(state) * around * (shape + 1.0) / shape, state
