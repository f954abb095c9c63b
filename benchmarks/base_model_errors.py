"""Errors of derived profiles on the public runs of base models, with every constant from other models or other GPUs.

The peak figures and the shares of them come from data sheets and tables of kernels. The two constants of the host,
`host_base` and `request_latency`, were chosen on runs like these, so here they are chosen anew on the other runs.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import polars as pl

from adaptwin import Profile, simulate
from adaptwin.profile.derive import derived, measured_profiles
from adaptwin.profile.hardware.gpu import load_gpu
from adaptwin.profile.hardware.host_costs import HOST_BASE, REQUEST_LATENCY
from adaptwin.profile.hardware.model_sheet import ModelSheet
from adaptwin.profile.hardware.quantization import quantization_named
from adaptwin.profile.profile import Regime
from public_runs import OPEN_LOOP_GPU, REPLAY_GPU, PublicRun
from public_shapes import SHAPES

HOST_BASES = (1.0e-3, 1.25e-3, 1.5e-3, 1.75e-3, 2.0e-3, 2.5e-3, 3.0e-3, 3.5e-3)
LATENCIES = (3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3)
CHOSEN_BY = ("tpot_mean", "itl_mean", "ttft_p50")  # the figures whose errors the choice makes small

ProfileOf = Callable[[PublicRun], Profile]


class HostConstants(NamedTuple):
    """The constants of a server that no data sheet gives, in seconds."""

    base: float
    latency: float


SHIPPED = HostConstants(HOST_BASE, REQUEST_LATENCY)


class Judged(NamedTuple):
    """Runs of one GPU with constants that were chosen on other runs, and which ones were chosen."""

    rows: pl.DataFrame
    chosen: tuple[HostConstants, ...]


def derived_of(
    gpu: str,
    model: str,
    version: str,
    *,
    own_kernels: bool = False,
    gpus: int = 1,
    quantization: str | None = None,
) -> Profile:
    """Return the profile of a GPU and a model; without what was measured on this GPU, unless asked.

    That are its kernels and the exchanges between several of it.
    """
    sheet = load_gpu(gpu)
    if not own_kernels:
        sheet = sheet.model_copy(update={"kernels": None, "all_reduce": ()})
    described = ModelSheet(SHAPES[model])
    if quantization:
        described = described.quantised(quantization_named(quantization))
    return derived(sheet, described, _measured(), version, gpus)


_measured = cache(measured_profiles)


def with_host(profile: Profile, constants: HostConstants) -> Profile:
    """Return the profile of the same GPU and model in a server with other constants of the host."""
    cost = profile.step_cost.model_copy(update={"host_base": constants.base})
    return profile.model_copy(update={"step_cost": cost, "request_latency": constants.latency})


def with_cached_prompts(profile: Profile, tokens: float) -> Profile:
    """Return the profile with so many further tokens of KV cache to read for each request of a step.

    The twin has no prefix cache: prompts that are in it are left out of the workload, but decodes still read them.
    """
    cost = profile.step_cost
    more = cost.per_sequence + tokens * cost.per_context_token
    return profile.model_copy(update={"step_cost": cost.model_copy(update={"per_sequence": more})})


def compared(runs: Iterable[PublicRun], profile_of: ProfileOf) -> pl.DataFrame:
    """Simulate runs; return a row per run, with each figure as measured (``real_``) and simulated (``twin_``)."""
    return pl.DataFrame([_row(run, profile_of(run)) for run in runs], infer_schema_length=None)


def _row(run: PublicRun, profile: Profile) -> dict[str, Any]:
    twin = simulate(with_cached_prompts(profile, run.cached_tokens), run.server, run.workload, window="drain")
    # All requests of these short runs were answered, so none starves; offered and served tokens per second differ only
    # because the last answers end after the last arrival.
    regime: Regime = "busy" if twin.mean_waiting > 1 else "calm"
    return {
        "source": run.source,
        "gpu": run.gpu,
        "model": run.model,
        "version": run.vllm_version,
        "rate": run.rate,
        "regime": regime,
        "deep_overload": False,
        "real_tpot_mean": run.tpot_mean,
        "twin_tpot_mean": twin.tpot.mean,
        "real_itl_mean": run.itl_mean,
        "twin_itl_mean": twin.itl.mean,
        "real_ttft_p50": run.ttft_p50,
        "twin_ttft_p50": twin.ttft.p50,
        "real_throughput": run.throughput,
        "twin_throughput": run.answer_tokens / max(twin.simulated, run.workload.duration),
    }


def signed_errors(rows: pl.DataFrame, figure: str) -> pl.Series:
    """Return the errors of the twin in per cent, positive where it is too high, of the runs that have the figure."""
    return (rows[f"twin_{figure}"] / rows[f"real_{figure}"] - 1).drop_nulls().drop_nans() * 100


class LeftOut:
    """The public runs with every pair of constants of a small grid, from which those are chosen that fit other runs."""

    def __init__(self, runs: Sequence[PublicRun]) -> None:
        """Simulate all runs with all constants; takes half a minute."""
        profiles = [derived_of(run.gpu, run.model, run.vllm_version) for run in runs]
        shapes = pl.Series("shape", [_shape_key(run.model) for run in runs])
        self._rows = {}
        for constants in (HostConstants(*pair) for pair in product(HOST_BASES, LATENCIES)):
            of = dict(zip(map(id, runs), (with_host(profile, constants) for profile in profiles), strict=True))
            rows = compared(runs, lambda run, of=of: of[id(run)])
            self._rows[constants] = rows.with_columns(shapes)

    def other_models(self, gpu: str) -> Judged:
        """Return the runs of a GPU, those of each shape with the constants that fit its other shapes best."""
        on_gpu = pl.col("gpu") == gpu
        shapes = self._any_rows.filter(on_gpu)["shape"].unique(maintain_order=True)
        return self._judged(
            [(on_gpu & (pl.col("shape") == shape), on_gpu & (pl.col("shape") != shape)) for shape in shapes]
        )

    def other_gpu(self, gpu: str, chosen_on: str) -> Judged:
        """Return the runs of a GPU with the constants that fit the runs of another one best."""
        return self._judged([(pl.col("gpu") == gpu, pl.col("gpu") == chosen_on)])

    @property
    def _any_rows(self) -> pl.DataFrame:
        return next(iter(self._rows.values()))

    def _judged(self, folds: Sequence[tuple[pl.Expr, pl.Expr]]) -> Judged:
        """Choose constants on the second runs of each fold, and return its first runs with them."""
        chosen = tuple(min(self._rows, key=lambda each, on=on: _score(self._rows[each].filter(on))) for _, on in folds)
        parts = [self._rows[each].filter(judged) for each, (judged, _) in zip(chosen, folds, strict=True)]
        return Judged(pl.concat(parts), chosen)


def _score(rows: pl.DataFrame) -> float:
    """Return the sum of the mean absolute errors of TPOT, mean ITL and median TTFT."""
    return sum(float(signed_errors(rows, figure).abs().mean()) for figure in CHOSEN_BY)


def _shape_key(model: str) -> str:
    """Return what models of the same shape have in common: their widths and layers."""
    shape = SHAPES[model]
    return f"{shape.layers} layers of {shape.hidden} and {shape.intermediate}"


class BaseModel(NamedTuple):
    """The public runs with derived profiles in several ways."""

    open_loop: Judged  # constants chosen on the other models
    open_loop_by_replay: Judged  # constants chosen on the other GPU
    replay: Judged  # constants chosen on the other GPU
    shipped: pl.DataFrame  # constants as they are shipped
    own_kernels: pl.DataFrame  # the replay, as shipped, with the kernels of this GPU


def base_model(runs: Sequence[PublicRun]) -> BaseModel:
    """Simulate the public runs in all of these ways."""
    left_out = LeftOut(runs)
    replays = [run for run in runs if run.gpu == REPLAY_GPU]
    return BaseModel(
        open_loop=left_out.other_models(OPEN_LOOP_GPU),
        open_loop_by_replay=left_out.other_gpu(OPEN_LOOP_GPU, chosen_on=REPLAY_GPU),
        replay=left_out.other_gpu(REPLAY_GPU, chosen_on=OPEN_LOOP_GPU),
        shipped=compared(runs, lambda run: derived_of(run.gpu, run.model, run.vllm_version)),
        own_kernels=compared(replays, lambda run: derived_of(run.gpu, run.model, run.vllm_version, own_kernels=True)),
    )


def mean_and_bias(errors: pl.Series) -> str:
    """Return the mean absolute error, and in brackets the mean signed error."""
    return f"{errors.abs().mean():.1f} ({errors.mean():+.1f})" if len(errors) else "-"


def largest(errors: pl.Series) -> str:
    """Return the error that is furthest from 0."""
    return f"{errors[errors.abs().arg_max()]:+.0f}" if len(errors) else "-"
