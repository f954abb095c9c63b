"""How fast the twin is: simulated hours of many kinds, runs per second, start-up, and the paper's own twin.

Wall time is that of a whole `simulate` call - arrivals drawn afresh, the engine, statistics and verdicts - as a median
over seeds, after one call that compiles or loads the kernel. Each case has a process of its own, and peak memory is
that process's.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from rich.console import Console
from rich.table import Table

from adaptwin import Adapter, Profile, Run, Server, Workload, load_profile, simulate, simulate_many
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.twin.kernel.play import play
from adaptwin.twin.scenario import make_scenario
from h100_runs import DATA, MODELS, measured_runs

PROJECT = Path(__file__).resolve().parents[1]
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
RESULTS = PROJECT / "benchmarks" / "results"
COMMAND = ("simulate", str(PROJECT / "examples" / "fleet.yaml"), "--max-loras", "32")


class Case(NamedTuple):
    """A server and its load."""

    adapters: int
    rate: float  # requests per second in total
    max_loras: int
    target: float | None  # times real time


CASES = {
    "light": Case(8, 0.5, 8, 500_000),
    "moderate": Case(128, 7.5, 128, 500_000),
    "ten a second": Case(96, 10.0, 96, 500_000),
    "slot-limited": Case(320, 18.7, 16, 200_000),
    "near saturation": Case(96, 30.0, 32, 200_000),
    "deep overload": Case(192, 179.0, 64, 60_000),
    "a million": Case(192, 1e6 / 3600, 64, None),
}


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=11)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(CASES[arguments.case], arguments.repeats)))
        return
    results: dict[str, Any] = {
        "hours": {name: _in_child(name, arguments.repeats) for name in CASES},
        "runs_per_second": runs_per_second("moderate"),
        "startup": startup(),
        "paper": against_the_paper(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(results, indent=1))
    console = Console(width=120)
    console.print(_hours(results["hours"]))
    console.print(
        "simulate_many, moderate: {one:.0f} runs/s on one core, {all:.0f} on {cores}".format(
            **results["runs_per_second"]
        )
    )
    console.print("adaptwin simulate: {cold:.1f} s with compilation, {warm:.2f} s later".format(**results["startup"]))
    console.print(_paper(results["paper"]))


def measure(case: Case, repeats: int) -> dict[str, float]:
    """Medians over seeds of one case."""
    profile, server, workload = load_profile(PROFILE), _server(case), _workload(case)
    simulate(profile, server, workload)
    walls, engines, steps, arrivals = [], [], [], []
    for seed in range(1, repeats + 1):
        started = time.perf_counter()
        run = simulate(profile, server, workload, seed=seed)
        walls.append(time.perf_counter() - started)
        steps.append(run.steps)
        arrivals.append(run.arrived)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for seed in range(1, repeats + 1):
        scenario = make_scenario(profile, server, workload, seed=seed)
        started = time.perf_counter()
        play(scenario)
        engines.append(time.perf_counter() - started)
    wall, engine = statistics.median(walls), statistics.median(engines)
    return {
        "arrivals": statistics.median(arrivals),
        "wall_ms": 1e3 * wall,
        "engine_ms": 1e3 * engine,
        "times_real_time": workload.duration / wall,
        "steps_per_second": statistics.median(steps) / engine,
        "peak_mb": peak_mb,
    }


def runs_per_second(name: str, runs: int = 120) -> dict[str, float]:
    """Runs per second of `simulate_many` on one core and on all of them."""
    profile, server, workload = load_profile(PROFILE), _server(CASES[name]), _workload(CASES[name])
    cases = [(profile, server, workload.model_copy(update={"seed": seed})) for seed in range(runs)]
    rates = {}
    for jobs in (1, -1):
        simulate_many(cases[:8], jobs=jobs)
        started = time.perf_counter()
        simulate_many(cases, jobs=jobs)
        rates[jobs] = runs / (time.perf_counter() - started)
    return {"one": rates[1], "all": rates[-1], "cores": os.cpu_count() or 1}


def startup(repeats: int = 5) -> dict[str, float]:
    """Seconds of a whole command, with an empty cache of machine code and with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        seconds = [_command_seconds(cache) for _ in range(1 + repeats)]
    return {"cold": seconds[0], "warm": statistics.median(seconds[1:])}


def _command_seconds(cache: str) -> float:
    started = time.perf_counter()
    command = [sys.executable, "-c", "from adaptwin.cli.main import main; main()", *COMMAND]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "NUMBA_CACHE_DIR": cache})
    return time.perf_counter() - started


def against_the_paper() -> list[dict[str, Any]]:
    """The paper's wall seconds over ours for each of its runs that we can play; none where its figures are absent."""
    if not DATA.is_dir():
        return []
    paper = pl.read_parquet(DATA / "paper_twin_predictions.parquet")
    seconds = dict(zip(paper["run_id"], paper["dt_duration"], strict=True))
    rows = []
    for model, name in MODELS.items():
        profile = load_profile(name)
        for run in measured_runs(model, "all"):
            if run.name in seconds:
                ours = min(_seconds_of(lambda: _played(profile, run)) for _ in range(3))  # noqa: B023 (called at once)
                rows.append({"run": run.name, "paper_s": seconds[run.name], "ours_s": ours})
    return rows


def _played(profile: Profile, run: MeasuredRun) -> Run:
    """The run played once; as in the paper's twin nobody scrapes the metrics."""
    return simulate(profile, run.server, run.workload, max_in_flight=run.max_in_flight)


def _seconds_of(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _server(case: Case) -> Server:
    return Server(max_loras=case.max_loras, max_lora_rank=16, max_cpu_loras=case.adapters, max_num_seqs=2048)


def _workload(case: Case) -> Workload:
    rate = case.rate / case.adapters
    return Workload([Adapter(name=f"a{i}", rank=(8, 16)[i % 2], rate=rate) for i in range(case.adapters)])


def _in_child(name: str, repeats: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--case", name, "--repeats", str(repeats)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _hours(rows: dict[str, dict[str, float]]) -> Table:
    table = Table(title="One simulated hour", title_justify="left")
    table.add_column("scenario")
    headers = (
        "adapters",
        "req/s",
        "slots",
        "arrivals",
        "wall ms",
        "engine ms",
        "x real time",
        "target",
        "steps/s",
        "MB",
    )
    for header in headers:
        table.add_column(header, justify="right")
    for name, row in rows.items():
        case = CASES[name]
        table.add_row(
            name,
            str(case.adapters),
            f"{case.rate:.4g}",
            str(case.max_loras),
            f"{row['arrivals']:,.0f}",
            f"{row['wall_ms']:.1f}",
            f"{row['engine_ms']:.1f}",
            f"{row['times_real_time']:,.0f}",
            f"{case.target:,.0f}" if case.target else "",
            f"{row['steps_per_second'] / 1e6:.1f} M",
            f"{row['peak_mb']:.0f}",
        )
    return table


def _paper(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return f"no comparison with the paper's twin: its figures are not here: {DATA}"
    ratios = [row["paper_s"] / row["ours_s"] for row in rows]
    least = min(range(len(rows)), key=ratios.__getitem__)
    worst = rows[least]
    return (
        f"the paper's twin takes {statistics.median(ratios):,.0f} times as long in the median of {len(rows)} runs, "
        f"and {ratios[least]:,.0f} times at the least: {worst['paper_s']:.2f} s to {1e3 * worst['ours_s']:.1f} ms in "
        f"{worst['run']}; {sum(ratio < 200 for ratio in ratios)} runs are under 200 times"
    )


if __name__ == "__main__":
    main()
