"""Counters of a router, read from its own page of /metrics, and the fleet that is made of two readings."""

import asyncio

import pytest
from tests.live.metrics_stand_in import serving
from tests.live.router_pages import envoy_page, litellm_page, vllm_page
from tests.live.small_plans import placed, plan_of

from adaptwin import load_profile
from adaptwin.calibration.sources.metrics_page import MetricSample, page_samples
from adaptwin.errors import ServerError
from adaptwin.live.connection import session_with
from adaptwin.live.metering.meters import ENVOY_METER, LITELLM_METER, METERS, VLLM_METER
from adaptwin.live.metering.router_counters import Counted, RouterCounters, read_router_counters, router_counters
from adaptwin.plan.fleet import Fleet

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
COUNTS = {"a": Counted(40, 4000, 800), 'odd "name" \\ x': Counted(4, 100, 50)}
ESCAPED = {name.replace("\\", "\\\\").replace('"', '\\"'): each for name, each in COUNTS.items()}


@pytest.mark.parametrize(
    ("page", "meter"),
    [
        (litellm_page(ESCAPED), LITELLM_METER),
        (envoy_page(ESCAPED), ENVOY_METER),
        (envoy_page(ESCAPED, has_units=False), ENVOY_METER),
        (vllm_page(ESCAPED), VLLM_METER),
    ],
)
def test_requests_and_tokens_are_counted_by_the_model_that_was_asked_for_without_failures(page, meter):
    found = router_counters(page_samples(page))
    assert (found.meter, found.models) == (meter, COUNTS)


@pytest.mark.parametrize("page", ["", "up 1\n", "# TYPE litellm_proxy_total_requests_metric_total counter\n"])
def test_a_page_without_such_counters_has_none(page):
    assert router_counters(page_samples(page)) is None


def test_growth_is_the_difference_and_after_a_restart_all_there_is():
    before = RouterCounters(
        LITELLM_METER, {"a": Counted(10, 100, 50), "b": Counted(5, 50, 25), "gone": Counted(1, 1, 1)}
    )
    after = RouterCounters(LITELLM_METER, {"a": Counted(14, 160, 70), "b": Counted(2, 60, 8), "c": Counted(1, 9, 3)})
    assert after.since(before) == {"a": Counted(4, 60, 20), "b": Counted(2, 60, 8), "c": Counted(1, 9, 3)}
    assert after.since(after) == {"a": Counted(0, 0, 0), "b": Counted(0, 0, 0), "c": Counted(0, 0, 0)}
    assert RouterCounters(ENVOY_METER, {"a": Counted(14, 160, 70)}).since(before) == {"a": Counted(14, 160, 70)}


def test_selectors_and_filters_of_a_counter_say_the_same():
    assert [meter.requests.selector for meter in METERS] == [
        'litellm_proxy_total_requests_metric_total{status_code=~"2..|"}',
        '{__name__=~"gen_ai_server_request_duration_seconds_count|gen_ai_server_request_duration_count",error_type=""}',
        'vllm:request_success_total{finished_reason!~"abort|error"}',
    ]
    assert LITELLM_METER.prompt_tokens.selector == "litellm_input_tokens_metric_total"
    takes = LITELLM_METER.requests.takes
    name = "litellm_proxy_total_requests_metric_total"
    codes = ({"status_code": "200"}, {}, {"status_code": "2000"}, {"status_code": "500"})
    assert [takes(MetricSample(name, labels, "1")) for labels in codes] == [True, True, False, False]
    assert not takes(MetricSample("litellm_proxy_failed_requests_metric_total", {}, "1"))


def test_a_sample_may_have_a_time_and_escapes():
    page = 'x{a="\\\\ \\" \\n} 1",b=""} 2.5e3 1700000000000\nx 3\n# x 4\nx{a="b"} NaN\n'
    assert page_samples(page) == [
        MetricSample("x", {"a": '\\ " \n} 1', "b": ""}, "2.5e3"),
        MetricSample("x", {}, "3"),
        MetricSample("x", {"a": "b"}, "NaN"),
    ]


def read(url):
    async def ask():
        async with session_with(None) as session:
            return await read_router_counters(url, session)

    return asyncio.run(ask())


def test_the_page_may_be_at_metrics_with_a_slash_also_where_the_redirect_names_another_port():
    aiohttp = pytest.importorskip("aiohttp")
    places = []

    def moved(_request):
        raise aiohttp.web.HTTPTemporaryRedirect(places[-1])

    with serving({"/metrics": moved, "/metrics/": lambda _: litellm_page(COUNTS)}) as url:
        for place in ("/metrics/", f"{url}/metrics/", "http://127.0.0.1:9/metrics/"):
            places.append(place)
            assert read(url).models["a"] == COUNTS["a"]
        assert read(f"{url}/metrics/").meter == LITELLM_METER


def test_a_server_without_such_a_page_is_said():
    pytest.importorskip("aiohttp")
    has_none = "/metrics has no requests in the counters of LiteLLM, Envoy AI Gateway"
    with serving({"/metrics": lambda _: "up 1\n"}) as url, pytest.raises(ServerError, match=has_none):
        read(url)
    with serving({}) as url, pytest.raises(ServerError, match="the server answered 404"):
        read(url)


def growing(page, *readings):
    """Return the pages of a router that was asked once for each of these counts, and then stays as it is."""
    left = list(readings)
    return {"/metrics": lambda _: page(left.pop(0) if len(left) > 1 else left[0])}


OVER = ("--over", "1s", "--out", "made.yaml")
FIRST = {"a": (10, 1000, 100), "b": (10, 1000, 100), "idle": (5, 500, 50)}
SECOND = {"a": (40, 7000, 400), "b": (20, 1500, 300), "idle": (5, 500, 50)}


@pytest.mark.parametrize(("page", "title"), [(litellm_page, "LiteLLM"), (envoy_page, "Envoy AI Gateway")])
def test_a_fleet_has_the_rates_between_two_readings_of_a_routers_page(adaptwin, folder, page, title):
    with serving(growing(page, FIRST, SECOND)) as url:
        done = adaptwin("workload", "from-metrics", f"{url}/metrics", "--rank", "16", *OVER)
    assert done.code == 0, done.err
    found = {adapter.name: adapter for adapter in Fleet.read(folder / "made.yaml").adapters}
    assert {name: each.rate for name, each in found.items()} == pytest.approx({"a": 30, "b": 10, "idle": 0}, rel=0.2)
    assert (found["a"].lengths.input_mean, found["a"].lengths.output_mean) == pytest.approx((200.0, 10.0))
    said = " ".join(done.err.split())
    assert f"The rates are those of 1 s, read at {title} itself" in said
    assert "No request in this time, and so no rate: 1 models, such as 'idle'." in said
    assert "busiest" not in done.out


def test_vllms_own_page_scales_the_shares_of_a_plan(adaptwin, folder):
    plan_of(LLAMA, placed(LLAMA, "gpu-0", "ab", 2), rates={"a": 2.0, "b": 1.0}).write(folder / "plan.yaml")
    with serving(growing(vllm_page, {"llama": (10, 100, 50)}, {"llama": (40, 700, 400)})) as url:
        done = adaptwin("workload", "from-metrics", url, "--plan", "plan.yaml", *OVER)
    assert done.code == 0, done.err
    rates = {adapter.name: adapter.rate for adapter in Fleet.read(folder / "made.yaml").adapters}
    assert rates == pytest.approx({"a": 20, "b": 10}, rel=0.2)
    assert "The rates are those of 1 s, read at vLLM itself" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--over", "1s"), 4, "LiteLLM counted no request in 1 s: give a longer --over"),
        (("--since", "1h"), 1, "--since: goes with a Prometheus server"),
        (("--window", "1h"), 1, "--window: goes with a Prometheus server"),
    ],
)
def test_a_quiet_router_and_options_of_prometheus_are_said_and_nothing_is_written(adaptwin, folder, words, code, says):
    with serving(growing(litellm_page, FIRST)) as url:
        done = adaptwin("workload", "from-metrics", url, "--rank", "8", "--out", "made.yaml", *words)
    assert (done.code, says in done.err) == (code, True), done.err
    assert not (folder / "made.yaml").exists()
