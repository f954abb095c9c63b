"""How planning scales with the number of adapters: time, memory and GPUs, each size in a process of its own.

python benchmarks/placement_scaling.py 1000    # plans a fleet of this size and prints its figures as JSON
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptwin import load_profile, make_plan
from adaptwin.workload.sources.synthetic import synthesize
from measured_page import paragraph, section

SCALED_PROFILE = "h100-64gb-llama-3.1-8b-instruct"


def plan_one(adapters: int) -> dict[str, Any]:
    """Plan a fleet of this size in a process of its own, and return its GPUs, time and memory."""
    command = [sys.executable, __file__, str(adapters)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _plan_here(adapters: int) -> dict[str, Any]:
    fleet = synthesize(adapters=adapters, rate=0.1 * adapters, ranks=(8, 16, 32), popularity="zipf:0.9")
    profile = load_profile(SCALED_PROFILE)
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


def scaling_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the section about scaling."""
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


if __name__ == "__main__":
    print(json.dumps(_plan_here(int(sys.argv[1]))))
