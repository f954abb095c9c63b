"""The summary of a workload."""

import pytest

from adaptwin import Adapter, Lengths, Workload
from adaptwin.report.workload import workload_summary


def test_mean_lengths_are_those_of_all_requests_whatever_the_rates_file_says(tmp_path):
    """Three of four requests have 100 prompt tokens, one has 500: 200. The file halves all rates alike."""
    file = tmp_path / "rates.csv"
    file.write_text("start,factor\n0,0.5\n", encoding="utf-8")
    adapters = (
        Adapter("often", 8, 3.0, lengths=Lengths.fixed(100, 10)),
        Adapter("seldom", 8, 1.0, lengths=Lengths.fixed(500, 50)),
    )
    for arrivals in ("poisson", f"rates:{file}"):
        summary = workload_summary(Workload(adapters, arrivals=arrivals))
        assert (summary["mean_input"], summary["mean_output"]) == (200.0, 20.0)
    assert summary["rate"] == pytest.approx(2.0)
