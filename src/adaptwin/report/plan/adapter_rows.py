"""The adapters of a plan as rows of a table, and as columns: where each is, and how it is served."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from adaptwin.briefing.briefing import Briefing
from adaptwin.plan.placements import Placement, placements
from adaptwin.plan.plan import Plan
from adaptwin.report.style.plots import significant
from adaptwin.report.style.words import NOTHING, duration, number, percent
from adaptwin.rounding import finite_or_none
from adaptwin.twin.run import grade_of

_TOO_MUCH = ("starved", "backlogged")


class ServedAdapter(NamedTuple):
    """An adapter on a server, and how it is served there. Latencies in seconds; None: not known."""

    placement: Placement
    ttft_p50: float | None
    ttft_p99: float | None
    itl_mean: float | None
    verdict: str  # a grade, or empty where it is not known

    @property
    def is_overloaded(self) -> bool:
        """Whether it is starved or backlogged."""
        return self.verdict in _TOO_MUCH


class AdapterRow(NamedTuple):
    """A row of the table of adapters, as text."""

    name: str
    server: str
    rank: str
    rate: str
    tokens: str
    share: str
    ttft_p50: str
    ttft_p99: str
    itl: str
    verdict: str


def served_adapters(plan: Plan, briefing: Briefing | None) -> list[ServedAdapter]:
    """Return the adapters of each server, those with most traffic first, with the figures of its run if there is one.

    Where a server was not simulated for the report and its verdict is ok, so are all its adapters.
    """
    tables = {name: _by_adapter(run.adapters) for name, run in (briefing.runs if briefing else {}).items()}
    are_ok = {server.name for server in plan.servers if server.forecast and server.forecast.verdict == "ok"}
    return [_served(row, tables.get(row.server), row.server in are_ok) for row in placements(plan)]


def _by_adapter(table: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in table.iter_rows(named=True)}


def _served(row: Placement, run: Mapping[str, dict[str, Any]] | None, is_ok: bool) -> ServedAdapter:
    if run is None or row.name not in run:
        return ServedAdapter(row, None, None, None, "ok" if is_ok else "")
    found = run[row.name]
    grade = grade_of(found["verdict"], sluggish=bool(found["sluggish"]))
    return ServedAdapter(
        row,
        finite_or_none(found["ttft_p50"]),
        finite_or_none(found["ttft_p99"]),
        finite_or_none(found["itl_mean"]),
        grade,
    )


def adapter_row(served: ServedAdapter) -> AdapterRow:
    """Return an adapter on a server as text."""
    row = served.placement
    return AdapterRow(
        row.name,
        row.server,
        f"{row.rank}" if row.rank else "base",
        number(row.rate),
        number(row.tokens),
        percent(row.share),
        _latency_text(served.ttft_p50),
        _latency_text(served.ttft_p99),
        _latency_text(served.itl_mean),
        served.verdict or NOTHING,
    )


def _latency_text(seconds: float | None) -> str:
    return NOTHING if seconds is None else duration(seconds)


def adapter_columns(served: list[ServedAdapter]) -> dict[str, list[Any]]:
    """Return the adapters as columns of plain values, for each on each of its servers; latencies are in seconds."""
    return {
        "adapter": [each.placement.name for each in served],
        "server": [each.placement.server for each in served],
        "rank": [each.placement.rank for each in served],
        "share": [significant(each.placement.share) for each in served],
        "requests_per_second": [significant(each.placement.rate) for each in served],
        "tokens_per_second": [significant(each.placement.tokens) for each in served],
        "ttft_p50": [_significant_if_known(each.ttft_p50) for each in served],
        "ttft_p99": [_significant_if_known(each.ttft_p99) for each in served],
        "itl_mean": [_significant_if_known(each.itl_mean) for each in served],
        "verdict": [each.verdict or None for each in served],
    }


def _significant_if_known(value: float | None) -> float | None:
    return None if value is None else significant(value)
