"""The plan of a request trace predicts how the trace itself is served."""

import pytest

from adaptwin import load_profile, make_plan, simulate
from adaptwin.workload.sources.arrival_pattern import recorded_workload
from adaptwin.workload.sources.traces import read_trace, workload_from_trace

PROFILE = load_profile("h100-64gb-llama-3.1-8b-instruct")


@pytest.fixture(scope="module")
def code_trace(shared_data):
    """Return the path of the Azure code trace, whose requests come in bursts."""
    return shared_data / "traces" / "azure_2023_code.csv"


@pytest.fixture(scope="module")
def plan(code_trace):
    return make_plan(PROFILE, workload_from_trace(code_trace, adapters=20, ranks=(8, 16), first_part=0.5))


def replayed(plan, workload, seed):
    """Return the highest TTFT p99 of any server of the plan, when the requests of the workload are dealt anew."""
    parts = workload.parts([server.adapters for server in plan.servers], seed)
    runs = [simulate(PROFILE, server.server, part, seed=seed) for server, part in zip(plan.servers, parts, strict=True)]
    return max(run.ttft.p99 for run in runs)


def test_the_forecast_is_what_the_replay_gives(plan, code_trace):
    half = read_trace(code_trace)
    half = half.window(0.0, half.duration / 2)
    forecast = max(server.forecast.ttft_p99 for server in plan.servers)
    for seed in (101, 102, 103):
        assert replayed(plan, recorded_workload(half, plan.workload.adapters), seed) == pytest.approx(forecast, rel=0.1)


def test_without_its_bursts_the_trace_would_seem_easy(plan):
    assert 10.0 * replayed(plan, plan.workload.with_arrivals("poisson"), 1) < replayed(plan, plan.workload, 1)


def test_unseen_requests_wait_no_longer_than_the_plan_says(plan, code_trace):
    whole = read_trace(code_trace)
    unseen = whole.window(whole.duration / 2, whole.duration / 2)  # two thirds as many requests as the first half
    forecast = max(server.forecast.ttft_p99 for server in plan.servers)
    waits = [replayed(plan, recorded_workload(unseen, plan.workload.adapters), seed) for seed in (101, 102, 103)]
    assert 0.2 * forecast < min(waits) <= max(waits) < 1.1 * forecast
