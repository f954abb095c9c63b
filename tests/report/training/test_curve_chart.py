from tests.report.training.findings import make_findings

from adaptwin.report.training.curve_chart import curve_figure


def test_the_learning_curve_keeps_errors_and_f1_apart() -> None:
    traces = {trace.name: trace for trace in curve_figure(make_findings()).data}
    assert list(traces["throughput"].y) == [8.0, 5.0, 4.0]
    assert traces["throughput"].yaxis == traces["mean ITL"].yaxis != traces["starvation"].yaxis
    assert list(traces["starvation"].x) == [50, 100, 200]
