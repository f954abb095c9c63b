import pytest

from adaptwin.plan.placements import placements
from adaptwin.report.plan.packing_chart import NAMED_SEGMENTS, packing_figure


def bars(figure):
    return [bar for bar in figure.data if bar.name != "headroom"]


def test_the_segments_of_a_bar_fill_it_without_gaps(plan) -> None:
    segments = (segment for bar in bars(packing_figure(plan)) for segment in zip(bar.y, bar.base, bar.x, strict=True))
    pieces = [(start, width) for name, start, width in segments if name == "gpu-2"]
    end = 0.0
    for start, width in sorted(pieces):
        assert start == pytest.approx(end, abs=0.01)
        end = start + width
    assert end == pytest.approx(sum(row.tokens for row in placements(plan) if row.server == "gpu-2"), abs=0.5)


def test_a_bar_with_its_headroom_is_the_traffic_the_gpu_could_take(plan) -> None:
    (headroom,) = [bar for bar in packing_figure(plan).data if bar.name == "headroom"]
    for server, start, width in zip(plan.servers, headroom.base, headroom.x, strict=True):
        assert (start + width) / start == pytest.approx(1.0 + server.forecast.headroom, abs=1e-4)


def test_up_to_the_limit_every_adapter_has_a_segment(plan) -> None:
    assert sum(len(bar.x) for bar in bars(packing_figure(plan))) == 201  # one of the 200 is split


def test_beyond_the_limit_small_adapters_share_a_segment_and_none_is_lost(make_plan) -> None:
    plan = make_plan(gpus=4, adapters=3000)
    drawn = bars(packing_figure(plan))
    assert sum(len(bar.x) for bar in drawn) <= NAMED_SEGMENTS + 4 * 3
    assert any("adapters, rank 8</b>" in label for bar in drawn for label in bar.customdata)
    total = sum(row.tokens for row in placements(plan))
    assert sum(sum(bar.x) for bar in drawn) == pytest.approx(total, rel=1e-4)


def test_adapters_of_equal_traffic_beyond_the_limit_are_summed_up(make_plan) -> None:
    plan = make_plan(gpus=1, adapters=NAMED_SEGMENTS + 100)
    equal = tuple(one.model_copy(update={"rate": 0.01}) for one in plan.workload.adapters)
    plan = plan.model_copy(update={"workload": plan.workload.model_copy(update={"adapters": equal})})
    assert sum(len(bar.x) for bar in bars(packing_figure(plan))) == 3
