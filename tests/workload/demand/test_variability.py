"""Variability of a window's tokens: by hand, and against drawn windows."""

import numpy as np
import pytest

from adaptwin import Adapter, Lengths, Workload
from adaptwin.workload.demand.traffic import demands_of
from adaptwin.workload.demand.variability import token_variability
from adaptwin.workload.drawing.requests import draw_requests

FIXED = Lengths.fixed(100, 20)


def variability(*adapters, duration=1000.0, **fields):
    workload = Workload(adapters, lengths=FIXED, duration=duration, **fields)
    demands = demands_of(workload, early_stop_share=0.0, early_stop_reach=1.0, longest=100_000)
    return token_variability(demands, duration)


def test_requests_of_one_length_vary_by_their_number_alone():
    """By Poisson's law, 400 requests vary by 1 / sqrt(400)."""
    assert variability(Adapter("a", 8, 0.4)) == pytest.approx(1 / 20)
    assert variability(Adapter("a", 8, 0.1), Adapter("b", 8, 0.3)) == pytest.approx(1 / 20)
    assert variability(Adapter("a", 8, 0.4), arrivals="gamma:cv=3") == pytest.approx(3 / 20)
    assert variability(Adapter("a", 8, 0.4), duration=4000.0) == pytest.approx(1 / 40)


def test_the_lengths_of_requests_add_their_own_variance():
    """Half of the requests have 30 tokens, the others 90: a mean of 60 and a variance of 900, a quarter of 60^2."""
    lengths = Lengths.empirical([(20, 10), (80, 10)])
    assert variability(Adapter("a", 8, 0.4, lengths=lengths)) == pytest.approx((1.25 / 400) ** 0.5)


def test_regimes_that_hold_for_part_of_the_window_vary_less_than_one_for_all_of_it():
    """A rate's factor of 2 or 1 / 2 has mean 1 and variance 1 / 2; it is drawn ten times, twice or once."""
    for period, regimes in ((100, 10), (500, 2)):
        found = variability(Adapter("a", 8, 0.4, arrivals=f"regimes:period={period},factor=2"))
        assert found == pytest.approx((1 / 400 + 0.5 / regimes) ** 0.5)
    short = variability(Adapter("a", 8, 0.4, arrivals="regimes:period=500,factor=2"), duration=250.0)
    assert short == pytest.approx((1 / 100 + 0.5) ** 0.5)


def test_without_traffic_nothing_varies():
    assert variability() == variability(Adapter("a", 8, 0.0)) == 0.0


def test_drawn_windows_vary_as_much_as_is_computed():
    """The standard deviation of 2,000 windows has a standard error of 1.6 %."""
    lengths = Lengths.lognormal(input_mean=200, input_cv=1.0, output_mean=100, output_cv=0.5)
    adapters = [
        Adapter("bursty", 8, 0.3, arrivals="gamma:cv=2"),
        Adapter("restless", 8, 0.2, lengths=lengths, arrivals="regimes:period=20,factor=2"),
    ]
    drawn = []
    for seed in range(2000):
        requests = draw_requests(Workload(adapters, lengths=FIXED, duration=1000.0, seed=seed))
        drawn.append(float(requests.input.sum() + requests.output.sum()))
    assert np.std(drawn) / np.mean(drawn) == pytest.approx(variability(*adapters), rel=0.05)
