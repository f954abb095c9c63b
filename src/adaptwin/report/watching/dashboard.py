"""The dashboard of Grafana for the metrics of a watch, in Grafana's classic JSON model."""

import json
from typing import Any, NamedTuple

from adaptwin.live.watching.published_metrics import (
    ADAPTER_OVERLOADED,
    DECISIONS,
    EXPECTED_ITL,
    EXPECTED_TOKENS,
    EXPECTED_TTFT,
    FORECAST,
    GPUS,
    HEADROOM,
    LAST_ROUND,
    MEASURED_ITL,
    MEASURED_TOKENS,
    MEASURED_TTFT,
    OVERLOADED,
    PLAN_HOLDS,
    PREFIX,
    REQUESTS,
    SERVER_UP,
    WAITING_ADAPTERS,
    WANTED_GPUS,
    PublishedMetric,
)

_SOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
_SCHEMA_VERSION = 39  # of the classic model: Grafana 11; later ones migrate it
_WIDTH = 24


class _Query(NamedTuple):
    """A query of a panel, and the name of its line."""

    expression: str
    legend: str


class _Panel(NamedTuple):
    """A panel: its title, its place in the grid, and what it shows; mappings give values a text."""

    title: str
    kind: str  # stat or timeseries
    width: int
    height: int
    queries: tuple[_Query, ...]
    unit: str = "short"
    mappings: tuple[dict[str, Any], ...] = ()


def _query_of(metric: PublishedMetric, legend: str = "", labels: str = "") -> _Query:
    return _Query(f"{PREFIX}{metric.name}{labels}", legend or metric.name)


_SERVERS = '{server=~"$server"}'
_HOLDS = ({"type": "value", "options": {"0": {"text": "no", "color": "red"}, "1": {"text": "yes"}}},)
_PANELS = (
    _Panel("Plan holds for the next hour", "stat", 6, 4, (_query_of(PLAN_HOLDS),), mappings=_HOLDS),
    _Panel("GPUs", "stat", 6, 4, (_query_of(GPUS, "running"), _query_of(WANTED_GPUS, "wanted"))),
    _Panel("Overloaded adapters in the next hour", "stat", 6, 4, (_query_of(OVERLOADED),)),
    _Panel("Last round", "stat", 6, 4, (_Query(f"time() - {PREFIX}{LAST_ROUND.name}", "ago"),), unit="s"),
    _Panel(
        "Requests",
        "timeseries",
        12,
        8,
        (_query_of(REQUESTS, "arrived"), _query_of(FORECAST, "next hour")),
        unit="reqps",
    ),
    _Panel("GPUs over time", "timeseries", 12, 8, (_query_of(GPUS, "running"), _query_of(WANTED_GPUS, "wanted"))),
    _Panel(
        "Headroom in the next hour", "timeseries", 12, 8, (_query_of(HEADROOM, "{{server}}", _SERVERS),), "percentunit"
    ),
    _Panel(
        "Tokens per second, measured and expected",
        "timeseries",
        12,
        8,
        (
            _query_of(MEASURED_TOKENS, "{{server}} measured", _SERVERS),
            _query_of(EXPECTED_TOKENS, "{{server}} twin", _SERVERS),
        ),
    ),
    _Panel(
        "Mean time to first token, measured and expected",
        "timeseries",
        12,
        8,
        (
            _query_of(MEASURED_TTFT, "{{server}} measured", _SERVERS),
            _query_of(EXPECTED_TTFT, "{{server}} twin", _SERVERS),
        ),
        unit="s",
    ),
    _Panel(
        "Mean inter-token latency, measured and expected",
        "timeseries",
        12,
        8,
        (
            _query_of(MEASURED_ITL, "{{server}} measured", _SERVERS),
            _query_of(EXPECTED_ITL, "{{server}} twin", _SERVERS),
        ),
        unit="s",
    ),
    _Panel("Overloaded adapters by name", "timeseries", 12, 8, (_query_of(ADAPTER_OVERLOADED, "{{adapter}}"),)),
    _Panel("Adapters that wait now", "timeseries", 12, 8, (_query_of(WAITING_ADAPTERS, "{{server}}", _SERVERS),)),
    _Panel("Servers that answer", "timeseries", 12, 8, (_query_of(SERVER_UP, "{{server}}", _SERVERS),)),
    _Panel(
        "Decisions per hour",
        "timeseries",
        12,
        8,
        (_Query(f"sum by (kind) (increase({PREFIX}{DECISIONS.name}[1h]))", "{{kind}}"),),
    ),
)


def dashboard() -> str:
    """Return the dashboard as JSON, to be imported; Grafana asks for the Prometheus server."""
    data = {
        "__inputs": [
            {
                "name": "DS_PROMETHEUS",
                "label": "Prometheus",
                "type": "datasource",
                "pluginId": "prometheus",
                "pluginName": "Prometheus",
            }
        ],
        "id": None,
        "uid": "adaptwin-watch",
        "title": "adaptwin: a fleet and its plan",
        "tags": ["adaptwin", "vllm", "lora"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [_server_variable()]},
        "panels": _placed_panels(),
    }
    return json.dumps(data, indent=1) + "\n"


def _server_variable() -> dict[str, Any]:
    query = f"label_values({PREFIX}{SERVER_UP.name}, server)"
    return {
        "name": "server",
        "label": "Server",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "servers"},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _placed_panels() -> list[dict[str, Any]]:
    """Return the panels in rows from left to right."""
    found: list[dict[str, Any]] = []
    x, y = 0, 0
    for number, panel in enumerate(_PANELS, start=1):
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        found.append(
            {
                "id": number,
                "type": panel.kind,
                "title": panel.title,
                "gridPos": place,
                "datasource": _SOURCE,
                "targets": [
                    {
                        "refId": chr(ord("A") + place_of_query),
                        "datasource": _SOURCE,
                        "expr": query.expression,
                        "legendFormat": query.legend,
                    }
                    for place_of_query, query in enumerate(panel.queries)
                ],
                "fieldConfig": {"defaults": {"unit": panel.unit, "mappings": list(panel.mappings)}, "overrides": []},
                "options": {},
            }
        )
        x += panel.width
        if x >= _WIDTH:
            x, y = 0, y + panel.height
    return found
