import math

import pytest

from adaptwin.report.plan import charts as figures
from adaptwin.report.plan.charts import NAMED_SEGMENTS, SHOWN_POINTS
from adaptwin.workload.workload import SERVED_RANKS


def bars(figure):
    return [bar for bar in figure.data if bar.name != "headroom"]


def test_every_served_rank_has_a_colour_of_its_own() -> None:
    assert set(figures.RANK_COLOURS) == {0, *SERVED_RANKS}
    assert len(set(figures.RANK_COLOURS.values())) == len(figures.RANK_COLOURS)


def test_placements_split_an_adapter_by_its_shares(make_plan) -> None:
    plan = make_plan(gpus=2, adapters=10)
    hottest = [row for row in figures.placements(plan) if row.name == "tenant-000"]
    assert [(row.server, row.share) for row in hottest] == [("gpu-0", 0.4), ("gpu-1", 0.6)]
    rate = plan.workload.adapters[0].rate
    assert [row.tokens for row in hottest] == pytest.approx([0.4 * rate * 481, 0.6 * rate * 481])


def test_the_segments_of_a_bar_fill_it_without_gaps(plan) -> None:
    segments = (
        segment for bar in bars(figures.packing_figure(plan)) for segment in zip(bar.y, bar.base, bar.x, strict=True)
    )
    pieces = [(start, width) for name, start, width in segments if name == "gpu-2"]
    end = 0.0
    for start, width in sorted(pieces):
        assert start == pytest.approx(end, abs=0.01)
        end = start + width
    assert end == pytest.approx(sum(row.tokens for row in figures.placements(plan) if row.server == "gpu-2"), abs=0.5)


def test_a_bar_with_its_headroom_is_the_traffic_the_gpu_could_take(plan) -> None:
    (headroom,) = [bar for bar in figures.packing_figure(plan).data if bar.name == "headroom"]
    for server, start, width in zip(plan.servers, headroom.base, headroom.x, strict=True):
        assert (start + width) / start == pytest.approx(1.0 + server.forecast.headroom, abs=1e-4)


def test_up_to_the_limit_every_adapter_has_a_segment(plan) -> None:
    assert sum(len(bar.x) for bar in bars(figures.packing_figure(plan))) == 201  # one of the 200 is split


def test_beyond_the_limit_small_adapters_share_a_segment_and_none_is_lost(make_plan) -> None:
    plan = make_plan(gpus=4, adapters=3000)
    drawn = bars(figures.packing_figure(plan))
    assert sum(len(bar.x) for bar in drawn) <= NAMED_SEGMENTS + 4 * 3
    assert any("adapters, rank 8</b>" in label for bar in drawn for label in bar.customdata)
    total = sum(row.tokens for row in figures.placements(plan))
    assert sum(sum(bar.x) for bar in drawn) == pytest.approx(total, rel=1e-4)


def test_adapters_of_equal_traffic_beyond_the_limit_are_summed_up(make_plan) -> None:
    plan = make_plan(gpus=1, adapters=NAMED_SEGMENTS + 100)
    equal = tuple(one.model_copy(update={"rate": 0.01}) for one in plan.workload.adapters)
    plan = plan.model_copy(update={"workload": plan.workload.model_copy(update={"adapters": equal})})
    assert sum(len(bar.x) for bar in bars(figures.packing_figure(plan))) == 3


@pytest.mark.parametrize(
    "draw",
    [
        figures.packing_figure,
        figures.throughput_figure,
        figures.ttft_figure,
        figures.itl_figure,
        figures.kv_figure,
        figures.popularity_figure,
    ],
)
def test_a_figure_has_a_unit_on_its_axis_and_survives_a_plan_without_forecast(make_plan, draw) -> None:
    plan = make_plan(gpus=2, adapters=20)
    assert draw(plan).layout.xaxis.title.text
    assert draw(make_plan(gpus=2, adapters=20, forecast=False)).layout.height <= 400


def test_the_heights_of_figures_stay_bounded_with_many_gpus(make_plan) -> None:
    assert figures.kv_figure(make_plan(gpus=200, adapters=400)).layout.height <= 1600


def test_the_chosen_slots_are_marked_once_and_bad_ones_are_told_apart(plan) -> None:
    server = plan.servers[0]
    shown = {
        trace.name: list(trace.x) for trace in figures.choices_figure(server).data if trace.name and trace.showlegend
    }
    assert shown["chosen"] == [str(server.server.max_loras)]
    assert shown["does not start"] == ["96"]
    assert shown["not ok"] == [str(choice.max_loras) for choice in server.choices if choice.verdict == "starved"]


def test_rates_of_zero_do_not_break_the_popularity_curve(make_plan) -> None:
    plan = make_plan(gpus=1, adapters=10)
    idle = tuple(one.model_copy(update={"rate": 0.0}) for one in plan.workload.adapters)
    figure = figures.popularity_figure(
        plan.model_copy(update={"workload": plan.workload.model_copy(update={"adapters": idle})})
    )
    assert sum(len(trace.x) for trace in figure.data) == 0


def test_a_long_popularity_curve_is_thinned_but_keeps_its_head(make_plan) -> None:
    figure = figures.popularity_figure(make_plan(gpus=1, adapters=20_000))
    places = sorted(place for trace in figure.data for place in trace.x)
    assert len(places) <= SHOWN_POINTS
    assert places[:500] == list(range(1, 501))
    assert places[-1] > 19_900


def test_unknown_latencies_leave_gaps(plan) -> None:
    forecast = plan.servers[0].forecast.model_copy(update={"ttft_p50": math.nan, "ttft_p99": math.nan})
    servers = (plan.servers[0].model_copy(update={"forecast": forecast}), *plan.servers[1:])
    figure = figures.ttft_figure(plan.model_copy(update={"servers": servers}))
    assert figure.data[0].x[0] is None
    assert figure.data[0].x[1] is not None
