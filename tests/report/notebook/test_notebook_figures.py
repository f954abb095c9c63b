"""Figures of a plan and of a run, as a notebook draws them."""

import plotly.graph_objects as go
import pytest

from adaptwin import Adapter, Server, Workload, simulate
from adaptwin.report.plan.packing_chart import packing_figure
from adaptwin.report.series_chart import SHOWN_TIMES


@pytest.fixture(scope="module")
def made(make_plan):
    return make_plan(gpus=2, adapters=10)


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_the_figures_of_a_plan_are_those_of_its_report(made):
    figures = made.figures
    names = ["packing", "throughput", "kv", "ttft", "itl", "popularity"]
    assert list(figures)[: len(names)] == names
    assert len(figures) == len(names) + sum(bool(server.choices) for server in made.servers)
    assert all(isinstance(figure, go.Figure) for figure in figures.values())
    assert figures["packing"].data == packing_figure(made).data
    assert figures["packing"].layout.title.text == "Which adapters are on which GPU"
    assert "'packing', 'throughput'" in repr(figures)
    assert figures._ipython_key_completions_() == list(figures)


def test_a_figure_may_be_changed_without_changing_the_next(made):
    made.figures["kv"].update_layout(title_text="mine")
    assert made.figures["kv"].layout.title.text == "KV cache"


def test_an_unknown_figure_is_a_key_error(made):
    with pytest.raises(KeyError, match="pie"):
        made.figures["pie"]


def test_a_recorded_run_is_drawn_over_time(h100):
    workload = Workload([Adapter("a", 8, 2.0), Adapter("b", 16, 1.0)], duration=120.0)
    run = simulate(h100, Server(max_loras=2, max_lora_rank=16), workload, record=True)
    drawn = traces(run.plot())
    assert list(drawn["running requests"].x) == run.series["time"].to_list()
    assert list(drawn["running requests"].y) == pytest.approx(run.series["running"].to_list())
    tokens = drawn["tokens/s of finished requests"]
    finished = run.series["finished_tokens"].to_list()
    assert tokens.y[10] == pytest.approx(finished[10] - finished[9], rel=1e-4)
    assert run.grade in run.plot().layout.title.text


def test_a_long_series_is_drawn_as_means(h100):
    seconds = 3.0 * SHOWN_TIMES
    workload = Workload([Adapter("a", 8, 0.5)], duration=seconds)
    run = simulate(h100, Server(max_lora_rank=8), workload, record=True)
    line = traces(run.plot())["running requests"]
    assert len(line.x) <= SHOWN_TIMES
    assert max(line.y) <= run.series["running"].max()
    tokens = traces(run.plot())["tokens/s of finished requests"].y
    steps = [b - a for a, b in zip((0.0, *line.x[:-1]), line.x, strict=True)]
    total = sum(rate * step for rate, step in zip(tokens, steps, strict=True) if rate is not None)
    assert total == pytest.approx(run.series["finished_tokens"][-1], rel=1e-3)


def test_a_run_without_a_series_is_drawn_by_adapter(h100):
    adapters = [Adapter("a<b>", 8, 2.0), Adapter("b", 16, 1.0), Adapter("idle", 8, 0.0)]
    run = simulate(h100, Server(max_loras=2, max_lora_rank=16), Workload(adapters, duration=120.0))
    figure = run.plot()
    assert {trace.name for trace in figure.data} == {"ok (2)"}
    labels = figure.data[0].customdata
    assert "a&lt;b&gt;" in labels[0]
    assert "tokens/s" in labels[0]


def test_a_run_without_requests_can_be_drawn(h100):
    run = simulate(h100, Server(max_lora_rank=8), Workload([Adapter("a", 8, 0.0)], duration=60.0))
    assert len(run.plot().data) == 0
