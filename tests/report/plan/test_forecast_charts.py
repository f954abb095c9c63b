import math

from adaptwin.report.plan.forecast_charts import kv_figure, ttft_figure


def test_the_heights_of_figures_stay_bounded_with_many_gpus(make_plan) -> None:
    assert kv_figure(make_plan(gpus=200, adapters=400)).layout.height <= 1600


def test_unknown_latencies_leave_gaps(plan) -> None:
    forecast = plan.servers[0].forecast.model_copy(update={"ttft_p50": math.nan, "ttft_p99": math.nan})
    servers = (plan.servers[0].model_copy(update={"forecast": forecast}), *plan.servers[1:])
    figure = ttft_figure(plan.model_copy(update={"servers": servers}))
    assert figure.data[0].x[0] is None
    assert figure.data[0].x[1] is not None
