"""Measurements: what was measured on real servers, in the twin's terms, and the folder that holds it."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import polars as pl
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from adaptwin import file_kinds
from adaptwin.errors import SpecError
from adaptwin.file_kinds import recognised
from adaptwin.flags import with_flags
from adaptwin.plain_data import kind_of_data, parse_json
from adaptwin.profile.model_shape import ModelShape
from adaptwin.quantities import Fraction, TimeSpan
from adaptwin.spec import Line, Name, Spec, read_text, spec_error
from adaptwin.tables import read_csv_table, read_parquet
from adaptwin.twin.server import Server
from adaptwin.twin.vllm_defaults import vllm_defaults
from adaptwin.workload.workload import Workload
from adaptwin.writing import write_atomically

SETUP_FILE = "setup.yaml"
RUNS_FILE = "runs.json"


class Setup(Spec):
    """The server that was measured. Parts of it that were not measured are taken from the profile `start`."""

    file_kind = file_kinds.SETUP
    name: Name = Field(description="name of the profile to be fitted")
    hardware: Line = Field(description="GPU, in words")
    gpu_gib: float = Field(gt=0, description="memory of the GPU as vLLM sees it, in GiB")
    gpu_memory_utilization: Fraction | None = Field(
        default=None, gt=0, le=1, description="setting of the servers in the memory table; None: vLLM's default"
    )
    max_num_seqs: int | None = Field(
        default=None, ge=1, description="setting of the servers in the memory table; None: vLLM's default"
    )
    max_num_batched_tokens: int | None = Field(
        default=None, ge=1, description="setting of the servers in the memory table; None: vLLM's default"
    )
    model: ModelShape = Field(description="shapes of the base model")
    vllm_version: Line = Field(description="version of vLLM that was measured")
    source: str = Field(default="", description="where the measurements are from, in words")
    start: str | None = Field(
        default=None, description="shipped profile, or profile file relative to the folder, for what was not measured"
    )
    stated: dict[str, float] = Field(
        default={},
        description="constants of step_cost that are known, such as from the data sheet of the GPU, and are not fitted",
    )
    price_per_hour: float | None = Field(default=None, gt=0, description="price of one GPU per hour, in any currency")

    @property
    def memory_settings(self) -> "MemorySettings":
        """The settings of the servers in the memory table, with vLLM's defaults filled in."""
        usual = vllm_defaults(self.hardware, self.gpu_gib, self.vllm_version)
        max_num_seqs = self.max_num_seqs or usual.max_num_seqs
        return MemorySettings(
            self.gpu_memory_utilization or usual.gpu_memory_utilization,
            max_num_seqs,
            self.max_num_batched_tokens or max(usual.max_num_batched_tokens, max_num_seqs),
        )


class MemorySettings(NamedTuple):
    """Settings on which the size of the KV cache depends, besides the slots."""

    gpu_memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int


class MeasuredRun(Spec):
    """One benchmark run of a real server: its settings and workload, and what its client reported.

    Latencies are in seconds, over finished requests. Figures that were not measured are None.
    """

    file_kind = file_kinds.MEASURED_RUN
    model_config = ConfigDict(allow_inf_nan=False)

    name: Line = Field(description="name of the run")
    server: Server = Field(description="vLLM settings of the server")
    workload: Workload = Field(description="adapters and their traffic")
    max_in_flight: int | None = Field(default=None, ge=1, description="connections that the client may have open")
    scrape_every: TimeSpan | None = Field(default=None, ge=0.001, description="seconds between scrapes of /metrics")
    throughput: float = Field(ge=0, description="prompt + output tokens/s of requests that finished inside the window")
    starved: bool = Field(default=False, description="whether under 0.9 of the tokens asked for were served")
    itl_mean: float | None = Field(default=None, gt=0, description="mean ITL, in seconds")
    itl_p99: float | None = Field(default=None, gt=0, description="99th percentile of the ITL, in seconds")
    tpot_mean: float | None = Field(default=None, gt=0, description="mean TPOT, in seconds")
    ttft_p50: float | None = Field(default=None, gt=0, description="median TTFT, in seconds")
    mean_waiting: float | None = Field(default=None, ge=0, description="waiting requests, mean over time")
    scrape_pause: float | None = Field(
        default=None, ge=0, description="seconds that a scrape of /metrics took, mean over the last quarter of the run"
    )

    @property
    def time_per_token(self) -> float | None:
        """Mean seconds per output token: the mean TPOT, or else the mean ITL; None if neither was measured."""
        return self.tpot_mean or self.itl_mean


MEASUREMENT_COLUMNS: dict[str, dict[str, Any]] = {  # columns of each table, with their types
    "memory": {"max_loras": pl.Int64, "max_lora_rank": pl.Int64, "kv_cache_tokens": pl.Int64},
    "loads": {"source": pl.String, "rank": pl.Int64, "max_lora_rank": pl.Int64, "seconds": pl.Float64},
    "planning": {"running": pl.Int64, "waiting": pl.Int64, "seconds": pl.Float64},
    "steps": {
        "max_loras": pl.Int64,
        "max_lora_rank": pl.Int64,
        "tokens": pl.Float64,
        "context": pl.Float64,
        "adapters": pl.Float64,
        "running": pl.Float64,
        "seconds": pl.Float64,
    },
}


class Measurements(NamedTuple):
    """Measurements to which a profile is fitted. Every part but the setup may be absent (None, or no runs).

    - memory: KV cache tokens of a server, by its slots and padded rank; 0 where it did not start;
    - loads: seconds to load an adapter to the GPU from the ``host`` or from ``disk``, by its rank and the padded rank;
    - planning: seconds that the scheduler takes per step, by the requests scheduled and the requests left waiting;
    - steps: seconds from the start of a step to the start of the next while the engine is busy, planning included, by
      the contents of the step (``max_loras`` 0: a server without LoRA);
    - runs: whole benchmark runs.
    """

    setup: Setup
    memory: pl.DataFrame | None = None
    loads: pl.DataFrame | None = None
    planning: pl.DataFrame | None = None
    steps: pl.DataFrame | None = None
    runs: tuple[MeasuredRun, ...] = ()

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read a folder: setup.yaml, and any of runs.json and memory, loads, planning, steps (.parquet or .csv).

        Raises:
            SpecError: The folder or its setup does not exist, or a file has missing columns or wrong values.
        """
        folder = Path(folder)
        if not (folder / SETUP_FILE).is_file():
            what = f"no {SETUP_FILE} in this folder" if folder.is_dir() else "no such folder"
            raise recognised(SpecError(what, file=folder), folder, file_kinds.MEASUREMENTS)
        tables = {name: _read_table(folder, name) for name in MEASUREMENT_COLUMNS}
        runs = folder / RUNS_FILE
        return cls(_setup(folder), **tables, runs=_read_runs(runs) if runs.is_file() else ())

    def write(self, folder: str | Path) -> None:
        """Write the measurements to a folder, which is created if it does not exist."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.setup.write(folder / SETUP_FILE)
        for name in MEASUREMENT_COLUMNS:
            table: pl.DataFrame | None = getattr(self, name)
            if table is not None:
                buffer = io.BytesIO()
                table.write_parquet(buffer)
                write_atomically(folder / f"{name}.parquet", buffer.getvalue())
        if self.runs:
            write_atomically(
                folder / RUNS_FILE, _RUNS_FORM.dump_json(self.runs, exclude_none=True, indent=1).decode() + "\n"
            )


def _setup(folder: Path) -> Setup:
    """Read the setup; the name of a profile file to start from is relative to the folder."""
    setup = Setup.read(folder / SETUP_FILE)
    beside = folder / setup.start if setup.start else None
    return setup.model_copy(update={"start": str(beside)}) if beside and os.path.isfile(beside) else setup


_RUNS_FORM = TypeAdapter(tuple[MeasuredRun, ...])


def _read_runs(path: Path) -> tuple[MeasuredRun, ...]:
    try:
        runs = with_flags(parse_json(read_text(path), path), tuple[MeasuredRun, ...])
        if not isinstance(runs, list):
            raise SpecError(f"expected a list of runs, found {kind_of_data(runs)}", file=path)
        return _RUNS_FORM.validate_python(runs, context={"folder": path.parent})
    except ValidationError as error:
        raise spec_error(error, MeasuredRun, path) from None


def _read_table(folder: Path, name: str) -> pl.DataFrame | None:
    """Read a table, with its columns cast to their types and checked; None if there is no file."""
    for path, read in ((folder / f"{name}.parquet", read_parquet), (folder / f"{name}.csv", read_csv_table)):
        if path.is_file():
            return _typed(read(path), MEASUREMENT_COLUMNS[name], path)
    return None


def _typed(table: pl.DataFrame, columns: Mapping[str, Any], path: Path) -> pl.DataFrame:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise SpecError(f"column {missing[0]!r} is missing (needed: {', '.join(columns)})", file=path)
    try:
        typed = table.select(pl.col(name).cast(kind) for name, kind in columns.items())
    except pl.exceptions.PolarsError as error:
        raise SpecError(f"a value has the wrong type: {error}", file=path) from None
    for name in (name for name, kind in columns.items() if kind == pl.Int64 and table[name].dtype.is_float()):
        broken = (table[name] != typed[name]).fill_null(False)
        if broken.any():
            row = int(broken.arg_max() or 0)
            raise SpecError(f"{table[name][row]:g} must be a whole number", f"row {row + 1}: {name}", path)
    if typed.is_empty():
        raise SpecError("has no rows", file=path)
    for name in columns:
        column = typed[name]
        good = column.is_in(["host", "disk"]) if name == "source" else column.is_finite() & (column >= 0)
        bad = ~good.fill_null(False)
        if bad.any():
            row = int(bad.arg_max() or 0)
            allowed = "host or disk" if name == "source" else "finite and at least 0"
            raise SpecError(f"{column[row]!r} must be {allowed}", f"row {row + 1}: {name}", path)
    return typed
