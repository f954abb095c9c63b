"""The paper beside adaptwin: every claim and table of arXiv 2602.24044 that can be read, on the same runs and fleets.

Writes docs/paper.md, and prints that page. The real runs and the Azure trace must lie beside the project; without them
there is nothing to compare. It takes under ten minutes on two cores. What was measured is kept in
benchmarks/results, for `--kept`.
"""

import argparse
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from h100_runs import PROJECT, require_data
from measured_page import IMAGES, cores, generated_by, paragraph
from paper_claims import PAPER
from paper_defects import defects_section
from paper_figures import twin_errors
from paper_fleets import paper_fleets
from paper_latency import Quick, latencies_on_fleets, latency_section
from paper_memory import memory_section
from paper_placement import Placement, placement_sections, placements
from paper_predictors import ModelRows, predicted_rows, predictor_section
from paper_runs import played_runs
from paper_slots import slot_sections
from paper_speed import Cost, speed_section, training_costs, training_section
from paper_summary import summary_section
from paper_twin import twin_sections
from populations import TRACES
from speed import against_the_paper

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = PROJECT / "docs" / "paper.md"

WHAT = f"""This page puts adaptwin beside the paper that it implements and extends, *Data-Driven Optimization of GPU
efficiency for Distributed LLM-Adapter Serving* (Agullo et al., {PAPER}): every claim and table of the paper whose
figures can be read, with what adaptwin does on the same real runs, rows and fleets. Where the paper's figure cannot be
read, or its experiment not be repeated, the page says so; where the paper is better, too."""

HOW = f"""The paper's figures are those of its abstract and of logs and tables that its authors publish; those of its
twin are computed here, run by run, from its published predictions. The real runs are of vLLM 0.8.5 on an H100 with 64
GB. adaptwin's figures were measured on a machine with {cores()}, which may have had other work to do;
[accuracy](measured/accuracy.md), [speed](measured/speed.md), [surrogate](measured/surrogate.md) and
[placement](measured/placement.md) have more of them.
The [glossary](reference/glossary.md#the-papers-symbols) joins the paper's terms to those used here."""

HEAD = f"# The paper beside adaptwin\n\n{paragraph(WHAT)}\n\n{paragraph(HOW)}"
END = generated_by(
    "paper",
    after="a change to the twin, the planner, the shipped profiles or the shipped surrogates",
    note="The measurements must lie beside the project.",
)


class Comparison(NamedTuple):
    """All that is measured for the page."""

    runs: pl.DataFrame
    seconds: list[dict[str, Any]]
    costs: dict[str, Cost]
    predicted: dict[str, ModelRows]
    placed: list[Placement]
    quick: list[Quick]


def main() -> None:
    """Measure everything, print the page and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-page", action="store_true", help="do not write docs/paper.md")
    parser.add_argument("--kept", action="store_true", help="write the page from what the last call measured")
    arguments = parser.parse_args()
    require_data()
    if not TRACES.is_dir():
        raise SystemExit(f"the traces are missing: {TRACES} is not a folder")
    kept = RESULTS / "paper.pickle"
    if not arguments.kept:
        RESULTS.mkdir(exist_ok=True)
        kept.write_bytes(pickle.dumps(measured()))
    found = pickle.loads(kept.read_bytes())  # noqa: S301 (our own)
    page = page_of(found)
    print(page)
    if not arguments.no_page:
        PAGE.write_text(page + "\n", encoding="utf-8")
        twin_errors(found.runs, IMAGES / "paper.png")


def measured() -> Comparison:
    """Measure everything."""
    started = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    say("real runs")
    runs = played_runs()
    say("speed")
    seconds = against_the_paper()
    say("training data")
    costs = training_costs()
    say("predictors")
    predicted = predicted_rows(runs)
    return Comparison(runs, seconds, costs, predicted, placements(list(paper_fleets()), say), latencies_on_fleets(say))


def page_of(found: Comparison) -> str:
    """Return the page."""
    sections: Sequence[str] = [
        summary_section(found.runs, found.seconds, found.costs, found.predicted, found.placed, found.quick),
        *twin_sections(found.runs),
        speed_section(found.seconds),
        training_section(found.costs),
        predictor_section(found.predicted),
        *placement_sections(found.placed),
        memory_section(),
        *slot_sections(found.runs),
        latency_section(found.quick),
        defects_section(found.runs, found.predicted, found.placed),
    ]
    return "\n\n".join([HEAD, *sections, END])


if __name__ == "__main__":
    main()
