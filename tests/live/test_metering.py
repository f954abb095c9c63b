"""adaptwin workload from-metrics: rates and lengths by the counters that Prometheus has kept."""

import numpy as np
import pytest
from tests.live.metrics_stand_in import prometheus_handlers, serving
from tests.live.small_plans import placed, plan_of

from adaptwin import load_profile
from adaptwin.plan.fleet import Fleet
from adaptwin.workload.sources.rates_over_time_csv import read_rates_over_time

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
QUICK = ("--since", "3h", "--window", "1h", "--out", "made.yaml")

# Requests and tokens of three hours by model: the second hour is the busiest, with 3,600 + 1,800 requests.
REQUESTS = {"a": [360, 3600, 720], "b": [0, 1800, 180], "idle at noon": [36, 0, 0]}
PROMPTS = {"a": [36_000, 360_000, 72_000], "b": [0, 180_000, 18_000], "idle at noon": [720, 0, 0]}
ANSWERS = {"a": [18_000, 180_000, 36_000], "b": [0, 90_000, 9_000]}


def range_handlers(counters, queries):
    """Return the API of a Prometheus server whose range queries give these increases at the asked times."""

    def query_range(request):
        query, start, step = (request.query[name] for name in ("query", "start", "step"))
        queries.append(query)
        found = next((rows for selector, rows in counters.items() if selector in query), {})
        label = query.split("(")[1].split(")")[0].split(", ")[0]
        result = [
            {
                "metric": {label: name},
                "values": [[float(start) + i * float(step), str(value)] for i, value in enumerate(values)],
            }
            for name, values in found.items()
        ]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}

    return {**prometheus_handlers([], []), "/api/v1/query_range": query_range}


LITELLM = {
    "litellm_proxy_total_requests_metric_total": REQUESTS,
    "litellm_input_tokens_metric_total": PROMPTS,
    "litellm_output_tokens_metric_total": ANSWERS,
}
ENVOY = {
    "gen_ai_server_request_duration_seconds_count": REQUESTS,
    'gen_ai_token_type="input"': PROMPTS,
    'gen_ai_token_type="output"': ANSWERS,
}
VLLM = {
    "vllm:request_success_total": {"llama": [396, 5400, 900]},
    "vllm:prompt_tokens_total": {"llama": [36_000, 540_000, 90_000]},
    "vllm:generation_tokens_total": {"llama": [18_000, 270_000, 45_000]},
}


@pytest.mark.parametrize(("counters", "title"), [(LITELLM, "LiteLLM"), (ENVOY, "Envoy AI Gateway")])
def test_a_fleet_has_the_rates_of_the_busiest_window_and_mean_lengths(adaptwin, folder, counters, title):
    queries = []
    with serving(range_handlers(counters, queries)) as url:
        done = adaptwin("workload", "from-metrics", url, "--rank", "16", *QUICK)
    assert done.code == 0, done.err
    fleet = Fleet.read(folder / "made.yaml")
    found = {adapter.name: adapter for adapter in fleet.adapters}
    assert {name: each.rate for name, each in found.items()} == pytest.approx(
        {"a": 1.0, "b": 0.5, "idle at noon": 36 / (3 * 3600)}
    )
    assert (found["a"].lengths.input_mean, found["a"].lengths.output_mean) == pytest.approx((100.0, 50.0))
    assert found["idle at noon"].lengths is None
    assert {each.rank for each in fleet.adapters} == {16}
    assert title in done.out
    assert "No tokens are counted for 1 models, such as 'idle at noon': their lengths are assumed." in done.err
    assert all("[3600s]" in query for query in queries[-3:])


def test_ranks_come_from_the_plan_and_names_that_it_does_not_know_are_said(adaptwin, folder):
    plan_of(LLAMA, placed(LLAMA, "gpu-0", "ab", 2), rates={"a": 1.0, "b": 1.0}).write(folder / "plan.yaml")
    with serving(range_handlers(LITELLM, [])) as url:
        done = adaptwin("workload", "from-metrics", url, "--plan", "plan.yaml", *QUICK)
    assert done.code == 0, done.err
    assert [adapter.name for adapter in Fleet.read(folder / "made.yaml").adapters] == ["a", "b"]
    assert "1 models without a rank are left out, such as 'idle at noon'." in done.err


def test_where_only_vllm_is_known_the_shares_of_the_plan_are_scaled_and_this_is_said(adaptwin, folder):
    plan_of(LLAMA, placed(LLAMA, "gpu-0", "ab", 2), rates={"a": 2.0, "b": 1.0}).write(folder / "plan.yaml")
    with serving(range_handlers(VLLM, [])) as url:
        refused = adaptwin("workload", "from-metrics", url, "--rank", "8", *QUICK)
        done = adaptwin("workload", "from-metrics", url, "--plan", "plan.yaml", *QUICK)
    assert refused.code == 1
    assert "vLLM's counters name no adapters, so a plan must give the shares" in refused.err
    assert done.code == 0, done.err
    rates = {adapter.name: adapter.rate for adapter in Fleet.read(folder / "made.yaml").adapters}
    assert rates == pytest.approx({"a": 1.0, "b": 0.5})  # 5,400 requests in the busiest hour
    assert "all rates are scaled by 0.5, to 1.50 requests/s" in done.err


def test_the_rates_of_every_window_are_written_if_they_are_asked_for(adaptwin, folder):
    plan_of(LLAMA, placed(LLAMA, "gpu-0", "ab", 2), rates={"a": 2.0, "b": 1.0}).write(folder / "plan.yaml")
    with serving(range_handlers(LITELLM, [])) as url:
        done = adaptwin("workload", "from-metrics", url, "--rank", "8", *QUICK, "--rates-over-time", "named.csv")
    assert done.code == 0, done.err
    named = read_rates_over_time(folder / "named.csv")
    assert (named.names, named.period) == (("a", "b", "idle at noon"), 3600.0)
    assert named.rates == pytest.approx(np.array([REQUESTS[name] for name in named.names]) / 3600.0)
    assert Fleet.read(folder / "made.yaml").rates_over_time == str(folder / "named.csv")
    with serving(range_handlers(VLLM, [])) as url:
        done = adaptwin("workload", "from-metrics", url, "--plan", "plan.yaml", *QUICK, "--rates-over-time", "all.csv")
    assert done.code == 0, done.err
    shared = read_rates_over_time(folder / "all.csv")
    assert shared.rates == pytest.approx(np.outer([2 / 3, 1 / 3], [396, 5400, 900]) / 3600.0)


def test_tokens_that_are_not_counted_and_quiet_windows_are_said(adaptwin, folder):
    plan_of(LLAMA, placed(LLAMA, "gpu-0", "ab", 2), rates={"a": 2.0, "b": 1.0}).write(folder / "plan.yaml")
    counters = {"vllm:request_success_total": {"llama": [0, 5400, 900]}, "vllm:prompt_tokens_total": {}}
    with serving(range_handlers(counters, [])) as url:
        done = adaptwin("workload", "from-metrics", url, "--plan", "plan.yaml", *QUICK)
    assert done.code == 0, done.err
    assert "Prompts are not counted in tokens: the plan's lengths are kept." in done.err
    assert "1 of 3 windows have no request: none came, or nothing was scraped." in done.err


@pytest.mark.parametrize(
    ("handlers", "words", "code", "says"),
    [
        (range_handlers({}, []), (), 4, "no requests of this time in the counters of LiteLLM, Envoy AI Gateway, vLLM"),
        ({"/metrics": lambda _: "up 1\n"}, (), 4, "is no Prometheus server"),
        (range_handlers(LITELLM, []), ("--window", "4h"), 1, "window"),
        ({**range_handlers({}, []), "/api/v1/query_range": lambda _: []}, (), 4, "in the form of Prometheus"),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_is_written(adaptwin, folder, handlers, words, code, says):
    with serving(handlers) as url:
        done = adaptwin("workload", "from-metrics", url, "--rank", "8", *QUICK, *words)
    assert (done.code, says in done.err) == (code, True), done.err
    assert not (folder / "made.yaml").exists()


def test_a_prometheus_that_is_gone(adaptwin):
    done = adaptwin("workload", "from-metrics", "http://127.0.0.1:9", "--rank", "8", *QUICK)
    assert done.code == 4
    assert "cannot be reached" in done.err
