"""Rates over time of recordings and of a fleet's own window, worked out by hand."""

import numpy as np
import pytest

from adaptwin import Adapter, SpecError, Workload
from adaptwin.workload.sources.recorded_rates import rates_of_recording, rates_of_workload
from adaptwin.workload.sources.recording import Recording

A, B = Adapter("a", 8, 3.0), Adapter("b", 8, 1.0)


def recording(time, duration, adapter=None):
    ones = np.ones(len(time), np.int64)
    return Recording(np.array(time, np.float64), ones, ones, duration, None if adapter is None else np.array(adapter))


def test_a_file_of_factors_gives_rates_that_change(tmp_path):
    (tmp_path / "r.csv").write_text("start,factor\n0,2\n150,0.5\n", encoding="utf-8")
    workload = Workload([A, B], arrivals=f"rates:{tmp_path}/r.csv", duration=250.0)
    rates = rates_of_workload(workload, 100.0)  # the last 50 s are no whole period
    assert rates.rates.tolist() == [[6.0, 3 * 1.25], [2.0, 1.25]]


def test_timestamps_are_counted_and_those_of_the_workload_shared():
    own = Adapter("own", 8, 9.0, arrivals=(0.0, 10.0, 199.0))
    workload = Workload([A, B, own], arrivals=(1.0, 2.0, 3.0, 4.0, 150.0, 200.0), duration=200.0)
    rates = rates_of_workload(workload, 100.0)
    assert rates.rates == pytest.approx(np.array([[0.03, 0.0075], [0.01, 0.0025], [0.02, 0.01]]))


@pytest.mark.parametrize(("period", "message"), [(3600.0, "fewer than two"), (1.0, "at least 60 s"), (0.0, "at least")])
def test_periods_must_fit_the_window(period, message):
    with pytest.raises(SpecError, match=message):
        rates_of_workload(Workload([A], duration=3600.0), period)


def test_periods_begin_at_full_hours_and_parts_of_periods_have_the_rate_of_the_part():
    began = 1_714_546_800.0 + 0.25 * 3600  # 2024-05-01 07:15 UTC
    seen = recording([0.0, 2699.0, 2700.0, 6300.0, 6301.0], 6302.0, [0, 0, 1, 1, 1])
    rates = rates_of_recording(seen, [A, B], period=3600.0, began=began)
    assert rates.start == 7 * 3600.0
    assert rates.rates == pytest.approx(np.array([[2 / 2700, 0.0], [0.0, 1 / 3600]]))  # of 09:00, two seconds only


def test_requests_without_adapters_are_shared_and_scaled():
    seen = recording([0.0, 1.0, 2.0, 100.0], 200.0)
    rates = rates_of_recording(seen, [A, B], period=100.0, rate_scale=2.0)
    assert rates.start == 0.0
    assert rates.rates == pytest.approx(np.array([[0.045, 0.015], [0.015, 0.005]]))


def test_a_recording_of_one_period_has_no_rates_over_time():
    with pytest.raises(SpecError, match="fewer than two"):
        rates_of_recording(recording([0.0, 1.0], 3600.0), [A])
