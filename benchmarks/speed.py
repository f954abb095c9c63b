"""Speed of the twin: simulated hours of many kinds, many runs at once, start-up, and the paper's own twin.

Writes docs/measured/speed.md, and prints that page. Wall time is that of a whole `simulate` call - arrivals drawn anew,
the engine, statistics and verdicts - over several seeds, after one call that compiles or loads the kernel. Each case
has a process of its own, whose peak memory is measured.
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

from adaptwin import Adapter, Profile, Run, Server, Workload, load_profile, simulate, simulate_many
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.twin.kernel.play import play
from adaptwin.twin.scenario import make_scenario
from h100_runs import DATA, MODELS, PROJECT, measured_runs
from measured_page import PAGES, cores, generated_by, paragraph, section

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
RESULTS = Path(__file__).resolve().parent / "results"
PAGE = PAGES / "speed.md"
COMMAND = ("simulate", str(PROJECT / "examples" / "fleet.yaml"), "--max-loras", "32")
MANY_RUNS, MANY_REPEATS = 120, 5  # runs in a call of `simulate_many`, and calls that are timed
STARTS = 5  # timed starts with the machine code in the cache
NOTABLE_RATIO = 200  # of the paper's seconds to ours: runs below it are counted

WHAT = """This page shows how long the twin takes to simulate an hour of traffic on one server, how many runs it
simulates per second, how long the command line takes to start, and how the twin compares in speed with the paper's."""

HOW = f"""Measured on a machine with {cores()}; other machines give other figures. Figures are medians. In brackets: the
lower and the upper quartile. The [glossary](../reference/glossary.md) explains the terms."""

HEAD = f"# Speed of the twin\n\n{paragraph(WHAT)}\n\n{paragraph(HOW)}"
END = generated_by("bench", after="a change to the twin or to the shipped profiles")


class Case(NamedTuple):
    """A server and its load."""

    adapters: int
    rate: float  # requests per second in total
    max_loras: int
    target: float | None  # times real time that the twin should reach


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
    """Measure everything, print the page and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=11, help="seeds of each simulated hour")
    parser.add_argument("--no-page", action="store_true", help="do not write docs/measured/speed.md")
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
    sections = [
        _hours(results["hours"], arguments.repeats),
        _runs_per_second(results["runs_per_second"]),
        _startup(results["startup"]),
        _paper(results["paper"]),
    ]
    page = "\n\n".join([HEAD, *sections, END])
    print(page)
    if not arguments.no_page:
        PAGE.write_text(page + "\n", encoding="utf-8")


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Time a case with several seeds, in this process."""
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
    engine = statistics.median(engines)
    return {
        "arrivals": statistics.median(arrivals),
        "wall_ms": [1e3 * wall for wall in walls],
        "engine_ms": [1e3 * engine for engine in engines],
        "times_real_time": workload.duration / statistics.median(walls),
        "steps_per_second": statistics.median(steps) / engine,
        "peak_mb": peak_mb,
    }


def runs_per_second(name: str) -> dict[str, list[float]]:
    """Measure the runs per second of `simulate_many`, several times, on one core and on all of them."""
    profile, server, workload = load_profile(PROFILE), _server(CASES[name]), _workload(CASES[name])
    cases = [(profile, server, workload.model_copy(update={"seed": seed})) for seed in range(MANY_RUNS)]
    rates: dict[str, list[float]] = {}
    for label, jobs in (("one core", 1), ("all cores", -1)):
        simulate_many(cases[:8], jobs=jobs)
        seconds = [_seconds_of(lambda: simulate_many(cases, jobs=jobs)) for _ in range(MANY_REPEATS)]  # noqa: B023
        rates[label] = [MANY_RUNS / one for one in seconds]
    return rates


def startup() -> dict[str, list[float]]:
    """Measure the seconds of a whole command, with an empty cache of machine code, and then with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        seconds = [_command_seconds(cache) for _ in range(1 + STARTS)]
    return {"first": seconds[:1], "later": seconds[1:]}


def _command_seconds(cache: str) -> float:
    started = time.perf_counter()
    command = [sys.executable, "-m", "adaptwin", *COMMAND]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "NUMBA_CACHE_DIR": cache})
    return time.perf_counter() - started


def against_the_paper() -> list[dict[str, Any]]:
    """Measure our seconds for each run of the paper's twin, whose seconds are published; none without that data."""
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
    """Simulate a run once, without scrapes of the metrics, as the paper's twin does."""
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


def _in_child(name: str, repeats: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", name, "--repeats", str(repeats)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _hours(rows: dict[str, dict[str, Any]], repeats: int) -> str:
    body = []
    for name, row in rows.items():
        case = CASES[name]
        body.append(
            [
                name,
                str(case.adapters),
                f"{case.rate:.4g}",
                str(case.max_loras),
                f"{row['arrivals']:,.0f}",
                _median(row["wall_ms"], ",.1f"),
                _median(row["engine_ms"], ",.1f"),
                f"{row['times_real_time']:,.0f}",
                f"{case.target:,.0f}" if case.target else "",
                f"{row['steps_per_second'] / 1e6:.1f}",
                f"{row['peak_mb']:.0f}",
            ]
        )
    header = [
        "scenario",
        "adapters",
        "requests/s",
        "slots",
        "arrivals",
        "wall time, ms",
        "engine, ms",
        "times real time",
        "target",
        "million steps/s",
        "peak memory, MiB",
    ]
    note = f"""An hour on a server with Llama-3.1-8B on an H100 with 64 GB, over {repeats} seeds, on one core. Wall time
    is that of a whole `simulate` call: drawing arrivals, the engine, statistics and verdicts. The target is the speed
    that the project aims for, in times real time. Peak memory is that of the process, Python included."""
    return section("One simulated hour", header, body, paragraph(note))


def _runs_per_second(rates: dict[str, list[float]]) -> str:
    body = [[label, _median(values, ",.0f")] for label, values in rates.items()]
    note = f"""Runs of the scenario "moderate" with different seeds, {MANY_RUNS} in one call of `simulate_many`, over
    {MANY_REPEATS} calls."""
    return section("Many runs at once", ["on", "runs per second"], body, paragraph(note))


def _startup(seconds: dict[str, list[float]]) -> str:
    body = [
        ["first start, which compiles the twin", _median(seconds["first"], ".1f")],
        ["later starts", _median(seconds["later"], ".2f")],
    ]
    note = f"""The whole command `adaptwin simulate examples/fleet.yaml --max-loras 32`. Machine code is kept in a
    cache, so only the first start after an installation compiles; later starts are over {STARTS} repeats."""
    return section("Start of the command line", ["start", "seconds"], body, paragraph(note))


def _paper(rows: list[dict[str, Any]]) -> str:
    title = "Comparison with the paper's twin"
    if not rows:
        return f"## {title}\n\nNot measured: the published figures of the paper's twin are not beside the project."
    ratios = [row["paper_s"] / row["ours_s"] for row in rows]
    measured = (
        ("the paper's twin, s", [row["paper_s"] for row in rows], ",.2f"),
        ("adaptwin, ms", [1e3 * row["ours_s"] for row in rows], ",.1f"),
        ("ratio of the two", ratios, ",.0f"),
    )
    body = [[name, _median(of, form), f"{min(of):{form}} to {max(of):{form}}"] for name, of, form in measured]
    note = f"""Wall time of the {len(rows)} runs for which the paper's authors publish that of their twin. Theirs was
    measured on their machine; ours is the fastest of three calls on this one, without scrapes of the metrics. The ratio
    is under {NOTABLE_RATIO} in {sum(ratio < NOTABLE_RATIO for ratio in ratios)} runs."""
    return section(title, ["wall time", "median", "smallest and largest"], body, paragraph(note))


def _median(values: list[float], form: str) -> str:
    """Write the median of some values, and their quartiles in brackets."""
    middle = f"{statistics.median(values):{form}}"
    if len(values) == 1:
        return middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    main()
