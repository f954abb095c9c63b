"""Dataset: runs of the twin, one per row, and the design they came from, in a folder of Parquet partitions."""

import io
from pathlib import Path
from typing import Any, NamedTuple, Self

import polars as pl

from adaptwin.dataset.design import Design
from adaptwin.dataset.play_mix import OCTAVE_COLUMNS, Row
from adaptwin.errors import SpecError
from adaptwin.file_kinds import RUNS, recognised
from adaptwin.lazy import function_from
from adaptwin.tables import read_parquet, read_parquet_metadata
from adaptwin.workload.demand.traffic import Traffic
from adaptwin.writing import write_atomically

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
    "ttft_p99", "e2e_mean", "mean_running", "mean_waiting", "mean_adapters", "kv_usage",
    "prefix_hit_rate", "preemptions",
    "adapter_loads", "steps",
)  # fmt: skip


class Dataset(NamedTuple):
    """Runs of the twin, one per row, ordered by mix and run. Rates are per second, latencies in seconds.

    A mix - adapters, their shares of the traffic, a server - has several rows that differ in load. Rows of one mix
    resemble each other, so hold out whole mixes when you score a model.
    """

    design: Design  # the design that was simulated
    rows: pl.DataFrame  # one row per run

    def __repr__(self) -> str:
        return str(function_from("adaptwin.report.notebook.surrogate_view", "dataset_line")(self))

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read a folder that `sweep` wrote, even if the sweep is not finished.

        Raises:
            SpecError: The folder holds no partition, or one of its files cannot be read.
        """
        folder = Path(folder)
        if not (folder / DESIGN_FILE).is_file():
            raise recognised(SpecError(f"no such folder of runs: {DESIGN_FILE} is missing", file=folder), folder, RUNS)
        design = Design.read(folder / DESIGN_FILE)
        files = sorted(folder.glob("part-*.parquet"))
        if not files:
            raise SpecError("holds no partition of a dataset yet: run adaptwin sweep", file=folder)
        return cls(design, pl.concat([read_partition(file) for file in files]).sort("mix", "run"))


def table_of(rows: list[Row]) -> pl.DataFrame:
    """Convert rows to a table with the columns of a dataset."""
    return pl.DataFrame(rows, schema={name: _type(name) for name in DATASET_COLUMNS})


def _type(name: str) -> Any:
    if name in _TEXT:
        return pl.String
    return pl.Boolean if name in _FLAGS else pl.Int64 if name in _COUNTS else pl.Float64


def partition_file(folder: Path, number: int) -> Path:
    """Path of a partition of the dataset in `folder`."""
    return folder / f"part-{number:05}.parquet"


def read_partition(file: Path) -> pl.DataFrame:
    """Read the rows of a partition; raises `SpecError` if the file is not one."""
    table = read_parquet(file)
    if tuple(table.columns) != DATASET_COLUMNS:
        missing = [name for name in DATASET_COLUMNS if name not in table.columns]
        raise SpecError(f"does not have the columns of a dataset (missing: {', '.join(missing) or 'none'})", file=file)
    for name, kind in table.schema.items():
        if kind != _type(name):
            raise SpecError(f"holds {kind} instead of {_type(name)}", name, file)
    return table


def partition_origin(file: Path) -> dict[str, str]:
    """Read the origin that a partition was written with; raises `SpecError` if the file cannot be read."""
    return {name: text for name, text in read_parquet_metadata(file).items() if name.startswith("adaptwin.")}


def write_partition(file: Path, table: pl.DataFrame, origin: dict[str, str]) -> None:
    """Write a partition atomically; the same rows and origin give the same bytes."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, metadata=origin)
    write_atomically(file, buffer.getvalue())
