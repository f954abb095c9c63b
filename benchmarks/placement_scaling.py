"""How planning scales with the number of adapters: time, memory and GPUs, each size in a process of its own.

python benchmarks/placement_scaling.py 1000              # plans a fleet of this size and prints its figures as JSON
python benchmarks/placement_scaling.py 1000 one-by-one   # the same, with no servers that are alike
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptwin import load_profile, make_plan
from adaptwin.placement.strategies import pack
from adaptwin.workload.sources.synthetic import synthesize
from measured_page import paragraph, section

SCALED_PROFILE = "h100-64gb-llama-3.1-8b-instruct"
MOST_ONE_BY_ONE = 10_000  # adapters up to which a fleet is also planned server by server
PARTS = {  # stages of planning, by the first of their steps
    "search": "search",
    "verifying": "verification",
    "measuring headroom": "forecasts",
    "comparing settings": "settings and estimate",
    "stress": "stress",
}


def plan_one(adapters: int) -> dict[str, Any]:
    """Plan a fleet of this size in a process of its own, and return its GPUs, time and memory."""
    found = _planned(str(adapters))
    alone = _planned(str(adapters), "one-by-one") if adapters <= MOST_ONE_BY_ONE else {}
    return {**found, "one_by_one": alone.get("gpus"), "one_by_one_total": alone.get("total")}


def _planned(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, __file__, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class _Clock:
    """Seconds by part of planning, from the steps that it reports."""

    def __init__(self) -> None:
        self._part, self._begun = "search", time.perf_counter()
        self.seconds = dict.fromkeys(PARTS.values(), 0.0)

    def __call__(self, step: str, *_: int) -> None:
        now = time.perf_counter()
        self.seconds[self._part] += now - self._begun
        self._begun = now
        self._part = PARTS.get(step, "search" if self._part == "search" else self._part)


def _plan_here(adapters: int, *, one_by_one: bool) -> dict[str, Any]:
    fleet = synthesize(adapters=adapters, rate=0.1 * adapters, ranks=(8, 16, 32), popularity="zipf:0.9")
    profile = load_profile(SCALED_PROFILE)
    make_plan(profile, synthesize(adapters=20, rate=2.0, ranks=(8,)))  # loads the compiled functions
    if one_by_one:
        pack.bulk_of = lambda _: None
    clock = _Clock()
    plan = make_plan(profile, fleet, progress=clock)
    clock("", 0, 0)
    return {
        "adapters": adapters,
        "rate": fleet.rate,
        "bound": plan.lower_bound,
        "estimate": plan.estimated_optimum,
        "gpus": plan.gpus,
        "verified": plan.verified,
        "simulated": plan.verified_servers or plan.gpus,
        "search": plan.search_seconds,
        "total": plan.planning_seconds,
        "parts": clock.seconds,
        "twin_runs": plan.twin_runs,
        "memory": _peak_memory(),
    }


def _peak_memory() -> float:
    """Peak memory of this process in MiB; not from `getrusage`, which includes the parent before the fork."""
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def scaling_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the section about scaling."""
    header = ["adapters", "requests/s", "lower bound", "estimate", "GPUs", "one by one", "verified, servers simulated"]
    body = [
        [
            f"{row['adapters']:,}",
            f"{row['rate']:,.0f}",
            f"{row['bound']:,}",
            "-" if row["estimate"] is None else f"{row['estimate']:,.1f}",
            f"{row['gpus']:,}",
            "-" if row["one_by_one"] is None else f"{row['one_by_one']:,} in {row['one_by_one_total']:.0f} s",
            f"{'yes' if row['verified'] else 'no'}, {row['simulated']:,}",
        ]
        for row in rows
    ]
    note = """Plans by `pack` for fleets with Zipf popularity (exponent 0.9), ranks 8, 16 and 32, and 0.1 requests/s per
    adapter. Large fleets have servers that are alike; *one by one* are plans by `pack` without them, which fill every
    server on its own."""
    seconds = [
        [
            f"{row['adapters']:,}",
            *(f"{row['parts'][part]:.1f}" for part in PARTS.values()),
            f"{row['total']:.1f}",
            f"{row['twin_runs']:,}",
            f"{row['memory']:,.0f}",
        ]
        for row in rows
    ]
    parts = ["adapters", *(f"{part}, s" for part in PARTS.values()), "total, s", "twin runs", "peak memory, MiB"]
    return "\n\n".join(
        [
            section("Scaling with the number of adapters", header, body, paragraph(note)),
            section("Seconds of planning by part", parts, seconds, paragraph("Of the same plans. " + PARTS_NOTE)),
        ]
    )


PARTS_NOTE = """The search includes the choice of settings before it and, where a repair or a second search was needed,
these; verification simulates servers with five fresh seeds; forecasts measure the headroom of each kind of server."""


if __name__ == "__main__":
    print(json.dumps(_plan_here(int(sys.argv[1]), one_by_one="one-by-one" in sys.argv)))
