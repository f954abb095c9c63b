"""Coverage: the regimes of serving that the measurements behind a profile do not cover."""

from collections.abc import Iterator

import polars as pl

from adaptwin.calibration.measurements import Measurements
from adaptwin.workload.lora_ranks import SERVED_RANKS

HIGHEST_RANK_OF_INTEREST = 64
MOST_TOKENS_OF_INTEREST = 2048


def uncovered(measurements: Measurements) -> list[str]:
    """Return one sentence for every regime that was not measured, which also says what the profile uses instead."""
    return [
        *_uncovered_parts(measurements),
        *_uncovered_ranks(measurements),
        *_uncovered_steps(measurements),
        *_uncovered_runs(measurements),
    ]


def _uncovered_parts(measurements: Measurements) -> Iterator[str]:
    start = measurements.setup.start
    if measurements.memory is None:
        yield "memory was not measured: the size of the KV cache is estimated from the model's shapes"
    if measurements.planning is None:
        yield f"the scheduler was not measured: its cost is taken from {start}"
    if measurements.loads is None:
        yield f"adapter loads were not measured: their cost is taken from {start}"
    elif not (measurements.loads["source"] == "disk").any():
        yield f"no adapter was loaded from disk: the cost of such loads is taken from {start}"
    if measurements.steps is None and not measurements.runs:
        yield f"neither steps nor runs were measured: step costs are taken from {start}"


def _uncovered_ranks(measurements: Measurements) -> Iterator[str]:
    ranks = {run.server.max_lora_rank for run in measurements.runs}
    if measurements.steps is not None:
        with_lora = measurements.steps.filter(pl.col("max_loras") > 0)
        ranks |= set(with_lora["max_lora_rank"].to_list())
    if ranks and max(ranks) < HIGHEST_RANK_OF_INTEREST:
        higher = ", ".join(str(rank) for rank in SERVED_RANKS if rank > max(ranks))
        yield f"no step or run had max_lora_rank above {max(ranks)}: the cost of ranks {higher} is extrapolated"
    if len(ranks) == 1:
        yield (
            f"all steps and runs had max_lora_rank {max(ranks)}: how costs grow with the rank is taken from "
            f"{measurements.setup.start}"
        )


def _uncovered_steps(measurements: Measurements) -> Iterator[str]:
    steps = measurements.steps
    if steps is None:
        return
    if not (steps["adapters"] > 0).any() and not measurements.runs:
        yield f"no step had an adapter in it: the costs of LoRA are taken from {measurements.setup.start}"
    if not (steps["max_loras"] == 0).any():
        yield "no server without LoRA was measured: the costs of LoRA could not be separated from the base model's"
    most = int(steps["tokens"].to_numpy().max())
    if most < MOST_TOKENS_OF_INTEREST and not measurements.runs:
        yield f"no step had more than {most} tokens: the cost of long prompts is extrapolated"


def _uncovered_runs(measurements: Measurements) -> Iterator[str]:
    runs = measurements.runs
    if not runs:
        yield (
            "no whole runs were measured: the profile has no error, its simulations have no intervals, and request "
            f"latency and the cost of waiting requests are taken from {measurements.setup.start}"
        )
        return
    silent = sum(run.time_per_token is None for run in runs)
    if silent:
        yield f"{silent} of {len(runs)} runs have neither tpot_mean nor itl_mean: step costs are fitted without them"
    if not any(run.starved for run in runs):
        yield "no run was starved: throughput under overload was not checked"
    if all(run.starved for run in runs):
        yield "every run was starved: latency under light load was not checked"
    if not any(len(run.workload) > run.server.max_loras for run in runs):
        yield "no run had more adapters than slots: the swapping of adapters was not checked"
    slots, adapters = [run.server.max_loras for run in runs], [len(run.workload) for run in runs]
    yield (
        f"runs had {min(slots)} to {max(slots)} slots and {min(adapters)} to {max(adapters)} adapters: "
        "nothing outside these ranges was checked"
    )
