"""plan_rows: a plan as a table, with a row for each adapter on each of its servers."""

from typing import TYPE_CHECKING

import polars as pl

from adaptwin.plan.placements import placements

if TYPE_CHECKING:
    from adaptwin.plan.plan import Plan

ROW_COLUMNS = {
    "server": pl.String,
    "adapter": pl.String,
    "rank": pl.Int64,
    "share": pl.Float64,
    "rate": pl.Float64,
    "tokens": pl.Float64,
    "max_loras": pl.Int64,
    "max_lora_rank": pl.Int64,
    "profile": pl.String,
    "slo_ttft": pl.Float64,
    "slo_itl": pl.Float64,
    "verdict": pl.String,
    "sluggish": pl.Boolean,
    "ttft_p50": pl.Float64,
    "ttft_p99": pl.Float64,
    "itl_mean": pl.Float64,
    "itl_p99": pl.Float64,
    "headroom": pl.Float64,
}


def plan_rows(plan: "Plan") -> pl.DataFrame:
    """Return a table with the columns `ROW_COLUMNS`, as `Plan.to_polars` describes them."""
    servers = {server.name: server for server in plan.servers}
    adapters = {adapter.name: adapter for adapter in plan.workload.adapters}
    rows = []
    for placed in placements(plan):
        server, adapter = servers[placed.server], adapters[placed.name]
        forecast = server.forecast
        figures = ("verdict", "sluggish", "ttft_p50", "ttft_p99", "itl_mean", "itl_p99", "headroom")
        rows.append(
            (
                *(placed.server, placed.name, placed.rank, placed.share, placed.rate, placed.tokens),
                *(server.server.max_loras, server.server.max_lora_rank, server.profile),
                *(adapter.slo_ttft, adapter.slo_itl),
                *(None if forecast is None else getattr(forecast, figure) for figure in figures),
            )
        )
    return pl.DataFrame(rows, schema=ROW_COLUMNS, orient="row")
