import pytest

from adaptwin.report.plan.forecast_charts import itl_figure, kv_figure, throughput_figure, ttft_figure
from adaptwin.report.plan.packing_chart import packing_figure
from adaptwin.report.plan.popularity_chart import popularity_figure


@pytest.mark.parametrize(
    "draw",
    [
        packing_figure,
        throughput_figure,
        ttft_figure,
        itl_figure,
        kv_figure,
        popularity_figure,
    ],
)
def test_a_figure_has_a_unit_on_its_axis_and_survives_a_plan_without_forecast(make_plan, draw) -> None:
    plan = make_plan(gpus=2, adapters=20)
    assert draw(plan).layout.xaxis.title.text
    assert draw(make_plan(gpus=2, adapters=20, forecast=False)).layout.height <= 400
