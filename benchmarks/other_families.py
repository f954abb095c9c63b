"""Servers under traffic that no training mix has: real clients, real lengths, other popularities."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import polars as pl

from adaptwin import Adapter, Lengths, Profile, Server, Workload
from adaptwin.dataset.mix import most_slots_that_start
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on, steady_state
from adaptwin.twin.server import server_rank
from adaptwin.workload.demand.traffic import sum_demands
from adaptwin.workload.sources.popularity import popularity_shares
from h100_runs import DATA

TRACES = DATA.parent / "traces"
RANKS = ((8,), (16, 32), (8, 16, 32), (16, 32, 64), (8, 8, 16, 64))  # three of them are in no training mix
UTILISATIONS = (0.05, 1.5)
FEWEST_TOKENS = 1.0


class Case(NamedTuple):
    """A server and its traffic."""

    family: str
    profile: Profile
    server: Server
    workload: Workload


def cases(profiles: list[Profile], each: int, seed: int = 1) -> Iterator[Case]:
    """Yield up to `each` cases of every family of traffic on every profile."""
    families = {
        "ServeGen clients": _servegen,
        "Azure conversations": lambda generator: _traced("azure_2023_conv.csv", generator),
        "Azure code": lambda generator: _traced("azure_2023_code.csv", generator),
        "lognormal popularity, two kinds of requests": _bimodal,
    }
    generator = np.random.default_rng(seed)
    for family, draw in families.items():
        for profile in profiles:
            for number in range(each):
                case = _case(family, profile, draw(generator), generator, number)
                if case:
                    yield case


def _case(
    family: str, profile: Profile, adapters: list[Adapter], generator: np.random.Generator, number: int
) -> Case | None:
    """Place adapters, whose rates are shares, on a server with a number of slots that planners consider.

    None if the server would not start.
    """
    ranks = [adapter.rank for adapter in adapters]
    template = Server(
        max_loras=1,
        max_lora_rank=server_rank(max(ranks), profile),
        max_cpu_loras=len(adapters),
        max_num_seqs=int(generator.choice([256, 1024])),
        max_num_batched_tokens=2048,
    )
    most = most_slots_that_start(profile, template, at_most=len(adapters))
    slots = round(float(np.exp(generator.uniform(np.log(max(1, most) ** 0.3), np.log(max(1, most))))))
    server = template.model_copy(update={"max_loras": slots})
    if not server.starts_on(profile):
        return None
    arrivals = "poisson" if generator.random() < 0.6 else "gamma:cv=3"
    workload = Workload(adapters=adapters, arrivals=arrivals, duration=3600.0, seed=number)
    demands = demands_on(profile, server, workload)
    settled = steady_state(sum_demands(demands), server.limits(profile), costs_of(profile, server), 3600.0)
    rate = settled.capacity * float(np.exp(generator.uniform(*np.log(UTILISATIONS))))
    return Case(family, profile, server, workload.scaled(min(rate, 100.0)))


def _servegen(generator: np.random.Generator) -> list[Adapter]:
    """Draw some clients of a production service in a ten-minute window, each with its own lengths and bursts."""
    rates, lengths = _clients()
    window = rates[int(generator.integers(len(rates)))]
    known = window.join(lengths, on=["pool", "client"]).filter(pl.col("rate_rps") > 0)
    chosen = known.sample(min(len(known), int(generator.integers(5, 80))), seed=int(generator.integers(1 << 31)))
    total = chosen["rate_rps"].sum()
    ranks = RANKS[int(generator.integers(len(RANKS)))]
    return [
        Adapter(
            name=f"a{i}",
            rank=ranks[i % len(ranks)],
            rate=row["rate_rps"] / total,
            arrivals=f"gamma:cv={min(4.0, max(0.5, row['cv'] or 1.0)):.2f}",
            lengths=_client_lengths(row),
        )
        for i, row in enumerate(chosen.iter_rows(named=True))
    ]


@lru_cache
def _clients() -> tuple[list[pl.DataFrame], pl.DataFrame]:
    rates = pl.read_parquet(TRACES / "servegen_client_rates.parquet")
    busy = rates.filter(pl.col("rate_rps") > 0).group_by("start_s").len().filter(pl.col("len") > 20)["start_s"].sort()
    windows = [rates.filter(start_s=start) for start in busy.gather_every(20).to_list()]
    lengths = pl.read_parquet(TRACES / "servegen_client_lengths.parquet")
    return windows, lengths.group_by("pool", "client").agg(pl.all().exclude("start_s").median()).sort("pool", "client")


def _client_lengths(row: dict[str, float]) -> Lengths:
    def spread(what: str) -> float:  # coefficient of variation of a lognormal with this mean and median
        ratio = row[f"{what}_tokens_mean"] / max(FEWEST_TOKENS, row[f"{what}_tokens_p50"])
        return float(np.sqrt(np.clip(ratio**2 - 1.0, 0.05, 4.0)))

    return Lengths.lognormal(
        input_mean=max(FEWEST_TOKENS, round(row["input_tokens_mean"], -1)),
        input_cv=round(spread("input"), 1),
        output_mean=max(FEWEST_TOKENS, round(row["output_tokens_mean"], -1)),
        output_cv=round(spread("output"), 1),
    )


def _traced(file: str, generator: np.random.Generator) -> list[Adapter]:
    """Draw adapters whose requests have the lengths of a real service."""
    return _adapters(f"lognormal:{generator.uniform(0.5, 2.5):.2f}", _traced_lengths(file), generator)


@lru_cache
def _traced_lengths(file: str) -> Lengths:
    trace = pl.read_csv(TRACES / file).filter(pl.col("GeneratedTokens") > 0)
    return Lengths.empirical(trace.select("ContextTokens", "GeneratedTokens").iter_rows())


def _bimodal(generator: np.random.Generator) -> list[Adapter]:
    """Draw adapters with requests of two kinds: short questions with long answers, long documents with short ones."""
    short, long = int(generator.integers(20, 200)), int(generator.integers(1000, 4000))
    share = int(generator.integers(1, 10))
    lengths = Lengths.empirical(
        [(short, int(generator.integers(100, 500)))] * share + [(long, int(generator.integers(10, 80)))]
    )
    return _adapters(f"lognormal:{generator.uniform(0.5, 2.5):.2f}", lengths, generator)


def _adapters(popularity: str, lengths: Lengths, generator: np.random.Generator) -> list[Adapter]:
    count = round(float(np.exp(generator.uniform(np.log(4), np.log(500)))))
    shares = popularity_shares(popularity, count, int(generator.integers(1 << 31)))
    ranks = RANKS[int(generator.integers(len(RANKS)))]
    return [
        Adapter(name=f"a{i}", rank=ranks[i % len(ranks)], rate=float(share), lengths=lengths)
        for i, share in enumerate(shares)
    ]
