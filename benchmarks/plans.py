"""How few GPUs: every strategy on the same fleets, each plan verified with a seed that no planner saw."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adaptwin import Workload, load_profile, make_plan, verify
from adaptwin.placement.fleet import read_fleet
from adaptwin.placement.make_plan import STRATEGIES
from adaptwin.workload.deal import synthesize
from adaptwin.workload.trace import workload_from_trace

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
AZURE = PROJECT.parent / "shared" / "data" / "traces" / "azure_2023_conv.csv"
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
FRESH_SEED = 20_000


def fleets() -> Iterator[tuple[str, Workload]]:
    """The fleets to plan."""
    yield "example", read_fleet(PROJECT / "examples" / "fleet.yaml").workload
    for adapters, rate in ((64, 20.0), (200, 60.0), (400, 40.0)):
        yield f"zipf {adapters}", synthesize(adapters=adapters, rate=rate, ranks=(8, 16, 32), popularity="zipf:0.9")
    if AZURE.is_file():
        for scale in (1.0, 4.0):
            made = workload_from_trace(AZURE, adapters=128, ranks=(8, 16, 32), rate_scale=scale)
            yield f"azure x{scale:g}", made
    else:
        print(f"without the Azure fleets: the trace is not here ({AZURE})")


def main() -> None:
    """Plan every fleet with every strategy and print the table."""
    profile = load_profile(PROFILE)
    table = Table(title="GPUs used (planning seconds)", title_justify="left")
    for header in ("fleet", "adapters", "req/s", "bound", *STRATEGIES):
        table.add_column(header, justify="left" if header == "fleet" else "right")
    rows = []
    for name, workload in fleets():
        cells, bound = [], 0
        for strategy in STRATEGIES:
            started = time.perf_counter()
            plan = make_plan(profile, workload, strategy=strategy)
            seconds = time.perf_counter() - started
            holds, bound = verify(plan, seed=FRESH_SEED).ok, plan.lower_bound
            cells.append(f"{plan.gpus}{'' if holds else '!'} ({seconds:.1f})")
            rows.append({"fleet": name, "strategy": strategy, "gpus": plan.gpus, "holds": holds, "seconds": seconds})
        table.add_row(name, str(len(workload)), f"{workload.rate:.1f}", str(bound), *cells)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "plans.json").write_text(json.dumps(rows, indent=1))
    Console(width=100).print(table)
    print("! marks a plan that fails with a seed no planner saw.")


if __name__ == "__main__":
    main()
