"""ServeGen's production clients as adapters whose rates change over days."""

import numpy as np
import polars as pl

from adaptwin.workload.lengths import Lengths
from adaptwin.workload.rates_over_time import RatesOverTime
from adaptwin.workload.workload import Adapter, Workload
from h100_runs import DATA

TRACES = DATA.parent / "traces"
STEP = 600.0  # seconds of a row of the traces
DAY = 86_400.0
LONGEST = 5000.0  # mean tokens of a client: one with more needs most of the GPUs for itself
POOLS = ("m-large", "m-small")  # of m-mid, one batch client sends three quarters of the traffic
BURSTS_CV = (0.5, 4.0)  # of the arrivals of a client, at least and at most
RANKS = (8, 16, 32)


def client_days(peak: float, first: int = 1, days: int = 2) -> tuple[Workload, RatesOverTime]:
    """Return adapters with the clients' lengths and bursts, and their rates over some days, in steps of ten minutes.

    Args:
        peak: Requests per second of all clients together in the busiest ten minutes of the last day, to which all
            rates are scaled.
        first: The first day.
        days: Number of days.
    """
    start = int(first * DAY)
    rows = pl.read_parquet(TRACES / "servegen_client_rates.parquet").filter(
        pl.col("start_s").is_between(start, start + days * DAY - STEP)
        & (pl.col("rate_rps") > 0)
        & pl.col("pool").is_in(POOLS)
    )
    lengths = pl.read_parquet(TRACES / "servegen_client_lengths.parquet")
    means = lengths.group_by("pool", "client").agg(pl.col("input_tokens_mean", "output_tokens_mean").mean())
    short = means.filter(pl.col("input_tokens_mean") + pl.col("output_tokens_mean") <= LONGEST)
    rows = rows.join(short, on=["pool", "client"])
    clients = rows.select("pool", "client").unique().sort("pool", "client").with_row_index("place")
    rows = rows.join(clients, on=["pool", "client"])
    rates = np.zeros((len(clients), int(days * DAY / STEP)))
    step = ((rows["start_s"] - start) // int(STEP)).to_numpy()
    rates[rows["place"].to_numpy(), step] = rows["rate_rps"].to_numpy()
    rates *= peak / rates[:, -int(DAY / STEP) :].sum(axis=0).max()
    bursts = rows.group_by("place").agg(pl.col("cv").median())
    table = clients.join(means, on=["pool", "client"], how="left").join(bursts, on="place").sort("place")
    adapters = tuple(
        _adapter(row, float(mean)) for row, mean in zip(table.iter_rows(named=True), rates.mean(axis=1), strict=True)
    )
    names = tuple(adapter.name for adapter in adapters)
    return Workload(adapters=adapters), RatesOverTime(names, rates, STEP)


def _adapter(row: dict[str, float], rate: float) -> Adapter:
    place = int(row["place"])
    return Adapter(
        name=f"client-{place:03}",
        rank=RANKS[place % len(RANKS)],
        rate=rate,
        arrivals=f"gamma:cv={float(np.clip(row['cv'], *BURSTS_CV)):.2g}",
        lengths=Lengths.lognormal(
            input_mean=max(1.0, round(row["input_tokens_mean"] or 300.0, -1)),
            input_cv=1.0,
            output_mean=max(1.0, round(row["output_tokens_mean"] or 150.0, -1)),
            output_cv=1.0,
        ),
    )
