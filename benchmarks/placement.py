"""Placement: every strategy on every population, how planning scales, and re-planning.

Writes docs/measured/placement.md. A strategy is evaluated twice: by its own placement, simulated with arrivals that no
planner has used, and by the verified plan that `make_plan` makes from it with repairs. GPUs are compared between
verified plans.
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
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.sources.synthetic import synthesize
from measured_page import IMAGES, PAGES, cores, generated_by, paragraph, section
from placement_figures import gpus_by_strategy, scaling
from populations import Population, populations

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = PAGES / "placement.md"
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
FRESH_SEEDS = (20_000, 20_001, 20_002)
SIZES = (100, 1_000, 10_000, 100_000)
CHANGED, BY = 0.1, 2.0  # share of the adapters whose rate changes, and the largest factor, up or down
DRAWS = 3
REPLANNED = ("the example", "high rates, ranks 8/16, 256", "low rates, ranks 8/16/32, 1280", "Azure x10, 1280")


class Result(NamedTuple):
    """The outcome of one strategy on one population."""

    population: str
    kind: str
    adapters: int
    rate: float
    bound: int
    strategy: str
    alone: int  # GPUs of the strategy's own placement; 0: none was found
    overloaded: int  # adapters that are starved or backlogged in that placement, with fresh arrivals
    gpus: int  # GPUs of the verified plan; 0: there is none
    holds: bool  # whether the verified plan holds with fresh seeds
    itl_mean: float  # mean over all servers, weighted by their throughput
    itl_p99: float  # of the worst server
    ttft_p99: float  # of the worst server
    seconds: float  # to make the verified plan, forecasts included


def judge(profile: Profile, population: Population, strategy: str) -> Result:
    """Evaluate a strategy on a population: by its own placement, and by the verified plan."""
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
    """Return the GPUs of a strategy's own placement, and the number of adapters that are overloaded in it."""
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


# Scaling


def plan_one(adapters: int) -> dict[str, Any]:
    """Plan a fleet of this size in a process of its own, and return its GPUs, time and memory."""
    command = [sys.executable, __file__, "--plan-one", str(adapters)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _plan_here(adapters: int) -> dict[str, Any]:
    fleet = synthesize(adapters=adapters, rate=0.1 * adapters, ranks=(8, 16, 32), popularity="zipf:0.9")
    profile = load_profile(PROFILE)
    make_plan(profile, synthesize(adapters=20, rate=2.0, ranks=(8,)))  # loads the compiled functions
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
    """Peak memory of this process in MiB; not from `getrusage`, which includes the parent before the fork."""
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


# Re-planning


class Replanned(NamedTuple):
    """The outcome of re-planning a fleet after some of its rates have changed."""

    population: str
    draw: int
    adapters: int
    before: int  # GPUs of the plan that runs
    gpus: int  # GPUs after re-planning
    afresh: int  # GPUs of a new plan for the changed workload
    moves: int
    restarts: int
    verified: bool
    seconds: float


def change(workload: Workload, draw: int) -> Workload:
    """Change the rates of a tenth of the adapters, up to double or down to half."""
    generator = np.random.default_rng(stream_seed(draw, "change"))
    chosen = set(generator.choice(len(workload), size=round(CHANGED * len(workload)), replace=False).tolist())
    factors = BY ** generator.uniform(-1.0, 1.0, size=len(workload))

    def changed(index: int, adapter: Adapter) -> Adapter:
        return adapter.scaled(float(factors[index])) if index in chosen else adapter

    return workload.model_copy(update={"adapters": tuple(changed(i, a) for i, a in enumerate(workload.adapters))})


def replanned(profile: Profile, population: Population) -> list[Replanned]:
    """Re-plan a fleet after several changes, each from the same running plan."""
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

WHAT = """This page compares `pack`, the strategy that plans use by default, with the other placement strategies: GPUs,
latency and planning time on many fleets of adapters. It also shows how planning scales, and what re-planning
changes."""

HOW = f"""All plans are for Llama-3.1-8B on an H100 with 64 GB, with the shipped profile and an hour of traffic. They
were made on {cores()}. [How to choose an objective](../how-to/objectives.md) shows how to make a
plan, [How planning works](../explanation/planning.md) explains what `pack` does, and the
[glossary](../reference/glossary.md) explains the terms."""

HEAD = f"# Placement strategies compared\n\n{paragraph(WHAT)}\n\n{paragraph(HOW)}"
END = generated_by("placement", after="a change to planning, the twin, the shipped profiles or the shipped surrogates")

GPUS_NOTE = """`make_plan` repairs a placement that does not hold. Each cell therefore has the number of GPUs of the
verified plan and, where repair changed it or the strategy's own placement overloads adapters, the number before
repair."""

LEGEND = """| in a cell | meaning |
|---|---|
| `3` | the verified plan has 3 GPUs |
| `-` | there is no verified plan |
| **`3`**, in bold | the plan fails with at least one of three further seeds, unused in planning and verification |
| `← 3` | the strategy's own placement, before repair, has 3 GPUs |
| `!64` | 64 adapters are starved or backlogged when that placement is simulated with arrivals unused in planning |"""

EXAMPLE_NOTE = """For example, `3 ← 3!64`: the strategy places all adapters on 3 GPUs, where 64 of them are overloaded.
After repair, the plan has 3 GPUs, too, and is verified."""


def main() -> None:
    """Run all strategies on all populations, print the tables and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=10_000, help="adapters of the largest population")
    parser.add_argument("--only", help="run only populations whose name contains this")
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="strategies to run, separated by commas")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of adapters for the scaling table")
    parser.add_argument("--no-page", action="store_true", help="do not write docs/measured/placement.md")
    parser.add_argument("--fresh", action="store_true", help="ignore the results of earlier calls")
    parser.add_argument("--kept", action="store_true", help="measure nothing; write the page from earlier results")
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
            "![GPUs of each strategy's verified plan, by population, with the lower bound](../images/placement.png)",
            _latencies(results, strategies),
            _seconds(results, strategies),
            _scaling(found["scaling"]),
            "![Time and memory of planning by number of adapters](../images/placement-scaling.png)",
            _replanning([Replanned(**row) for row in found["replanned"]]),
            END,
        ]
    )
    print(page)
    if not arguments.no_page:
        PAGE.write_text(page + "\n", encoding="utf-8")
        gpus_by_strategy([result._asdict() for result in results], IMAGES / "placement.png")
        scaling(found["scaling"], IMAGES / "placement-scaling.png")


def _measure(arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure what the arguments select, except for results that an earlier call has kept."""
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
    """Results by name, kept in a file that is written after every measurement."""

    def __init__(self, file: Path, *, fresh: bool, only_kept: bool) -> None:
        self._file, self._only_kept = file, only_kept
        self._rows: dict[str, Any] = {} if fresh or not file.is_file() else json.loads(file.read_text())

    def row(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return the result of this name, measured now if it is not kept; None if nothing may be measured."""
        if name not in self._rows and not self._only_kept:
            self._rows[name] = measure()
            self._file.parent.mkdir(exist_ok=True)
            self._file.write_text(json.dumps(self._rows, indent=1))
        return self._rows.get(name)


def _tracked(work: list[Any], what: str) -> Any:
    console = Console(stderr=True)
    return track(work, what, console=console, disable=not console.is_terminal)


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
    return section(title, ["population", *(f"`{name}`" for name in strategies)], body, paragraph(note))


def _gpus(results: list[Result], strategies: list[str]) -> str:
    body = []
    for name, of in _by_population(results).items():
        first = next(iter(of.values()))
        cells = [_gpu_cell(of[strategy]) for strategy in strategies if strategy in of]
        body.append([name, f"{first.adapters:,}", f"{first.rate:.1f}", str(first.bound), *cells])
    header = ["population", "adapters", "requests/s", "lower bound", *(f"`{name}`" for name in strategies)]
    notes = [_summary(results), paragraph(GPUS_NOTE), LEGEND, paragraph(EXAMPLE_NOTE)]
    return section("GPUs by strategy", header, body, "\n\n".join(notes))


def _summary(results: list[Result]) -> str:
    """Summarise the table of GPUs in sentences."""
    by_population = _by_population(results)
    packs = [of["pack"] for of in by_population.values() if "pack" in of]
    near = sum(p.gpus - p.bound <= max(1, 0.1 * p.bound) for p in packs)
    first = (
        f"On {len(packs)} populations, `pack` needs {sum(p.gpus for p in packs)} GPUs in total; the lower bounds add "
        f"up to {sum(p.bound for p in packs)}. {near} of its plans are within one GPU or 10 % of the bound; "
        f"{sum(not p.holds for p in packs)} fail with a further seed. Compared with the other strategies:"
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
            f"- `{strategy}`: `pack` needs fewer GPUs on {fewer} populations, more on {more}, and {100 * saved:.0f} % "
            f"fewer in total; before repair, `{strategy}` overloads adapters on {starving}"
        )
    return "\n".join([paragraph(first), "", *lines])


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

    note = """Of the verified plans: mean ITL in ms / p99 of ITL of the worst server in ms / p99 of TTFT of the worst
    server in s. A plan with fewer GPUs puts more load on each."""
    return _by_strategy("Latency by strategy", results, strategies, cell, note)


def _seconds(results: list[Result], strategies: list[str]) -> str:
    note = "Time to make the verified plan with its forecasts. The search stops after a minute."
    return _by_strategy("Planning time in seconds", results, strategies, lambda result: f"{result.seconds:.1f}", note)


def _scaling(rows: list[dict[str, Any]]) -> str:
    header = [
        "adapters",
        "requests/s",
        "lower bound",
        "GPUs",
        "verified",
        "search, s",
        "total, s",
        "twin runs",
        "peak memory, MiB",
    ]
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
    note = """Plans by `pack` for fleets with Zipf popularity (exponent 0.9), ranks 8, 16 and 32, and 0.1 requests/s per
    adapter. The total includes verification and forecasts."""
    return section("Scaling with the number of adapters", header, body, paragraph(note))


def _replanning(rows: list[Replanned]) -> str:
    header = [
        "population",
        "draw",
        "GPUs before",
        "GPUs re-planned",
        "GPUs of a new plan",
        "moves",
        "moves, of adapters",
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
    note = """A tenth of the adapters change their rate, each by a factor between a half and two, and `replan` adapts
    the running plan, which `pack` has made. The fifth column is what a new plan for the changed rates would need."""
    return section("Re-planning after a change of rates", header, body, paragraph(note))


if __name__ == "__main__":
    main()
