"""Expected requests: worked out by hand, and compared with requests that are drawn."""

import numpy as np
import pytest

from adaptwin import Adapter, Workload
from adaptwin.workload.demand.expected_requests import expected_requests
from adaptwin.workload.drawing.requests import draw_requests


def expected(*adapters, start=0.0, end=100.0, **fields):
    return expected_requests(Workload(adapters, duration=100.0, **fields), start, end).tolist()


def test_steady_arrivals_come_at_their_rate():
    assert expected(Adapter("a", 8, 2.0), Adapter("b", 8, 0.5), start=20.0, end=60.0) == [80.0, 20.0]
    assert expected(Adapter("a", 8, 2.0), arrivals="gamma:cv=3") == [200.0]
    assert expected(Adapter("a", 8, 2.0, arrivals="regimes:period=10,factor=2")) == [200.0]
    assert expected() == []


def test_replayed_arrivals_are_counted():
    replay = Adapter("a", 8, 1.0, arrivals=(1.0, 2.0, 50.0, 99.0, 100.0, 150.0))
    assert expected(replay) == [4.0]
    assert expected(replay, Adapter("b", 8, 1.0), start=2.0, end=99.0) == [2.0, 97.0]


def test_replayed_arrivals_of_the_workload_are_distributed_by_rate():
    adapters = Adapter("a", 8, 3.0), Adapter("b", 8, 1.0), Adapter("c", 8, 9.0, arrivals="poisson")
    assert expected(*adapters, arrivals=(1.0, 2.0, 3.0, 60.0), start=0.0, end=50.0) == [2.25, 0.75, 450.0]
    assert expected(Adapter("a", 8, 0.0), arrivals=(1.0,)) == [1.0]
    assert expected(Adapter("a", 8, 0.0), Adapter("b", 8, 1.0), arrivals=(1.0,)) == [0.0, 1.0]


def test_rates_of_a_file_are_followed(tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text("start,factor\n20,2\n60,0\n")
    adapter = Adapter("a", 8, 1.0, arrivals=f"rates:{file}")
    assert expected(adapter) == [20.0 + 2 * 40.0]
    assert expected(adapter, start=10.0, end=30.0) == [10.0 + 2 * 10.0]
    assert expected(adapter, start=70.0) == [0.0]


@pytest.mark.parametrize("arrivals", ["poisson", "gamma:cv=2", "regimes:period=5,factor=2"])
def test_drawn_requests_are_as_many_as_expected(arrivals):
    workload = Workload([Adapter(f"a{i}", 8, 3.0) for i in range(200)], duration=100.0, arrivals=arrivals)
    drawn = draw_requests(workload).arrival / 1e9
    assert np.sum(drawn >= 50.0) == pytest.approx(expected_requests(workload, 50.0, 100.0).sum(), rel=0.03)
