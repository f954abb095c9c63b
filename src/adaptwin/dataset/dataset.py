"""Dataset: rows of twin runs and the design they came from - a folder of Parquet partitions."""

import io
from pathlib import Path
from typing import Any, NamedTuple, Self

import polars as pl

from adaptwin.dataset.design import Design
from adaptwin.dataset.play_mix import OCTAVE_COLUMNS, Row
from adaptwin.errors import SpecError
from adaptwin.file_kinds import RUNS, recognised
from adaptwin.spec import write_atomically
from adaptwin.workload.demand.traffic import Traffic

DESIGN_FILE = "design.yaml"
_TEXT = ("profile", "chosen", "popularity", "ranks", "lengths", "arrivals", "verdict", "worst")
_FLAGS = ("capped", "async_scheduling", "starved")
_COUNTS = (
    "mix", "run", "seed", "max_loras", "max_lora_rank", "max_num_seqs", "max_num_batched_tokens", "max_model_len",
    "kv_cache_tokens", "arrived", "finished", "preemptions", "adapter_loads", "steps",
)  # fmt: skip
DATASET_COLUMNS = (
    "mix", "run", "seed", "profile", "chosen", "utilisation", "capped", "popularity", "ranks", "lengths", "arrivals",
    "duration", "max_loras", "max_lora_rank", "max_num_seqs", "max_num_batched_tokens", "max_model_len",
    "async_scheduling", "kv_cache_tokens", *Traffic._fields, *OCTAVE_COLUMNS, "arrived", "finished", "throughput",
    "offered_throughput", "starved", "verdict", "worst", "worst_share", "itl_mean", "itl_p99", "ttft_mean", "ttft_p50",
    "ttft_p99", "e2e_mean", "mean_running", "mean_waiting", "mean_adapters", "kv_usage", "preemptions",
    "adapter_loads", "steps",
)  # fmt: skip


class Dataset(NamedTuple):
    """Runs of the twin: one row each, ordered by mix and run. Rates per second, latencies in seconds.

    A mix - adapters, their shares of the traffic, a server - has several rows that differ in load; what is to be held
    out must be held out by mix.
    """

    design: Design
    rows: pl.DataFrame

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read a folder that `sweep` wrote, finished or not; raises `SpecError` when there is none."""
        folder = Path(folder)
        if not (folder / DESIGN_FILE).is_file():
            raise recognised(SpecError(f"no such folder of runs: {DESIGN_FILE} is missing", file=folder), folder, RUNS)
        design = Design.read(folder / DESIGN_FILE)
        files = sorted(folder.glob("part-*.parquet"))
        if not files:
            raise SpecError("holds no partition yet: run adaptwin sweep", file=folder)
        return cls(design, pl.concat([read_partition(file) for file in files]).sort("mix", "run"))


def table_of(rows: list[Row]) -> pl.DataFrame:
    """Rows as a table with the columns of a dataset."""
    return pl.DataFrame(rows, schema={name: _type(name) for name in DATASET_COLUMNS})


def _type(name: str) -> Any:
    if name in _TEXT:
        return pl.String
    return pl.Boolean if name in _FLAGS else pl.Int64 if name in _COUNTS else pl.Float64


def partition_file(folder: Path, number: int) -> Path:
    """Where a partition of a dataset is."""
    return folder / f"part-{number:05}.parquet"


def read_partition(file: Path) -> pl.DataFrame:
    """The rows of a partition; raises `SpecError` when the file is none."""
    try:
        table = pl.read_parquet(file, glob=False)  # brackets in a path are brackets
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SpecError(f"cannot be read as Parquet: {error}", file=file) from None
    if tuple(table.columns) != DATASET_COLUMNS:
        missing = [name for name in DATASET_COLUMNS if name not in table.columns]
        raise SpecError(f"has not the columns of a dataset (missing: {', '.join(missing) or 'none'})", file=file)
    return table


def partition_origin(file: Path) -> dict[str, str]:
    """What a partition says of where it comes from; raises `SpecError` when it cannot be read."""
    try:
        return {name: text for name, text in pl.read_parquet_metadata(file).items() if name.startswith("adaptwin.")}
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SpecError(f"cannot be read as Parquet: {error}", file=file) from None


def write_partition(file: Path, table: pl.DataFrame, origin: dict[str, str]) -> None:
    """Write a partition as a whole or not at all; the same rows and origin give the same bytes."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, metadata=origin)
    write_atomically(file, buffer.getvalue())
