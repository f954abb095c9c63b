"""Every strategy on every population, how planning scales, and re-planning; docs/measured/placement.md.

A strategy is judged twice: by its own placement, played with arrivals that no planner saw, and by the verified plan
that `make_plan` makes of it, which repairs what does not hold. GPUs are compared between verified plans.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from adaptwin import Adapter, Infeasible, Profile, Server, Workload, load_profile, make_plan, replan, verify
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.lower_bound.lower_bound import lower_bound
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.progress import silent
from adaptwin.surrogate.surrogate import surrogate_for
from adaptwin.twin.simulate import Case, simulate_many
from adaptwin.workload.drawing.random_streams import stream_seed
from adaptwin.workload.sources.synthetic import synthesize
from h100_runs import PROJECT
from placement_figures import gpus_by_strategy, scaling
from populations import Population, populations

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = PROJECT / "docs" / "measured" / "placement.md"
IMAGES = PROJECT / "docs" / "images"
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
FRESH_SEEDS = (20_000, 20_001, 20_002)
SIZES = (100, 1_000, 10_000, 100_000)
CHANGED, BY = 0.1, 2.0  # share of the adapters whose rate changes, and by which factor at most, up or down
DRAWS = 3
REPLANNED = ("the example", "high rates, ranks 8/16, 256", "low rates, ranks 8/16/32, 1280", "Azure x10, 1280")


class Result(NamedTuple):
    """What a strategy did with a population."""

    population: str
    kind: str
    adapters: int
    rate: float
    bound: int
    strategy: str
    alone: int  # GPUs of its own placement; 0: none was found
    overloaded: int  # adapters that starve or wait in a growing queue there, with fresh arrivals
    gpus: int  # of the verified plan; 0: none
    holds: bool  # with fresh seeds
    itl_mean: float  # of all servers, weighted by their throughput
    itl_p99: float  # the worst server's
    ttft_p99: float  # the worst server's
    seconds: float  # for the verified plan, forecasts included


def judge(profile: Profile, population: Population, strategy: str) -> Result:
    """A strategy on a population: alone, and as a verified plan."""
    workload = population.workload
    known = (population.name, population.kind, len(workload), workload.rate)
    bound = lower_bound([profile], workload, Server())
    alone, overloaded = _alone(profile, workload, strategy, bound)
    started = time.perf_counter()
    try:
        plan = make_plan(profile, workload, strategy=strategy, time_limit=60.0)
    except Infeasible:
        nan = float("nan")
        return Result(
            *known, bound, strategy, alone, overloaded, 0, False, nan, nan, nan, time.perf_counter() - started
        )
    seconds = time.perf_counter() - started
    checks = [verify(plan, seed) for seed in FRESH_SEEDS]
    runs = checks[0].runs
    weights = np.array([run.throughput for run in runs])
    itl = float(np.nansum(weights * np.array([run.itl.mean for run in runs])) / max(1e-9, weights.sum()))
    worst = [float(np.nanmax([getattr(run, what).p99 for run in runs])) for what in ("itl", "ttft")]
    holds = plan.verified and all(check.ok for check in checks)
    return Result(*known, bound, strategy, alone, overloaded, plan.gpus, holds, itl, *worst, seconds)


def _alone(profile: Profile, workload: Workload, strategy: str, bound: int) -> tuple[int, int]:
    """GPUs of a strategy's own placement, and how many adapters are overloaded there."""
    known = WorkloadSurrogate(surrogate_for(profile), workload, Server())
    capacity = Capacity(profile, workload, Server(), surrogate=known)
    try:
        servers = STRATEGIES[strategy].place(Problem(capacity, bound, silent, time.perf_counter() + 60.0))
    except Infeasible:
        return 0, 0
    runs = simulate_many(
        Case(profile, a.server, workload.part(a.shares), stream_seed(FRESH_SEEDS[0], str(i)) >> 1)
        for i, a in enumerate(servers)
    )
    return len(servers), sum(max((run.adapters["verdict"] != "ok").sum(), run.verdict != "ok") for run in runs)


# How it scales


def plan_one(adapters: int) -> dict[str, Any]:
    """A fleet of this size planned in a process of its own, and what that took."""
    command = [sys.executable, __file__, "--plan-one", str(adapters)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _plan_here(adapters: int) -> dict[str, Any]:
    fleet = synthesize(adapters=adapters, rate=0.1 * adapters, ranks=(8, 16, 32), popularity="zipf:0.9")
    profile = load_profile(PROFILE)
    make_plan(profile, synthesize(adapters=20, rate=2.0, ranks=(8,)))  # loads what is compiled
    plan = make_plan(profile, fleet)
    return {
        "adapters": adapters,
        "rate": fleet.rate,
        "bound": plan.lower_bound,
        "gpus": plan.gpus,
        "verified": plan.verified,
        "search": plan.search_seconds,
        "total": plan.planning_seconds,
        "twin_runs": plan.twin_runs,
        "memory": _peak_memory(),
    }


def _peak_memory() -> float:
    """MiB that this process had at most; not `getrusage`, which counts what its parent had before it."""
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


# Re-planning


class Replanned(NamedTuple):
    """A fleet after some of its rates have changed."""

    population: str
    draw: int
    adapters: int
    before: int  # GPUs
    gpus: int
    afresh: int
    moves: int
    restarts: int
    verified: bool
    seconds: float


def change(workload: Workload, draw: int) -> Workload:
    """A tenth of the adapters with up to twice their rate, or down to half of it."""
    dice = np.random.default_rng(stream_seed(draw, "change"))
    chosen = set(dice.choice(len(workload), size=round(CHANGED * len(workload)), replace=False).tolist())
    factors = BY ** dice.uniform(-1.0, 1.0, size=len(workload))

    def changed(index: int, adapter: Adapter) -> Adapter:
        return adapter.scaled(float(factors[index])) if index in chosen else adapter

    return workload.model_copy(update={"adapters": tuple(changed(i, a) for i, a in enumerate(workload.adapters))})


def replanned(profile: Profile, population: Population) -> list[Replanned]:
    """The fleet changed several times, from the same running plan."""
    running = make_plan(profile, population.workload)
    results = []
    for draw in range(DRAWS):
        workload = change(population.workload, draw)
        started = time.perf_counter()
        found = replan(running, workload)
        seconds = time.perf_counter() - started
        afresh = make_plan(profile, workload)
        moved = found.migration
        results.append(
            Replanned(
                population.name,
                draw,
                len(workload),
                running.gpus,
                found.gpus,
                afresh.gpus,
                moved.moves if moved else 0,
                moved.restarts if moved else 0,
                found.verified,
                seconds,
            )
        )
    return results


# The page

HEAD = """# How few GPUs

Written by `python benchmarks/placement.py` (`make placement`): Llama-3.1-8B on a 64 GB H100 as measured, an hour of
traffic, two cores."""

GPUS_NOTE = """GPUs of each strategy's verified plan. Behind an arrow: what the strategy's own placement was, where it
has another size or fails when it is played with arrivals that no planner saw; after the exclamation mark how many
adapters starve there or wait in a growing queue. `make_plan` repairs such placements. A dash: no verified plan.
**Bold**: a plan that fails with one of three further seeds, which neither planner nor verification saw."""


def main() -> None:
    """Place everything, print the tables, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=10_000, help="adapters of the largest population")
    parser.add_argument("--only", help="populations whose name contains this")
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="separated by commas")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="adapters for the scaling curve")
    parser.add_argument("--no-page", action="store_true", help="leave docs/measured/placement.md as it is")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    parser.add_argument("--kept", action="store_true", help="measure nothing: the page from the results there are")
    parser.add_argument("--plan-one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plan_one:
        print(json.dumps(_plan_here(arguments.plan_one)))
        return
    found = _measure(arguments)
    results = [Result(**row) for row in found["results"]]
    strategies = list(dict.fromkeys(result.strategy for result in results))
    page = "\n\n".join(
        [
            HEAD,
            _gpus(results, strategies),
            "![GPUs of each strategy over those of pack](../images/placement.png)",
            _latencies(results, strategies),
            _seconds(results, strategies),
            _scaling(found["scaling"]),
            "![Time and memory of planning](../images/placement-scaling.png)",
            _replanning([Replanned(**row) for row in found["replanned"]]),
        ]
    )
    print(page)
    if not arguments.no_page:
        PAGE.write_text(page + "\n", encoding="utf-8")
        gpus_by_strategy([result._asdict() for result in results], IMAGES / "placement.png")
        scaling(found["scaling"], IMAGES / "placement-scaling.png")


def _measure(arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """All that is asked for; what was measured before, in this or an earlier call, is not measured again."""
    profile, strategies = load_profile(PROFILE), arguments.strategies.split(",")
    chosen = [p for p in populations(arguments.largest) if not arguments.only or arguments.only in p.name]
    sizes = [int(size) for size in arguments.sizes.split(",") if size]
    kept = Kept(RESULTS / "placement.json", fresh=arguments.fresh, only_kept=arguments.kept)
    results = [
        kept.row(f"{population.name} | {strategy}", lambda p=population, s=strategy: judge(profile, p, s)._asdict())
        for population, strategy in _tracked([(p, s) for p in chosen for s in strategies], "placing")
    ]
    scaled = [kept.row(f"scaling | {size}", lambda size=size: plan_one(size)) for size in _tracked(sizes, "scaling")]
    changed = [
        kept.row(f"replanned | {population.name}", lambda p=population: [r._asdict() for r in replanned(profile, p)])
        for population in _tracked([p for p in chosen if p.name in REPLANNED], "re-planning")
    ]
    return {
        "results": [row for row in results if row],
        "scaling": [row for row in scaled if row],
        "replanned": [row for rows in changed for row in rows or []],
    }


class Kept:
    """What was measured, by name, in a file that grows with every measurement."""

    def __init__(self, file: Path, *, fresh: bool, only_kept: bool) -> None:
        self._file, self._only_kept = file, only_kept
        self._rows: dict[str, Any] = {} if fresh or not file.is_file() else json.loads(file.read_text())

    def row(self, name: str, measure: Callable[[], Any]) -> Any:
        """What is known by this name, measured now if it is not; None where nothing may be measured."""
        if name not in self._rows and not self._only_kept:
            self._rows[name] = measure()
            self._file.parent.mkdir(exist_ok=True)
            self._file.write_text(json.dumps(self._rows, indent=1))
        return self._rows.get(name)


def _tracked(work: list[Any], what: str) -> Any:
    console = Console(stderr=True)
    return track(work, what, console=console, disable=not console.is_terminal)


def _table(title: str, header: list[str], body: list[list[str]], note: str = "") -> str:
    lines = [f"## {title}", "", *([note, ""] if note else []), f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in body])


def _by_population(results: list[Result]) -> dict[str, dict[str, Result]]:
    found: dict[str, dict[str, Result]] = {}
    for result in results:
        found.setdefault(result.population, {})[result.strategy] = result
    return found


def _by_strategy(
    title: str, results: list[Result], strategies: list[str], cell: Callable[[Result], str], note: str = ""
) -> str:
    rows = _by_population(results).items()
    body = [[name, *(cell(of[strategy]) if strategy in of else "" for strategy in strategies)] for name, of in rows]
    return _table(title, ["population", *(f"`{name}`" for name in strategies)], body, note)


def _gpus(results: list[Result], strategies: list[str]) -> str:
    body = []
    for name, of in _by_population(results).items():
        first = next(iter(of.values()))
        cells = [_gpu_cell(of[strategy]) for strategy in strategies if strategy in of]
        body.append([name, f"{first.adapters:,}", f"{first.rate:.1f}", str(first.bound), *cells])
    header = ["population", "adapters", "req/s", "bound", *(f"`{name}`" for name in strategies)]
    return _table("GPUs", header, body, f"{GPUS_NOTE}\n\n{_summary(results)}")


def _summary(results: list[Result]) -> str:
    """What the table comes to."""
    by_population = _by_population(results)
    packs = [of["pack"] for of in by_population.values() if "pack" in of]
    near = sum(p.gpus - p.bound <= max(1, 0.1 * p.bound) for p in packs)
    first = (
        f"`pack` on {len(packs)} populations: {sum(p.gpus for p in packs)} GPUs, where the bounds come to "
        f"{sum(p.bound for p in packs)}; {near} are within one GPU or 10 % of the bound; "
        f"{sum(not p.holds for p in packs)} fail with a further seed."
    )
    lines = []
    for strategy in dict.fromkeys(result.strategy for result in results if result.strategy != "pack"):
        pairs = [(of["pack"], of[strategy]) for of in by_population.values() if {"pack", strategy} <= set(of)]
        both = [(p, o) for p, o in pairs if o.gpus]
        fewer, more = sum(p.gpus < o.gpus for p, o in both), sum(p.gpus > o.gpus for p, o in both)
        total = sum(o.gpus for _, o in both)
        saved = 1.0 - sum(p.gpus for p, _ in both) / total if total else 0.0
        starving = sum(o.overloaded > 0 for _, o in pairs)
        lines.append(
            f"- against `{strategy}`: fewer GPUs on {fewer}, more on {more}, {100 * saved:.0f} % fewer in all; its own "
            f"placement overloads adapters on {starving}"
        )
    return "\n".join([first, "", *lines])


def _gpu_cell(result: Result) -> str:
    overloaded = f"!{result.overloaded}" if result.overloaded else ""
    alone = f" ← {result.alone}{overloaded}" if overloaded or result.alone != result.gpus else ""
    if not result.gpus:
        return f"-{alone}"
    return f"{result.gpus}{alone}" if result.holds else f"**{result.gpus}**{alone}"


def _latencies(results: list[Result], strategies: list[str]) -> str:
    def cell(result: Result) -> str:
        if not result.gpus:
            return "-"
        return f"{1e3 * result.itl_mean:.0f} / {1e3 * result.itl_p99:.0f} / {result.ttft_p99:.1f}"

    note = "Of the verified plans: mean ITL, ms / worst ITL p99, ms / worst TTFT p99, s. Fewer GPUs are fuller GPUs."
    return _by_strategy("Latency", results, strategies, cell, note)


def _seconds(results: list[Result], strategies: list[str]) -> str:
    note = "For the verified plan with its forecasts; the search is stopped after a minute."
    return _by_strategy("Planning, s", results, strategies, lambda result: f"{result.seconds:.1f}", note)


def _scaling(rows: list[dict[str, Any]]) -> str:
    header = ["adapters", "req/s", "bound", "GPUs", "verified", "search, s", "all, s", "twin runs", "memory, MiB"]
    body = [
        [
            f"{row['adapters']:,}",
            f"{row['rate']:,.0f}",
            str(row["bound"]),
            str(row["gpus"]),
            "yes" if row["verified"] else "no",
            f"{row['search']:.1f}",
            f"{row['total']:.1f}",
            f"{row['twin_runs']:,}",
            f"{row['memory']:,.0f}",
        ]
        for row in rows
    ]
    note = (
        "Zipf popularity (0.9), ranks 8, 16 and 32, 0.1 requests/s per adapter. All: with verification and forecasts."
    )
    return _table("How it scales", header, body, note)


def _replanning(rows: list[Replanned]) -> str:
    header = [
        "population",
        "draw",
        "GPUs before",
        "re-planned",
        "afresh",
        "moves",
        "of adapters",
        "restarts",
        "seconds",
    ]
    body = [
        [
            row.population,
            str(row.draw),
            str(row.before),
            f"{row.gpus}{'' if row.verified else ' (not verified)'}",
            str(row.afresh),
            str(row.moves),
            f"{100 * row.moves / row.adapters:.1f} %",
            str(row.restarts),
            f"{row.seconds:.1f}",
        ]
        for row in rows
    ]
    note = "A tenth of the rates is changed, by a factor of a half to two; the running plan is `pack`'s."
    return _table("Re-planning", header, body, note)


if __name__ == "__main__":
    main()
