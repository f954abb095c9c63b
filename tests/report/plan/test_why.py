"""The sentences that say why GPUs are full."""

from typing import get_args

import pytest
from tests.report.brink import BRINK
from tests.report.reading import assert_fits, rendered

from adaptwin.plan.forecast import Binding, Missed
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.table import plan_table
from adaptwin.report.plan.why import why_full

LIMITS = {"loras": 64, "max_loras": 48, "max_num_seqs": 1024}


@pytest.fixture
def forecast(plan):
    """Return a function from a binding constraint to a forecast with it and a brink."""

    def make(binding, **brink):
        update = {"binding": binding, "brink": BRINK.model_copy(update=brink)}
        return plan.servers[0].forecast.model_copy(update=update)

    return make


@pytest.mark.parametrize(
    ("binding", "facts"),
    [
        ("slots", "64 adapters compete for 48 slots, of which 46.2 are in use on average; 14.4 requests wait."),
        ("memory", "the KV cache is 93 % full on average, with 12 preemptions; 14.4 requests wait."),
        ("compute", "230 requests run at once (max_num_seqs 1,024), a token takes 61 ms, and the GPU is busy 100 %"),
        ("slo", "TTFT p99 is 9.0 s and ITL p99 120 ms, above the latency limits"),
        ("max_num_seqs", "the batch is nearly full: 230 requests run on average (max_num_seqs 1,024)"),
        ("loads", "steps wait for adapters to load 40 % of the time: 64 adapters share 48 slots; 14.4 requests wait."),
    ],
)
def test_each_binding_constraint_is_explained_with_its_numbers(forecast, binding, facts) -> None:
    why = why_full(forecast(binding, loading=0.4), **LIMITS)
    assert why.startswith("With 42 % more traffic, ")
    assert facts in why


@pytest.mark.parametrize("binding", get_args(Binding))
def test_table_page_and_json_name_the_same_constraint(plan, forecast, binding) -> None:
    server = plan.servers[0].model_copy(update={"forecast": forecast(binding)})
    bound = plan.model_copy(update={"servers": (server, *plan.servers[1:])})
    row = next(line for line in reversed(rendered(plan_table(bound)).splitlines()) if line.startswith("gpu-0 "))
    assert binding.removesuffix("_seqs") in row
    assert f'data-label="limited by">{binding.replace("max_num_seqs", "max_num<wbr>_seqs")}</td>' in plan_report(bound)
    assert bound.model_dump(mode="json")["servers"][0]["forecast"]["binding"] == binding


def test_the_objective_that_is_missed_is_named(forecast) -> None:
    missed = Missed(adapter="tenant-1", objective="itl", latency=0.061, allowed=0.05)
    assert "the mean ITL of tenant-1 is 61 ms, above its target of 50 ms" in why_full(
        forecast("slo", missed=missed), **LIMITS
    )


def test_a_plan_without_a_brink_shows_its_current_load(plan) -> None:
    why = why_full(plan.servers[0].forecast, **LIMITS)
    assert why.startswith("Its limit was not simulated. At the planned traffic, 11.4 requests run at once")


def with_headroom(plan, headroom, brink=None):
    update = {"headroom": headroom, "brink": brink}
    servers = (one.model_copy(update={"forecast": one.forecast.model_copy(update=update)}) for one in plan.servers)
    return plan.model_copy(update={"servers": tuple(servers)})


def test_headroom_beyond_what_is_searched_for_is_written_as_such(plan) -> None:
    known = plan.servers[0].forecast
    forecasts = [known.model_copy(update={"headroom": share}) for share in (0.14, 2.99, 3.0, float("inf"))]
    assert [headroom_text(forecast) for forecast in forecasts] == ["14 %", "299 %", "over 300 %", "–"]
    idle = with_headroom(plan, 3.0)
    text = rendered(plan_table(idle))
    assert_fits(text)
    assert text.count(">300 %") == plan.gpus
    html = plan_report(idle)
    assert "Its headroom is over 300 %: it could serve four times its traffic." in html
    assert " the limit." not in html
    assert "far from full" in why_full(idle.servers[0].forecast, **LIMITS)


def test_the_page_says_why_each_gpu_is_full(plan) -> None:
    html = plan_report(with_headroom(plan, 0.4, BRINK))
    assert "With 42 % more traffic, the KV cache is 93 % full on average, with 12 preemptions" in html
