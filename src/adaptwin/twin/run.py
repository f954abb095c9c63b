"""Run: the result of a simulation, for the server and for every adapter."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl
from pydantic import Field, field_serializer, field_validator

from adaptwin import file_kinds
from adaptwin.lazy import function_from
from adaptwin.profile.profile import Regime
from adaptwin.spec import Line, Name, Spec
from adaptwin.twin.extrapolation import Extrapolation
from adaptwin.twin.server import Server
from adaptwin.writing import write_atomically

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Verdict = Literal["starved", "backlogged", "slow", "unknown", "ok"]  # from the worst to the best
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Grade = Literal[Verdict, "sluggish"]

ADAPTER_COLUMNS = {
    "name": pl.String,
    "rank": pl.Int64,
    "arrivals": pl.Int64,
    "finished": pl.Int64,
    "rejected": pl.Int64,
    "offered_throughput": pl.Float64,
    "throughput": pl.Float64,
    "ttft_p50": pl.Float64,
    "ttft_p99": pl.Float64,
    "itl_mean": pl.Float64,
    "waiting_at_end": pl.Int64,
    "verdict": pl.String,
    "sluggish": pl.Boolean,
}

SERIES_COLUMNS = ("time", "running", "waiting", "kv_usage", "adapters", "finished_tokens", "preemptions")


def worst_of(verdicts: Collection[str]) -> Verdict:
    """Return the worst of the verdicts, in the order of `VERDICTS`; ok if there are none."""
    return next((verdict for verdict in VERDICTS if verdict in verdicts), "ok")


def grade_of(verdict: Verdict, *, sluggish: bool) -> Grade:
    """Return the verdict, or sluggish for what is ok but lets requests wait for long."""
    return "sluggish" if sluggish and verdict == "ok" else verdict


class Latency(Spec):
    """A distribution of latencies in seconds; NaN where nothing was measured."""

    mean: float = Field(default=float("nan"), description="mean, in seconds")
    p50: float = Field(default=float("nan"), description="median, in seconds")
    p90: float = Field(default=float("nan"), description="90th percentile, in seconds")
    p99: float = Field(default=float("nan"), description="99th percentile, in seconds")

    @field_validator("*", mode="before")
    @classmethod
    def _null_is_nan(cls, value: Any) -> Any:
        return float("nan") if value is None else value


class RunFigures(Spec):
    """What a client sees of a run, real or simulated. Rates are per second after warm-up, latencies in seconds.

    `adapters` is a polars DataFrame with one row per adapter: name, rank, arrivals, finished, rejected,
    offered_throughput and throughput (tokens/s), ttft_p50, ttft_p99, itl_mean (s), waiting_at_end, verdict, sluggish.
    """

    duration: float = Field(description="seconds of arrivals")
    window: Literal["cut", "drain"] = Field(
        description="end of the run: cut stops the clock after `duration`, drain lets all requests finish"
    )
    warmup: float = Field(description="seconds at the start that are left out of rates, latencies and means over time")
    seed: int = Field(description="seed of all random draws; of repeated runs, that of the first")

    throughput: float = Field(description="prompt + output tokens/s of requests that finished inside the window")
    offered_throughput: float = Field(description="prompt + output tokens/s that arrived")
    request_rate: float = Field(description="requests/s that finished")
    offered_request_rate: float = Field(description="requests/s that arrived")
    ttft: Latency = Field(description="time to first token (TTFT), over finished requests")
    itl: Latency = Field(description="inter-token latency (ITL), over all gaps of finished requests")
    tpot: Latency = Field(description="time per output token after the first (TPOT), over finished requests")
    e2e: Latency = Field(description="time from arrival to the last token, over finished requests")
    arrived: int = Field(description="requests that arrived, warm-up included")
    finished: int = Field(description="requests that finished, warm-up included")
    never_admitted: int = Field(description="requests still held back by a client that is out of connections")
    verdict: Verdict = Field(description="verdict on the server alone")
    sluggish: bool = Field(
        default=False, description="whether over 1 % of requests without a TTFT objective waited over 2 s"
    )
    adapters: pl.DataFrame = Field(description="figures of every adapter, one row per adapter")

    @property
    def starved(self) -> bool:
        """Whether under 0.9 of the offered tokens were served, as the paper defines a starved server."""
        return self.throughput < 0.9 * self.offered_throughput

    @property
    def worst(self) -> Verdict:
        """The worst verdict among server and adapters."""
        return worst_of({self.verdict, *self.adapters["verdict"]})

    @property
    def grade(self) -> Grade:
        """The worst verdict, or sluggish if that is ok but the server lets requests wait for long."""
        return grade_of(self.worst, sluggish=self.sluggish)

    @field_validator("adapters", "series", mode="before", check_fields=False)
    @classmethod
    def _table_from_columns(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        try:
            return pl.DataFrame(value, strict=False)
        except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
            raise ValueError(f"cannot be read as columns: {error}") from None

    @field_validator("adapters")
    @classmethod
    def _typed(cls, table: pl.DataFrame) -> pl.DataFrame:
        schema = table.schema
        if missing := {"name", "verdict"} - {*schema}:
            raise ValueError(f"column {min(missing)!r} is missing")
        if all(schema.get(name, kind) == kind for name, kind in ADAPTER_COLUMNS.items()):
            return table
        try:
            return table.cast({name: kind for name, kind in ADAPTER_COLUMNS.items() if name in schema})
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"a value has the wrong type: {str(error).partition(chr(10))[0]}") from None

    @field_serializer("adapters", "series", check_fields=False)
    def _columns(self, table: pl.DataFrame | None) -> dict[str, list[Any]] | None:
        return None if table is None else table.fill_nan(None).to_dict(as_series=False)

    def write(self, path: str | Path) -> None:
        """Write the run as JSON; NaN becomes null."""
        write_atomically(path, self.to_json() + "\n")

    def to_json(self) -> str:
        """The run as JSON text."""
        return json.dumps(json.loads(self.model_dump_json(exclude_none=False)), indent=1)


class Run(RunFigures):
    """The result of a simulation; see `RunFigures` for rates, latencies and the table of adapters.

    `series`, with ``record=True``, has one row per sampling time: time (s), running, waiting, kv_usage (0 to 1),
    adapters (in the batch), finished_tokens and preemptions (since the start).
    """

    file_kind = file_kinds.RUN
    _facts = function_from("adaptwin.report.notebook.run_view", "run_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.run_view", "run_html")
    profile: Name = Field(description="name of the profile")
    server: Server = Field(description="vLLM settings of the server")
    repeats: int = Field(default=1, description="runs with successive seeds, of which the figures are means")
    running_at_end: int = Field(description="requests that were running at the end")
    waiting_at_end: int = Field(description="requests in the waiting queue at the end")
    rejected: int = Field(
        description="requests longer than max_model_len or than the whole KV cache, or over max_num_queued_reqs"
    )
    preemptions: int = Field(description="preemptions of requests, warm-up included")
    adapter_loads: int = Field(description="loads of an adapter to the GPU, warm-up included")
    disk_loads: int = Field(description="loads of an adapter from disk to host memory, warm-up included")
    adapter_load_time: float = Field(description="seconds that steps waited for adapters")
    kv_cache_tokens: int = Field(description="size of the KV cache, in tokens")
    kv_usage: float = Field(description="share of the KV cache in use, mean over time")
    prefix_hit_rate: float | None = Field(
        default=None,
        description="share of the tokens of admitted prompts that were in cached blocks; None without prefix caching",
    )
    mean_running: float = Field(description="running requests, mean over time")
    mean_waiting: float = Field(description="waiting requests, mean over time")
    mean_adapters: float = Field(description="distinct adapters in a step, mean over time")
    busy: float = Field(description="share of the window in which a step was running")
    metrics_stall: float = Field(default=0.0, description="share of the time in which scrapes stalled the API server")
    steps: int = Field(description="steps of the engine, warm-up included")
    simulated: float = Field(description="seconds of simulated time")
    confidence: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="95 % intervals of the means over repeats, by metric"
    )
    intervals: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="90 % intervals for a real server, from the profile's spread, by metric"
    )
    assumptions: tuple[Line, ...] = Field(default=(), description="what the figures assume, in words")
    extrapolations: tuple[Extrapolation, ...] = Field(
        default=(), description="how the server differs from those that were measured; empty if in nothing"
    )
    series: pl.DataFrame | None = Field(
        default=None, description="time series, one row per second; None unless it was recorded"
    )

    @property
    def regime(self) -> Regime:
        """Regime of the server, on which the uncertainty of its figures depends: calm, busy or starved."""
        if self.starved:
            return "starved"
        return "busy" if self.mean_waiting > 1.0 else "calm"

    def plot(self) -> "Figure":
        """Return a plotly figure of the time series if it was recorded (``record=True``), else of the adapters."""
        figure: Figure = function_from("adaptwin.report.notebook.run_figure", "run_figure")(self)
        return figure
