"""One idle run corrects a derived profile: errors of all other runs before and after, on the public open-loop runs.

PYTHONPATH=making python benchmarks/idle_runs.py
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from accuracy import SHORT
from adaptwin import Profile, Run, Server
from adaptwin.calibration.compare import compare
from adaptwin.calibration.file_fit.host_fit import fit_host, with_host_and_gpu
from adaptwin.calibration.file_fit.replay import Replay, replay_of
from adaptwin.calibration.sources.bench_result import BenchResult, LatencyFigures
from adaptwin.errors import SpecError
from adaptwin.profile.hardware.host_costs import HOST_BASE
from adaptwin.twin.compilation import compile_twin
from base_model_errors import compared, derived_of, signed_errors, with_cached_prompts
from carried_lora_errors import other_models
from h100_runs import DATA, measured_runs
from measured_page import paragraph, section
from public_runs import OPEN_LOOP_GPU, PublicRun, public_runs

IDLE_RATE = 1.0  # requests/s
UNKNOWN_HOST = 3e-3  # seconds of a step, chosen on the RTX PRO 6000 (docs/measured/hardware.md)
PAIR_RATES = (1.0, 32.0)  # of two runs that tell the speed of the GPU from the host's time

NOTE = """\
The H100 PCIe with vLLM 0.8.5 in 16 bits, with kernels by the rule for GPUs without tables. *Unknown host* is what
a machine of which nothing is known gets: the host's time that fits the run on the RTX PRO 6000 best. *As shipped*
has the host's time that `adaptwin derive` takes, which was chosen in view of these runs. *One idle run*: the
host's time is that with which the run of the same model at 1 request/s has its TPOT; the errors are those of the
model's other runs. *Idle runs of others*: the host's time is the median of those from the idle runs of all other
models. *Two runs*: the runs at 1 and at 32 requests/s give the host's time and, where they tell it apart, the
speed of the GPU; the errors are those of the runs between. Mean absolute errors of TPOT in per cent, in brackets
the bias."""
NOTE_LORA = """\
The H100 with 64 GB and vLLM 0.8.5, of another laboratory, whose host is slow. *Derived* has LoRA constants of the
other model, and nothing of this machine. *One run* corrects it with a run of the base model alone, 50 requests at
a time with answers of 200 tokens; *two runs* with that and one of 400 at a time. The errors are those of the
validation runs with 1 to 384 adapters, in per cent."""
ANSWER = 200  # tokens
REFUSED = "refused"


class _Corrected(NamedTuple):
    """Errors of TPOT of a model's runs with profiles that were corrected in several ways."""

    model: str
    host_base: float | None  # by its idle run, seconds; None: no plausible one explains it
    unknown: pl.Series
    shipped: pl.Series
    by_idle: pl.Series | None
    by_others: pl.Series
    by_pair: pl.Series | None


def replay_of_run(run: PublicRun) -> Replay:
    """Return a public run as `fit_host` plays it."""
    return Replay(f"{run.model} at {run.rate:g}/s", run.server, run.workload, "TPOT", run.tpot_mean)


def idle_runs_section(runs: Sequence[PublicRun]) -> str:
    """Return the section on corrections by idle runs, as Markdown."""
    found = _corrected_models([run for run in runs if run.gpu == OPEN_LOOP_GPU])
    body = [
        [
            each.model.rpartition("/")[2],
            REFUSED if each.host_base is None else f"{1e3 * each.host_base:.2f}",
            *map(_mean_and_bias, (each.unknown, each.shipped, each.by_idle, each.by_others, each.by_pair)),
        ]
        for each in found
    ]
    pooled = [
        [
            "**all**",
            "",
            *map(_mean_and_bias, (_joined(parts) for parts in zip(*(each[2:] for each in found), strict=True))),
        ]
    ]
    header = [
        "model",
        "host by its idle run, ms",
        "unknown host",
        "as shipped",
        "one idle run",
        "idle runs of others",
        "two runs",
    ]
    return section("One idle run", header, [*body, *pooled], paragraph(NOTE))


def other_machine_section() -> str:
    """Return the section on a machine with a slow host and adapters, as Markdown."""
    body = []
    for model, profiles in other_models().items():
        corrected = {
            "derived": profiles.derived,
            "one run": fit_host(profiles.derived, [_base_run(model, 50)]).profile,
            "two runs": fit_host(profiles.derived, [_base_run(model, seats) for seats in (50, 400)]).profile,
        }
        runs = measured_runs(model, "validation")
        for name, profile in corrected.items():
            rows = compare(profile, runs)
            cells = [_mean_and_bias(signed_errors(rows, figure)) for figure in ("itl_mean", "throughput")]
            body.append([SHORT[model], name, f"{1e3 * profile.step_cost.host_base:.2f}", str(len(rows)), *cells])
    header = ["model", "profile", "host, ms", "runs", "mean ITL", "throughput"]
    return section("One run on another machine, with adapters", header, body, paragraph(NOTE_LORA))


def _base_run(model: str, seats: int) -> Replay:
    """Return the run of the base model alone with so many requests at a time and answers of 200 tokens."""
    table = pl.read_parquet(DATA / "micro_runs.parquet").filter(
        (pl.col("model") == model)
        & (pl.col("experiment") == "default_latency_decode")
        & (pl.col("max_num_seqs") == seats)
        & (pl.col("synthetic_output_tokens") == ANSWER)
    )
    row = table.row(0, named=True)
    result = BenchResult(
        tool="benchmark_serving.py",
        completed=int(row["completed"]),
        duration=row["duration"],
        prompt_tokens=row["total_input_tokens"] / row["completed"],
        answer_tokens=row["total_output_tokens"] / row["completed"],
        most_prompt_tokens=row["total_input_tokens"] / row["completed"],
        most_answer_tokens=ANSWER,
        tpot=LatencyFigures(row["mean_tpot_ms"] / 1e3),
    )
    server = Server(max_loras=0, max_num_seqs=seats, max_num_batched_tokens=2048)
    return replay_of(result, server, f"{model} at {seats}")


def _joined(parts: Iterable[pl.Series | None]) -> pl.Series:
    return pl.concat([part for part in parts if part is not None])


def _mean_and_bias(errors: pl.Series | None) -> str:
    if errors is None or not len(errors):
        return "-"
    return f"{errors.abs().mean():.1f} ({errors.mean():+.1f})"


def _corrected_models(runs: Sequence[PublicRun]) -> list[_Corrected]:
    models = list(dict.fromkeys(run.model for run in runs))
    hosts = {model: _host(_at_rate(runs, model, IDLE_RATE)) for model in models}
    return [_corrected(model, runs, hosts) for model in models]


def _at_rate(runs: Iterable[PublicRun], model: str, rate: float) -> PublicRun:
    return next(run for run in runs if run.model == model and run.rate == rate)


def _derived(run: PublicRun) -> Profile:
    return derived_of(run.gpu, run.model, run.vllm_version)


def _host(run: PublicRun) -> float | None:
    """Return the host's time of a step by a run; None if no plausible one explains it."""
    try:
        return fit_host(with_cached_prompts(_derived(run), run.cached_tokens), [replay_of_run(run)]).host_base
    except SpecError:
        return None


def _corrected(model: str, runs: Sequence[PublicRun], hosts: dict[str, float | None]) -> _Corrected:
    own = [run for run in runs if run.model == model]
    others = [host for other, host in hosts.items() if other != model and host is not None]
    loaded = [run for run in own if run.rate != IDLE_RATE]
    host = hosts[model]
    return _Corrected(
        model=model,
        host_base=host,
        unknown=_errors(loaded, UNKNOWN_HOST),
        shipped=_errors(loaded, HOST_BASE),
        by_idle=None if host is None else _errors(loaded, host),
        by_others=_errors(loaded, float(np.median(others))),
        by_pair=_by_pair(own),
    )


def _errors(runs: Sequence[PublicRun], host: float, gpu: float = 1.0) -> pl.Series:
    """Return the errors of TPOT of runs with this time of the host, and this factor of the GPU's times."""
    return signed_errors(
        compared(runs, lambda run: with_host_and_gpu(_derived(run), np.array([host, gpu]))), "tpot_mean"
    )


def _by_pair(own: Sequence[PublicRun]) -> pl.Series | None:
    """Return the errors of the runs between two that give host and GPU; None if no plausible server explains those.

    The two runs differ in the prompts that lay in the prefix cache, so each is played with its own.
    """
    pair = [run for run in own if run.rate in PAIR_RATES]
    try:
        found = fit_host(_derived(own[0]), [_CachedReplay(replay_of_run(run), run.cached_tokens) for run in pair])
    except SpecError:
        return None
    between = [run for run in own if run.rate not in PAIR_RATES]
    return _errors(between, found.host_base, found.gpu_factor or 1.0)


class _CachedReplay:
    """A replay whose prompts lay in the prefix cache: its decodes read further tokens."""

    def __init__(self, replay: Replay, cached: float) -> None:
        self.cached, self.without = cached, replay
        self.name, self.figure, self.seconds = replay.name, replay.figure, replay.seconds
        self.simulated, self.is_calm = replay.simulated, replay.is_calm

    def played(self, profile: Profile) -> Run:
        """Simulate the run with the tokens of the prefix cache."""
        return self.without.played(with_cached_prompts(profile, self.cached))


def main() -> None:
    """Print the section."""
    compile_twin()
    print(idle_runs_section(public_runs()), other_machine_section(), sep="\n\n")


if __name__ == "__main__":
    main()
