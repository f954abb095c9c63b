"""RatesOverTime: the busiest period, the workload of a period, and the adapters of a fleet without rates."""

import numpy as np
import pytest

from adaptwin import Adapter, Lengths, SpecError, Workload
from adaptwin.live.watching.expected_workload import expected_workload
from adaptwin.workload.rates_over_time import RatesOverTime, belongs_to_window, clock_time, steady_arrivals

TWO = RatesOverTime(("a", "b"), np.array([[1.0, 2.0, 0.0], [5.0, 3.0, 0.0]]), 1800.0, start=7 * 3600.0)


def fleet(*names, **fields):
    return Workload([Adapter(name, 8, 0.5) for name in names], **fields)


def test_a_period_has_its_own_rates_and_length():
    workload = TWO.workload_in(1, fleet("a", "b"))
    assert [adapter.rate for adapter in workload.adapters] == [2.0, 3.0]
    assert workload.duration == 1800.0
    assert TWO.span_of(1) == "07:30-08:00"
    assert TWO.seconds == 5400.0


def test_the_busiest_period_has_the_most_tokens_not_the_most_requests():
    long, short = Lengths.fixed(1000, 1000), Lengths.fixed(10, 10)
    workload = Workload([Adapter("a", 8, 1.0, lengths=long), Adapter("b", 8, 1.0, lengths=short)])
    assert TWO.busiest(fleet("a", "b")) == 0
    assert TWO.busiest(workload) == 1


def test_an_adapter_without_a_row_keeps_its_rate_in_every_period():
    rates = TWO.of_fleet(fleet("a", "c", "b"))
    assert TWO.without_row(fleet("a", "c", "b")) == ["c"]
    assert rates.rates_in(2) == {"a": 0.0, "b": 0.0, "c": 0.5}
    assert rates.start == TWO.start


def test_a_row_without_an_adapter_is_an_error():
    with pytest.raises(SpecError, match="'b' is no adapter of the fleet"):
        TWO.of_fleet(fleet("a"))


def test_arrivals_of_the_window_do_not_hold_for_a_period(tmp_path):
    (tmp_path / "r.csv").write_text("start,factor\n0,1\n", encoding="utf-8")
    assert steady_arrivals((1.0, 2.0)) == "poisson"
    assert steady_arrivals("gamma:cv=3") == "gamma:cv=3"
    assert steady_arrivals("rates:cv=2,r.csv") == "gamma:cv=2"
    workload = Workload(
        [Adapter("a", 8, 1.0, arrivals=(1.0, 2.0)), Adapter("b", 8, 1.0)], arrivals=f"rates:{tmp_path}/r.csv"
    )
    assert belongs_to_window(workload)
    in_period = TWO.workload_in(0, workload)
    assert not belongs_to_window(in_period)
    assert in_period.arrivals == in_period.adapters[0].arrivals == "poisson"
    assert in_period.adapters[1].arrivals is None


def test_times_on_the_clock():
    assert [clock_time(seconds) for seconds in (0, 27000, 86400, 3661)] == ["00:00", "07:30", "24:00", "01:01:01"]


def test_recorded_prefixes_go_with_their_timestamps():
    adapter = Adapter("a", 8, 0.2, arrivals=(1.0, 2.0), prefixes=((-1, 0), (0, 50)))
    kept = Workload([adapter, Adapter("b", 8, 0.1)], duration=10.0)
    in_period = TWO.workload_in(0, kept)
    assert (in_period.adapters[0].arrivals, in_period.adapters[0].prefixes) == ("poisson", None)
    assert Workload.model_validate(in_period.model_dump(mode="json")) == in_period
    expected = expected_workload(kept, {"a": 0.5}, 3600.0).workload
    assert expected.adapters[0].prefixes is None
    assert Workload.model_validate(expected.model_dump(mode="json")) == expected
