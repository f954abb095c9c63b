"""Placement: every strategy on every population with several settings, what each decision gains, and re-planning.

Writes docs/measured/placement.md. Results are kept in benchmarks/results/placement.json, one for each population,
strategy and settings, so that a run that was stopped goes on where it was. All parts take about an hour and a half on
two cores:

    python benchmarks/placement.py --parts ablation,hot               # measures these; the rest is from earlier calls
    python benchmarks/placement.py --only "hot adapter" --parts tables  # a few populations; prints, writes nothing
"""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from adaptwin import load_profile
from adaptwin.placement.strategies.registry import STRATEGIES
from measured_page import IMAGES, PAGES, cores, generated_by, paragraph
from placement_confidence import CONFIDENT, Stated, confidence_table, stated
from placement_figures import gpus_by_strategy, scaling
from placement_hot import hot
from placement_judge import Result, judge
from placement_least_loaded import NEAR, mixes_ranks, nearness, with_equal_ranks
from placement_replanning import Replanned, replanned, replanning_table
from placement_scaling import plan_one, scaling_table
from placement_settings import ABLATION, SETTINGS_OF_TABLES, ablation, settings_named
from placement_tables import gpus, latencies, seconds, totals
from populations import Population, hot_populations, populations

RESULTS = Path(__file__).resolve().parent / "results" / "placement.json"
PAGE = PAGES / "placement.md"
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
REPLANNED = ("the example", "high rates, ranks 8/16, 256", "low rates, ranks 8/16/32, 1280", "Azure x10, 1280")
PARTS = ("tables", "ablation", "hot", "confidence", "scaling", "replanning")

WHAT = """This page compares `pack`, the strategy that plans use by default, with the other placement strategies: GPUs,
latency and planning time on many fleets of adapters, with the same server settings for all. It also shows how many GPUs
each decision about the settings saves, what merged weights save, how often plans hold with a stated probability, how
planning scales, and what re-planning changes."""

HOW = f"""All plans are for Llama-3.1-8B on an H100 with 64 GB, with the shipped profile and an hour of traffic. They
were made on {cores()}. [How to choose an objective](../how-to/objectives.md) shows how to make a
plan, [How planning works](../explanation/planning.md) explains what `pack` does, and the
[glossary](../reference/glossary.md) explains the terms."""

HEAD = f"# Placement strategies compared\n\n{paragraph(WHAT)}\n\n{paragraph(HOW)}"
END = generated_by("placement", after="a change to planning, the twin, the shipped profiles or the shipped surrogates")


def main() -> None:
    """Measure what the arguments select, print the page and write it."""
    arguments = _arguments()
    chosen = [p for p in populations(arguments.largest) if not arguments.only or arguments.only in p.name]
    measure = _Measure(
        _Kept(RESULTS, fresh=arguments.fresh), () if arguments.kept else arguments.parts.split(","), chosen
    )
    strategies = arguments.strategies.split(",")
    results, equal = measure.tables(strategies), measure.equal_ranks()
    sizes = [int(size) for size in arguments.sizes.split(",") if size]
    scaled = measure.scaling(sizes)
    parts = {
        "tables": [
            *([totals(results, strategies)] if results else []),
            *(
                gpus(results, strategies, name) + _between(name, results, equal)
                for name in SETTINGS_OF_TABLES
                if results
            ),
            *([latencies(results, strategies), seconds(results, strategies)] if results else []),
        ],
        "ablation": [ablation(rows) for rows in [measure.ablation()] if rows],
        "hot": [hot(*pair) for pair in [measure.hot()] if pair[0]],
        "confidence": [confidence_table(rows) for rows in [measure.confidence()] if rows],
        "scaling": [
            scaling_table(scaled)
            + "\n\n![Time and memory of planning by number of adapters](../images/placement-scaling.png)"
            for _ in scaled[:1]
        ],
        "replanning": [replanning_table(rows) for rows in [measure.replanning()] if rows],
    }
    print(page := "\n\n".join([HEAD, *(text for texts in parts.values() for text in texts), END]))
    if arguments.no_page or arguments.only:
        return
    if missing := [name for name, texts in parts.items() if not texts]:
        raise SystemExit(f"the page is not written: nothing is measured yet of {', '.join(missing)} (--parts)")
    PAGE.write_text(page + "\n", encoding="utf-8")
    gpus_by_strategy([row._asdict() for row in results if row.settings == "chosen"], IMAGES / "placement.png")
    scaling(scaled, IMAGES / "placement-scaling.png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="parts of the page to measure, separated by commas")
    parser.add_argument("--largest", type=int, default=10_000, help="adapters of the largest population")
    parser.add_argument("--only", help="only populations whose name contains this; the page is not written")
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="strategies to run, separated by commas")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of adapters for the scaling table")
    parser.add_argument("--no-page", action="store_true", help="do not write docs/measured/placement.md")
    parser.add_argument(
        "--fresh", action="store_true", help="measure these parts anew, whatever earlier calls measured"
    )
    parser.add_argument("--kept", action="store_true", help="measure nothing; write the page from earlier results")
    arguments = parser.parse_args()
    for part in arguments.parts.split(","):
        if part not in PARTS:
            parser.error(f"--parts: {part!r} is not one of {', '.join(PARTS)}")
    return arguments


def _between(settings: str, results: list[Result], equal: list[Result]) -> str:
    """Return what follows the table of the chosen settings: the picture, and why `least_loaded` comes near."""
    if settings != "chosen":
        return ""
    picture = "![GPUs of each strategy's verified plan, by population, with the lower bound](../images/placement.png)"
    return "\n\n".join(["", *filter(None, [picture, nearness(results, equal)])])


class _Kept:
    """Results by name, kept in a file that is written after every measurement."""

    def __init__(self, file: Path, *, fresh: bool) -> None:
        self._file, self._fresh = file, fresh
        self._rows: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
        self._new: set[str] = set()

    def row(self, name: str, measure: Callable[[], Any] | None) -> Any:
        """Return the result of this name, measured now if there is none, or if all are to be measured anew.

        Without `measure`, it is the kept one, or None.
        """
        known = name in self._rows and (not self._fresh or name in self._new)
        if measure and not known:
            self._rows[name] = measure()
            self._new.add(name)
            self._file.parent.mkdir(exist_ok=True)
            self._file.write_text(json.dumps(self._rows, indent=1))
        return self._rows.get(name)


class _Measure:
    """Measurements of the parts of the page; parts that are not to be measured have what earlier calls kept."""

    def __init__(self, kept: _Kept, parts: Iterable[str], chosen: list[Population]) -> None:
        self._kept, self._parts, self._chosen = kept, set(parts), chosen
        self._profile = load_profile(PROFILE)

    def tables(self, strategies: list[str]) -> list[Result]:
        """Return the results of these strategies on all populations with the settings of the tables."""
        cells = [(name, p, s) for name in SETTINGS_OF_TABLES for p in self._chosen for s in strategies]
        return self._judged("tables", cells)

    def equal_ranks(self) -> list[Result]:
        """Return the results of `pack` and `least_loaded` on populations whose ranks are made equal."""
        mixed = [with_equal_ranks(p) for p in self._chosen if mixes_ranks(p.workload)]
        return self._judged("tables", [("chosen", p, s) for p in mixed for s in NEAR], "equal ranks | ")

    def ablation(self) -> list[Result]:
        """Return the results of `pack` on all populations, decision by decision."""
        return self._judged("ablation", [(name, p, "pack") for name in ABLATION for p in self._chosen])

    def hot(self) -> tuple[list[Result], list[Result]]:
        """Return the results of `pack` on fleets with a very hot adapter, without merged weights and with them."""
        cells = [("chosen", population, "pack") for population in hot_populations()]
        return self._judged("hot", cells), self._judged("hot", cells, "merged | ", allow_merged=True)

    def confidence(self) -> list[Stated]:
        """Return the stated probabilities of some plans, and how often these held in fresh hours."""
        chosen = [population for population in self._chosen if population.name in CONFIDENT]
        rows = [
            self._row("confidence", f"confidence | {p.name}", lambda p=p: stated(self._profile, p)._asdict())
            for p in _tracked(chosen, "confidence")
        ]
        return [Stated(**row) for row in rows if row]

    def scaling(self, sizes: list[int]) -> list[dict[str, Any]]:
        """Return the figures of plans for fleets of these sizes."""
        rows = [
            self._row("scaling", f"scaling | {size}", lambda size=size: plan_one(size))
            for size in _tracked(sizes, "scaling")
        ]
        return [row for row in rows if row]

    def replanning(self) -> list[Replanned]:
        """Return the results of re-planning some populations."""
        chosen = [population for population in self._chosen if population.name in REPLANNED]
        rows = [
            self._row(
                "replanning",
                f"replanned | {population.name}",
                lambda p=population: [row._asdict() for row in replanned(self._profile, p)],
            )
            for population in _tracked(chosen, "re-planning")
        ]
        return [Replanned(**row) for found in rows for row in found or []]

    def _judged(
        self, part: str, cells: list[tuple[str, Population, str]], kind: str = "", *, allow_merged: bool = False
    ) -> list[Result]:
        """Return a result for each name of settings, population and strategy."""

        def measured(name: str, population: Population, strategy: str) -> dict[str, Any]:
            settings = settings_named(name, self._profile)
            return judge(self._profile, population, strategy, settings, allow_merged=allow_merged)._asdict()

        rows = [
            self._row(part, f"{kind}{name} | {p.name} | {s}", lambda cell=(name, p, s): measured(*cell))
            for name, p, s in _tracked(cells, part)
        ]
        return [Result(**row) for row in rows if row]

    def _row(self, part: str, name: str, measure: Callable[[], Any]) -> Any:
        return self._kept.row(name, measure if part in self._parts else None)


def _tracked(work: list[Any], what: str) -> Any:
    console = Console(stderr=True)
    return track(work, what, console=console, disable=not console.is_terminal)


if __name__ == "__main__":
    main()
