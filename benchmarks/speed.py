"""How fast the twin is: simulated hours of five kinds, each in a process of its own.

Wall time is that of a whole `simulate` call - arrivals drawn afresh, the engine, statistics and verdicts - as a median
over seeds, after one call that compiles or loads the kernel. Peak memory is the process's.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from adaptwin import Adapter, Server, Workload, load_profile, simulate
from adaptwin.twin.kernel import play
from adaptwin.twin.scenario import make_scenario

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
RESULTS = Path(__file__).resolve().parent / "results"


class Case(NamedTuple):
    """A server and its load."""

    adapters: int
    rate: float  # requests per second in total
    max_loras: int


CASES = {
    "light": Case(8, 0.5, 8),
    "moderate": Case(128, 7.5, 128),
    "slot-limited": Case(320, 18.7, 16),
    "near saturation": Case(96, 30.0, 32),
    "deep overload": Case(192, 179.0, 64),
}


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(CASES[arguments.case], arguments.repeats)))
        return
    rows = {name: _in_child(name, arguments.repeats) for name in CASES}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(rows, indent=1))
    Console(width=120).print(_table(rows))


def measure(case: Case, repeats: int) -> dict[str, float]:
    """Medians over seeds of one case."""
    profile = load_profile(PROFILE)
    names = [f"a{i}" for i in range(case.adapters)]
    workload = Workload(
        adapters=[Adapter(name=n, rank=(8, 16)[i % 2], rate=case.rate / case.adapters) for i, n in enumerate(names)]
    )
    server = Server(max_loras=case.max_loras, max_lora_rank=16, max_cpu_loras=case.adapters, max_num_seqs=2048)
    simulate(profile, server, workload)
    walls, engines, steps, arrivals = [], [], [], []
    for seed in range(1, repeats + 1):
        started = time.perf_counter()
        run = simulate(profile, server, workload, seed=seed)
        walls.append(time.perf_counter() - started)
        scenario = make_scenario(profile, server, workload, seed=seed)
        started = time.perf_counter()
        play(scenario)
        engines.append(time.perf_counter() - started)
        steps.append(run.steps)
        arrivals.append(run.arrived)
    wall, engine = statistics.median(walls), statistics.median(engines)
    return {
        "arrivals": statistics.median(arrivals),
        "wall_ms": 1e3 * wall,
        "engine_ms": 1e3 * engine,
        "times_real_time": workload.duration / wall,
        "steps_per_second": statistics.median(steps) / engine,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _in_child(name: str, repeats: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--case", name, "--repeats", str(repeats)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _table(rows: dict[str, dict[str, float]]) -> Table:
    table = Table(title="One simulated hour", title_justify="left")
    table.add_column("scenario")
    for header in (
        "adapters",
        "req/s",
        "slots",
        "arrivals",
        "wall ms",
        "engine ms",
        "x real time",
        "steps/s",
        "peak MB",
    ):
        table.add_column(header, justify="right")
    for name, row in rows.items():
        case = CASES[name]
        table.add_row(
            name,
            str(case.adapters),
            f"{case.rate:g}",
            str(case.max_loras),
            f"{row['arrivals']:,.0f}",
            f"{row['wall_ms']:.1f}",
            f"{row['engine_ms']:.1f}",
            f"{row['times_real_time']:,.0f}",
            f"{row['steps_per_second'] / 1e6:.1f} M",
            f"{row['peak_mb']:.0f}",
        )
    return table


if __name__ == "__main__":
    main()
