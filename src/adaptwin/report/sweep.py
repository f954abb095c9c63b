"""Table of a sweep: runs, traffic and verdicts by profile."""

from typing import Any

import polars as pl
from rich.console import Group, RenderableType

from adaptwin.dataset.dataset import Dataset
from adaptwin.report.style.tables import add_numbers, plain_table
from adaptwin.report.style.terminal import Text

SHOWN_VERDICTS = ("ok", "backlogged", "starved")


def sweep_table(dataset: Dataset) -> RenderableType:
    """Show the runs of each profile: their number, their traffic, and the share of them with each worst verdict."""
    rows, design = dataset.rows, dataset.design
    whole = summary(rows)
    title = Text(f"{whole['mixes']:,} mixes, {len(rows):,} runs, seed {design.seed}\n")
    table = plain_table()
    table.add_column("Profile", overflow="fold")
    add_numbers(table, "Runs", "Hours", "Requests", *(verdict.capitalize() for verdict in SHOWN_VERDICTS))
    for profile in rows["profile"].unique(maintain_order=True).to_list():
        part = summary(rows.filter(profile=profile))
        shares = [f"{100 * part[verdict]:.0f} %" for verdict in SHOWN_VERDICTS]
        hours = f"{part['simulated_hours']:,.1f}"
        table.add_row(profile, f"{part['runs']:,}", hours, f"{part['requests']:,}", *shares)
    return Group(title, table, Text("\n" + _caps(rows, whole["capped"], design.most_requests)))


def summary(rows: pl.DataFrame) -> dict[str, Any]:
    """Return totals over runs, and the share of them with each worst verdict."""
    of_verdict = [(pl.col("worst") == verdict).mean().alias(verdict) for verdict in SHOWN_VERDICTS]
    return rows.select(
        pl.len().alias("runs"),
        pl.col("mix").n_unique().alias("mixes"),
        (pl.col("duration").sum() / 3600.0).alias("simulated_hours"),
        pl.col("arrived").sum().alias("requests"),
        pl.col("capped").sum(),
        *of_verdict,
    ).row(0, named=True)


def _caps(rows: pl.DataFrame, capped: int, most: int) -> str:
    if not capped:
        return f"No rate was lowered to keep a run within {most:,} requests."
    lowest = float(rows.filter("capped").select(pl.col("rate").min()).item())
    return (
        f"Rates lowered to keep a run within {most:,} requests: {capped:,} ({100 * capped / len(rows):.1f} %), "
        f"the lowest to {lowest:,.2f} requests/s."
    )
