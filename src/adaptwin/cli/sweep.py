"""adaptwin sweep: a design -> a folder of twin runs to learn from."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.cli.profile_options import (
    GpuNames,
    GroupSizes,
    KvCacheDtype,
    ModelName,
    QuantizationMethod,
    VllmVersion,
    profile_sources,
)
from adaptwin.dataset.shipped_designs import shipped_designs
from adaptwin.errors import SpecError
from adaptwin.interruption import keeping
from adaptwin.profile.profile_source import DerivedProfile, ProfileSource, profile_from

if TYPE_CHECKING:
    from adaptwin.dataset.dataset import Dataset
    from adaptwin.dataset.design import Design


def sweep_command(
    design: Annotated[
        str,
        typer.Argument(
            metavar="DESIGN",
            help=f"Design file (YAML), or a shipped design: {', '.join(shipped_designs())}.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FOLDER", help="Folder for the runs; runs that it already holds are kept."),
    ],
    profile: Annotated[
        list[str] | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help=f"Profile to simulate. May be repeated. {default_note('those of the design')}",
        ),
    ] = None,
    gpu: GpuNames = None,
    model: ModelName = None,
    vllm_version: VllmVersion = None,
    tensor_parallel_size: GroupSizes = None,
    quantization: QuantizationMethod = None,
    kv_cache_dtype: KvCacheDtype = None,
    mixes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=f"Number of mixes to draw. {default_note('that of the design')}"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help=f"Seed of all random draws. {default_note('the seed of the design')}"),
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="Number of processes; -1 is one per core.")] = -1,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Where the simulations run.")] = "local",
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Address of the head of a Ray cluster, such as host:6379, or auto."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate all mixes of a design, and store one row per run as Parquet.

    After an interruption, the same command resumes where the sweep stopped.
    """
    from adaptwin.cli.progress import progress_bar
    from adaptwin.dataset.sweep import sweep
    from adaptwin.report.sweep import sweep_table

    profiles = _profile_names(
        profile_sources(
            profile,
            gpu,
            model,
            vllm_version=vllm_version,
            sizes=tensor_parallel_size,
            quantization=quantization,
            kv_cache_dtype=kv_cache_dtype,
        ),
        out,
    )
    described = _design(design, profiles=profiles or None, mixes=mixes, seed=seed)
    started = time.perf_counter()
    with keeping(lambda: _kept_in(out)), progress_bar() as progress:
        dataset = sweep(described, out, jobs=jobs, engine=engine, address=address, progress=progress)
    seconds = time.perf_counter() - started
    if as_json:
        show_json(_dataset_as_data(dataset, out))
    else:
        show(sweep_table(dataset))
    tell(f"{len(dataset.rows):,} runs in {out} after {seconds:,.0f} s")


def _profile_names(sources: Sequence[ProfileSource], folder: Path) -> tuple[str, ...]:
    """Return names or files of profiles; derived ones are written to the folder of the runs, for training."""
    names = []
    for source in sources:
        if isinstance(source, DerivedProfile):
            profile = profile_from(source)
            file = folder / f"{profile.name}.yaml"
            folder.mkdir(parents=True, exist_ok=True)
            profile.write(file)
            names.append(str(file.resolve()))
        else:
            names.append(source)
    return tuple(names)


def _kept_in(folder: Path) -> str:
    """What an interrupted sweep has left, and how it goes on."""
    count = len(list(folder.glob("part-*.parquet")))
    if not count:
        return f"no partition is finished in {folder} yet, the same command starts again"
    files = "1 finished partition is" if count == 1 else f"{count:,} finished partitions are"
    return f"{files} kept in {folder}, the same command goes on with what is missing"


def _design(name: str, **given: object) -> "Design":
    """The design with the fields given on the command line."""
    from adaptwin.dataset.design import Design, load_design

    design = load_design(name)
    given = {field: value for field, value in given.items() if value is not None}
    if "mixes" in given and design.sampler == "grid":
        raise SpecError(f"{given['mixes']}: {name} is a grid, whose number of mixes is fixed", "--mixes")
    return Design(**{**design.model_dump(), **given})


def _dataset_as_data(dataset: "Dataset", out: Path) -> dict[str, object]:
    from adaptwin.report.sweep import summary

    rows = dataset.rows
    return {
        "folder": str(out),
        "design": dataset.design.file_form(),
        "runs": len(rows),
        **summary(rows),
    }
