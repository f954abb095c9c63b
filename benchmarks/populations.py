"""Populations: the fleets of adapters on which placement strategies are compared."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from adaptwin import Adapter, Lengths, Workload
from adaptwin.plan.fleet import read_fleet
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.sources.synthetic import synthesize
from adaptwin.workload.sources.traces import trace_window
from h100_runs import DATA, PROJECT

TRACES = DATA.parent / "traces"
HOT_RATES = (35.0, 60.0, 120.0)  # requests/s of the very hot adapter
PAPER_RATES = {"high": (1.6, 0.8, 0.4), "low": (0.1, 0.05, 0.025)}  # requests/s, assigned in turn


class Population(NamedTuple):
    """A fleet to plan, and its origin."""

    name: str
    kind: str
    workload: Workload


def populations(largest: int) -> Iterator[Population]:
    """Yield the paper's fleets, real clients, and adversarial fleets, without those of over `largest` adapters."""
    for family in (_example, _papers, _azure, _clients, _adversarial):
        yield from (population for population in family() if len(population.workload) <= largest)


def hot_populations() -> Iterator[Population]:
    """Yield fleets with one very hot adapter among a hundred mild ones, with 10 requests/s together."""
    for rate in HOT_RATES:
        yield Population(f"{rate:g} requests/s among mild ones", "one very hot adapter", _one_hot(rate))


def _example() -> Iterator[Population]:
    yield Population("the example", "example", read_fleet(PROJECT / "examples" / "fleet.yaml").workload)


def _papers() -> Iterator[Population]:
    """Fleets with the rates and ranks of the paper's single-GPU runs, on as many GPUs as they need."""
    for level, counts in (("high", (64, 256)), ("low", (256, 640, 1280))):
        for ranks in ((8, 16), (8, 16, 32)):
            for adapters in counts:
                name = f"{level} rates, ranks {'/'.join(map(str, ranks))}, {adapters}"
                yield Population(name, "paper", _in_turn(adapters, PAPER_RATES[level], ranks))


def _azure() -> Iterator[Population]:
    """Fleets of the paper's placement runs: an Azure window shared out by Dirichlet(0.5), with ShareGPT's lengths."""
    for adapters, scale in ((128, 1.0), (384, 4.0), (1280, 10.0)) if TRACES.is_dir() else ():
        trace = TRACES / "azure_2023_conv.csv"
        recorded = trace_window(trace, first_part=0.5).recording
        rate = scale * recorded.rate
        fleet = synthesize(adapters=adapters, rate=rate, ranks=(8, 16, 32), lengths=Lengths.named("sharegpt"))
        yield Population(f"Azure x{scale:g}, {adapters}", "paper", fleet)


def _clients() -> Iterator[Population]:
    for rate in (30.0, 90.0) if TRACES.is_dir() else ():
        yield Population(f"ServeGen clients, {rate:g} req/s", "real clients", _servegen(rate))


def _adversarial() -> Iterator[Population]:
    yield Population("one hot adapter", "adversarial", _one_hot(60.0))
    yield Population("all rank 64", "adversarial", synthesize(adapters=200, rate=40.0, ranks=(64,)))
    yield Population("one rank 64 among rank 8", "adversarial", _one_high())
    idle = synthesize(adapters=10_000, rate=20.0, ranks=(8, 16), popularity="uniform")
    yield Population("10,000 nearly idle", "adversarial", idle)


def _in_turn(adapters: int, rates: tuple[float, ...], ranks: tuple[int, ...]) -> Workload:
    generator = np.random.default_rng(stream_seed(0, "paper", str(adapters)))
    shuffled = generator.permutation([rates[i % len(rates)] for i in range(adapters)])
    return Workload([Adapter(f"a{i:04}", ranks[i % len(ranks)], float(rate)) for i, rate in enumerate(shuffled)])


def _servegen(rate: float) -> Workload:
    """The clients of a production service in its busiest ten minutes, each with its own mean lengths."""
    rates = pl.read_parquet(TRACES / "servegen_client_rates.parquet").filter(pl.col("rate_rps") > 0)
    busiest = rates.group_by("start_s").agg(pl.col("rate_rps").sum()).sort("rate_rps")["start_s"][-1]
    lengths = pl.read_parquet(TRACES / "servegen_client_lengths.parquet")
    means = lengths.group_by("pool", "client").agg(pl.col("input_tokens_mean", "output_tokens_mean").mean())
    clients = rates.filter(start_s=busiest).join(means, on=["pool", "client"]).sort("pool", "client")
    share = rate / clients["rate_rps"].sum()
    return Workload(
        [
            Adapter(
                name=f"client-{i:03}",
                rank=(8, 16, 32)[i % 3],
                rate=row["rate_rps"] * share,
                lengths=Lengths.lognormal(
                    input_mean=max(1.0, round(row["input_tokens_mean"], -1)),
                    input_cv=1.0,
                    output_mean=max(1.0, round(row["output_tokens_mean"], -1)),
                    output_cv=1.0,
                ),
            )
            for i, row in enumerate(clients.iter_rows(named=True))
        ]
    )


def _one_hot(rate: float) -> Workload:
    rest = synthesize(adapters=100, rate=10.0, ranks=(8, 16)).adapters
    return Workload([Adapter("hot", 16, rate), *rest])


def _one_high() -> Workload:
    return Workload([Adapter("high", 64, 0.5), *synthesize(adapters=200, rate=40.0, ranks=(8,)).adapters])
