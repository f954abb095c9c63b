"""A comparison as plain data, for programs that read JSON. Errors and spreads are shares, latencies seconds."""

from typing import Any

from adaptwin.live.comparison import ComparedAdapter, ComparedServer, Comparison, FigurePair


def comparison_form(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data; None stands for what is not known."""
    return {
        "twin": comparison.twin,
        "servers": [_server_form(server) for server in comparison.servers],
        "total_throughput": _pair_form(comparison.total) if comparison.total else None,
        "doubts": list(comparison.doubts),
    }


def _server_form(server: ComparedServer) -> dict[str, Any]:
    return {
        "name": server.name,
        "files": [str(each.file) for each in server.observations],
        "figures": {
            name: {**_pair_form(pair), "interval": server.run.intervals.get(name)}
            for name, pair in server.figures.items()
        },
        "verdict": {"measured": list(server.measured_grades), "twin": server.grade},
        "starved": {"measured": list(server.measured_starved), "twin": server.run.starved},
        "adapters": [_adapter_form(adapter) for adapter in server.adapters],
    }


def _adapter_form(adapter: ComparedAdapter) -> dict[str, Any]:
    return {
        "name": adapter.name,
        "requests": adapter.requests,
        **{name: _pair_form(pair) for name, pair in adapter.figures.items()},
        "verdict": {"measured": list(adapter.measured_grades), "twin": adapter.grade},
    }


def _pair_form(pair: FigurePair) -> dict[str, float | None]:
    return {"measured": pair.measured, "twin": pair.twin, "error": pair.error, "spread": pair.spread}
