"""Every strategy on every population: GPUs, who starves, latencies, planning time; docs/placement.md.

Each strategy says how many GPUs it wants and what goes where. Its servers are then played by the twin with arrivals
that no planner saw; nothing is repaired here, so that a strategy is judged by what it does itself. `make_plan`, which
people use, also repairs.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import track

from adaptwin import (
    Adapter,
    Infeasible,
    Lengths,
    Profile,
    Server,
    Workload,
    load_profile,
    load_surrogate,
    simulate_many,
)
from adaptwin.placement.bound import lower_bound
from adaptwin.placement.capacity import Capacity
from adaptwin.placement.foresight import Foresight
from adaptwin.placement.make_plan import STRATEGIES
from adaptwin.placement.problem import Problem
from adaptwin.progress import silent
from adaptwin.twin.simulate import Case
from adaptwin.workload.deal import synthesize
from adaptwin.workload.requests import stream_seed
from adaptwin.workload.trace import workload_from_trace
from h100_runs import DATA, PROJECT

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = PROJECT / "docs" / "placement.md"
TRACES = DATA.parent / "traces"
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
FRESH_SEED = 20_000
PAPER_RATES = {"high": (1.6, 0.8, 0.4), "low": (0.1, 0.05, 0.025)}  # requests/s, dealt out in turn


class Population(NamedTuple):
    """A fleet to plan, and where it comes from."""

    name: str
    kind: str
    workload: Workload


def populations(largest: int) -> Iterator[Population]:
    """The paper's fleets, real clients, and fleets made to be hard; none with more than `largest` adapters."""
    for family in (_papers, _azure, _clients, _adversarial):
        yield from (population for population in family() if len(population.workload) <= largest)


def _papers() -> Iterator[Population]:
    """Rates and ranks of the paper's single-GPU runs, on as many GPUs as it takes."""
    for level, counts in (("high", (64, 256)), ("low", (256, 640, 1280))):
        for ranks in ((8, 16), (8, 16, 32)):
            for adapters in counts:
                name = f"{level} rates, ranks {'/'.join(map(str, ranks))}, {adapters}"
                yield Population(name, "paper", _in_turn(adapters, PAPER_RATES[level], ranks))


def _azure() -> Iterator[Population]:
    """The paper's placement runs: an Azure window dealt out by Dirichlet(0.5), with ShareGPT's lengths."""
    for adapters, scale in ((128, 1.0), (384, 4.0), (1280, 10.0)) if TRACES.is_dir() else ():
        trace = TRACES / "azure_2023_conv.csv"
        fleet = workload_from_trace(trace, adapters=adapters, ranks=(8, 16, 32), rate_scale=scale)
        fleet = fleet.model_copy(update={"lengths": Lengths.named("sharegpt")})
        yield Population(f"Azure x{scale:g}, {adapters}", "paper", fleet)


def _clients() -> Iterator[Population]:
    for rate in (30.0, 90.0) if TRACES.is_dir() else ():
        yield Population(f"ServeGen clients, {rate:g} req/s", "real clients", _servegen(rate))


def _adversarial() -> Iterator[Population]:
    yield Population("one hot adapter", "adversarial", _one_hot())
    yield Population("all rank 64", "adversarial", synthesize(adapters=200, rate=40.0, ranks=(64,)))
    yield Population("one rank 64 among rank 8", "adversarial", _one_high())
    idle = synthesize(adapters=10_000, rate=20.0, ranks=(8, 16), popularity="uniform")
    yield Population("10,000 nearly idle", "adversarial", idle)


def _in_turn(adapters: int, rates: tuple[float, ...], ranks: tuple[int, ...]) -> Workload:
    dice = np.random.default_rng(stream_seed(0, "paper", str(adapters)))
    dealt = dice.permutation([rates[i % len(rates)] for i in range(adapters)])
    return Workload([Adapter(f"a{i:04}", ranks[i % len(ranks)], float(rate)) for i, rate in enumerate(dealt)])


def _servegen(rate: float) -> Workload:
    """The clients of a production service in its busiest ten minutes, each with its mean lengths."""
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


def _one_hot() -> Workload:
    rest = synthesize(adapters=100, rate=10.0, ranks=(8, 16)).adapters
    return Workload([Adapter("hot", 16, 60.0), *rest])


def _one_high() -> Workload:
    return Workload([Adapter("high", 64, 0.5), *synthesize(adapters=200, rate=40.0, ranks=(8,)).adapters])


class Result(NamedTuple):
    """What a strategy did with a population."""

    population: str
    kind: str
    adapters: int
    rate: float
    bound: int
    strategy: str
    gpus: int  # 0: no placement
    suffering: int  # adapters that starve or wait in a growing queue, in servers played with fresh arrivals
    itl_mean: float  # of all servers, weighted by their gaps as their throughput
    itl_p99: float  # the worst server's
    ttft_p99: float  # the worst server's
    seconds: float
    note: str


def place(profile: Profile, population: Population, strategy: str) -> Result:
    """Place a population with a strategy, and play what it placed."""
    workload, template = population.workload, Server()
    bound = lower_bound([profile], workload, template)
    started = time.perf_counter()
    capacity = Capacity(
        profile, workload, template, foresight=Foresight(load_surrogate(profile.name), workload, template)
    )
    known = (population.name, population.kind, len(workload), workload.rate, bound, strategy)
    try:
        assignments = STRATEGIES[strategy](Problem(capacity, bound, silent, float("inf")))
    except Infeasible as error:
        nan = float("nan")
        return Result(*known, 0, 0, nan, nan, nan, time.perf_counter() - started, str(error))
    seconds = time.perf_counter() - started
    runs = simulate_many(
        Case(profile, a.server, workload.part(a.shares), stream_seed(FRESH_SEED, str(i)) >> 1)
        for i, a in enumerate(assignments)
    )
    suffering = sum(len(run.adapters.filter(pl.col("verdict") != "ok")) or run.verdict != "ok" for run in runs)
    weights = np.array([run.throughput for run in runs])
    itl = float(np.nansum(weights * np.array([run.itl.mean for run in runs])) / max(1e-9, weights.sum()))
    worst = [float(np.nanmax([getattr(run, what).p99 for run in runs])) for what in ("itl", "ttft")]
    return Result(*known, len(assignments), suffering, itl, *worst, seconds, "")


HEAD = """# How few GPUs

Written by `python benchmarks/placement.py`: every strategy on every population, Llama-3.1-8B on a 64 GB H100. Each
cell has the GPUs that a strategy uses, and behind an exclamation mark how many adapters starve or wait in a growing
queue when its servers are played with arrivals that no planner saw. Nothing is repaired here, which `make_plan` does.
A dash: no placement was found."""


def main() -> None:
    """Place everything, print the table, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1280, help="adapters of the largest population")
    parser.add_argument("--only", help="populations whose name contains this")
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="separated by commas")
    parser.add_argument("--no-page", action="store_true", help="leave docs/placement.md as it is")
    arguments = parser.parse_args()
    profile, strategies = load_profile(PROFILE), arguments.strategies.split(",")
    chosen = [p for p in populations(arguments.largest) if not arguments.only or arguments.only in p.name]
    work = [(population, strategy) for population in chosen for strategy in strategies]
    console = Console(stderr=True)
    results = [
        place(profile, population, strategy)
        for population, strategy in track(work, "placing", console=console, disable=not console.is_terminal)
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "placement.json").write_text(json.dumps([result._asdict() for result in results], indent=1))
    page = "\n\n".join(
        [HEAD, _gpus(results, strategies), _latencies(results, strategies), _seconds(results, strategies)]
    )
    print(page)
    if not arguments.no_page:
        PAGE.write_text(page + "\n", encoding="utf-8")


def _by_population(results: list[Result]) -> dict[str, dict[str, Result]]:
    found: dict[str, dict[str, Result]] = {}
    for result in results:
        found.setdefault(result.population, {})[result.strategy] = result
    return found


def _table(title: str, header: list[str], body: list[list[str]]) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in body])


def _gpus(results: list[Result], strategies: list[str]) -> str:
    body = []
    for name, of in _by_population(results).items():
        first = next(iter(of.values()))
        cells = [_gpu_cell(of[strategy]) for strategy in strategies]
        body.append([name, f"{first.adapters:,}", f"{first.rate:.1f}", str(first.bound), *cells])
    return _table("GPUs", ["population", "adapters", "req/s", "bound", *(f"`{name}`" for name in strategies)], body)


def _gpu_cell(result: Result) -> str:
    if not result.gpus:
        return "-"
    return f"{result.gpus}!{result.suffering}" if result.suffering else str(result.gpus)


def _latencies(results: list[Result], strategies: list[str]) -> str:
    body = [
        [name, *(_latency_cell(of[strategy]) for strategy in strategies)]
        for name, of in _by_population(results).items()
    ]
    title = "Mean ITL, ms / worst TTFT p99, s"
    return _table(title, ["population", *(f"`{name}`" for name in strategies)], body)


def _latency_cell(result: Result) -> str:
    return f"{1e3 * result.itl_mean:.0f} / {result.ttft_p99:.1f}" if result.gpus else "-"


def _seconds(results: list[Result], strategies: list[str]) -> str:
    body = [
        [name, *(f"{of[strategy].seconds:.1f}" for strategy in strategies)]
        for name, of in _by_population(results).items()
    ]
    return _table("Planning, s", ["population", *(f"`{name}`" for name in strategies)], body)


if __name__ == "__main__":
    main()
