"""adaptwin sweep: a design -> a folder of twin runs to learn from."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from adaptwin.cli.options import AsJson
from adaptwin.cli.progress import progress_bar
from adaptwin.dataset.dataset import Dataset
from adaptwin.dataset.design import Design, load_design, shipped_designs
from adaptwin.dataset.sweep import sweep
from adaptwin.errors import SpecError
from adaptwin.report.sweep import summary, sweep_table


def sweep_command(
    design: Annotated[str, typer.Argument(help=f"Design file (YAML), or one of {', '.join(shipped_designs())}.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the runs; one that holds some of them is completed.")],
    profile: Annotated[
        list[str] | None, typer.Option("--profile", help="Profile to use instead of the design's. May be repeated.")
    ] = None,
    mixes: Annotated[int | None, typer.Option(min=1, help="Number of mixes to draw; by default the design's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything drawn; by default the design's.")] = None,
    jobs: Annotated[int, typer.Option(help="Number of processes; -1 starts one per core.")] = -1,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Where the runs are played.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster: auto, or host:6379 of its head.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Play all mixes of a design on the twin, and keep one row per run as Parquet.

    A sweep that was stopped, or killed, goes on where it was when the same command is given again.
    """
    described = _design(design, profiles=tuple(profile) if profile else None, mixes=mixes, seed=seed)
    started = time.perf_counter()
    try:
        with progress_bar() as progress:
            dataset = sweep(described, out, jobs=jobs, engine=engine, address=address, progress=progress)
    except KeyboardInterrupt:
        print(f"adaptwin: stopped; the same command goes on with what is missing in {out}", file=sys.stderr)
        raise
    seconds = time.perf_counter() - started
    if as_json:
        print(json.dumps(_dataset_as_data(dataset, out), indent=1))
    else:
        Console().print(sweep_table(dataset))
    done = Text(f"{len(dataset.rows):,} runs in {out} after {seconds:,.0f} s")
    Console(stderr=True).print(done, soft_wrap=True)


def _design(name: str, **given: object) -> Design:
    """The design with the fields given on the command line."""
    design = load_design(name)
    given = {field: value for field, value in given.items() if value is not None}
    if "mixes" in given and design.sampler == "grid":
        raise SpecError(f"{given['mixes']} cannot be had of {name}: a grid has as many mixes as it has", "--mixes")
    return Design(**{**design.model_dump(), **given})


def _dataset_as_data(dataset: Dataset, out: Path) -> dict[str, object]:
    rows = dataset.rows
    return {
        "folder": str(out),
        "design": dataset.design.file_form(),
        "runs": len(rows),
        **summary(rows),
    }
