"""The page of metrics of a watch, and the dashboard that reads it."""

import json
import math
import re
import socket

import pytest

from adaptwin import SpecError
from adaptwin.live.watching.decision import WatchDecision
from adaptwin.live.watching.forecast import RateForecast
from adaptwin.live.watching.observed import Observed, ObservedServer
from adaptwin.live.watching.outlook import Outlook
from adaptwin.live.watching.published_metrics import DECISIONS, GAUGES, MOVES, PREFIX, PublishedMetrics
from adaptwin.live.watching.watched_round import WatchedRound
from adaptwin.plan.plans import Plans
from adaptwin.report.watching.dashboard import dashboard

pytest.importorskip("prometheus_client", reason="needs prometheus_client: pip install 'adaptwin[live]'")


def measured(**figures):
    nothing = dict.fromkeys(ObservedServer._fields)
    return ObservedServer(**{**nothing, "waiting_adapters": (), **figures})


def watched(servers, overloaded=(), kind="holds", requests=None):
    outlook = Outlook(tuple(overloaded), frozenset(), tuple(overloaded), dict.fromkeys(servers, 0.25))
    plans = Plans.model_construct(plans=())
    observed = Observed(1000.0, 60.0, servers, {"gpu-9": "gone"}, requests, "LiteLLM")
    decision = WatchDecision(kind, RateForecast({"a": 2.0, "b": 3.0}, "the recent maximum"), outlook)
    return WatchedRound(observed, {}, decision, plans, None, None)


def values(page):
    return dict(re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", page, re.MULTILINE))


def test_a_round_is_published_as_it_is():
    published = PublishedMetrics()
    published.publish(watched({"gpu-0": measured(tokens=1200.0, ttft=0.5)}, overloaded=("a",)))
    found = values(published.page())
    assert found["adaptwin_plan_holds"] == "0.0"
    assert found['adaptwin_server_measured_tokens_per_second{server="gpu-0"}'] == "1200.0"
    assert found['adaptwin_server_headroom_ratio{server="gpu-0"}'] == "0.25"
    assert found['adaptwin_server_up{server="gpu-9"}'] == "0.0"
    assert found['adaptwin_adapter_overloaded{adapter="a"}'] == "1.0"
    assert found["adaptwin_forecast_requests_per_second"] == "5.0"
    assert math.isnan(float(found["adaptwin_requests_per_second"]))
    assert math.isnan(float(found['adaptwin_server_measured_itl_seconds{server="gpu-0"}']))
    assert found['adaptwin_decisions_total{kind="holds"}'] == "1.0"


def test_nothing_is_known_before_the_first_round():
    found = values(PublishedMetrics().page())
    gauges = [found[PREFIX + metric.name] for metric in GAUGES if not metric.labels]
    assert {*gauges} == {"NaN"}


def test_servers_and_adapters_that_are_gone_leave_the_page():
    published = PublishedMetrics()
    published.publish(watched({"gpu-0": measured(tokens=1.0)}, overloaded=("a",)))
    published.publish(watched({"gpu-1": measured(tokens=2.0)}))
    page = published.page()
    assert "gpu-0" not in page
    assert "adaptwin_adapter_overloaded{" not in page
    assert values(page)['adaptwin_decisions_total{kind="holds"}'] == "2.0"


def test_an_address_in_use_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SpecError, match="address already in use"):
            PublishedMetrics().serve("127.0.0.1", taken.getsockname()[1])


def test_the_dashboard_reads_metrics_that_the_watch_has():
    known = {PREFIX + metric.name for metric in (*GAUGES, DECISIONS, MOVES)}
    board = json.loads(dashboard())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert expressions
    assert {name for text in expressions for name in re.findall(r"adaptwin_\w+", text)} <= known
    assert set(re.findall(r"adaptwin_\w+", board["templating"]["list"][0]["definition"])) <= known


def test_the_dashboard_is_what_grafana_imports():
    board = json.loads(dashboard())
    assert board["id"] is None
    assert len(board["uid"]) <= 40
    assert 39 <= board["schemaVersion"] <= 41
    assert board["__inputs"][0]["name"] == "DS_PROMETHEUS"
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        taken |= cells
        assert {target["refId"] for target in panel["targets"]} == set("ABCDEFGH"[: len(panel["targets"])])
        assert all(target["datasource"]["uid"] == "${DS_PROMETHEUS}" for target in panel["targets"])
