"""Measurements made by the twin: what a server would show if a profile were true."""

from itertools import product

import polars as pl
from tests.twin.scenarios import plain_profile

from adaptwin import Adapter, Lengths, Measurements, Profile, Server, Workload, simulate
from adaptwin.calibration.measurements import MeasuredRun, Setup
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.profile import ProfileError, Spread
from adaptwin.profile.scheduler_cost import scheduler_seconds
from adaptwin.profile.step_cost import StepCost, step_seconds

GPU_GIB = 10.0
CONFIGURATIONS = (  # slots, rank, adapters, requests/s of each
    (1, 8, 1, 4.0),
    (1, 8, 1, 12.0),
    (4, 8, 4, 0.5),
    (4, 8, 8, 0.5),
    (8, 16, 8, 0.4),
    (8, 16, 8, 1.6),
    (8, 32, 12, 0.3),
    (16, 8, 16, 0.3),
    (16, 32, 16, 0.25),
    (16, 32, 32, 1.5),
    (32, 16, 32, 0.15),
    (32, 8, 48, 1.5),
)


def true_profile() -> Profile:
    """The plain profile, its memory as the shapes of its model have it."""
    plain = plain_profile()
    return plain.model_copy(update={"memory": MemoryModel.from_shapes(plain.model, GPU_GIB * GIB)})


def wrong_profile(factor: float = 3.0) -> Profile:
    """Where a fit starts from: nothing in it that is fitted is right."""
    true = true_profile()
    wrong = {name: factor * getattr(true.step_cost, name) for name in StepCost.model_fields}
    settings = {name: getattr(true.step_cost, name) for name in ("graph_tokens", "split_tokens")}
    return true.model_copy(
        update={
            "name": "wrong",
            "step_cost": StepCost(**{**wrong, **settings}),
            "request_latency": 0.5,
            "scheduler_cost": true.scheduler_cost.model_copy(update={"base": 1e-3, "per_waiting": 1e-4}),
            "error": ProfileError(runs=9, throughput=9, itl=9, ttft=9, starvation=9),
            "spread": (Spread(regime="calm", runs=9, throughput=0.9),),
            "price_per_hour": 9.0,
        }
    )


def setup(start: str | None = None, **fields: object) -> Setup:
    """The server that was measured."""
    model = plain_profile().model
    fields = {"name": "made", "hardware": "paper", "gpu_gib": GPU_GIB, "model": model, "vllm_version": "0.8.5", **fields}
    return Setup(start=start, **fields)


def measured(profile: Profile, slots: int, rank: int, adapters: int, rate: float, **fields: object) -> MeasuredRun:
    """What a benchmark of 60 seconds would report if the profile were true."""
    server = Server(max_loras=slots, max_lora_rank=rank, max_cpu_loras=max(slots, adapters))
    workload = Workload(
        [Adapter(f"a{i}", rank, rate) for i in range(adapters)],
        lengths=Lengths.lognormal(input_mean=250, input_cv=0.8, output_mean=60, output_cv=0.8),
        duration=60.0,
    )
    run = simulate(profile, server, workload)
    figures = {
        "throughput": run.throughput,
        "starved": run.starved,
        "itl_mean": run.itl.mean,
        "itl_p99": run.itl.p99,
        "tpot_mean": run.tpot.mean,
        "ttft_p50": run.ttft.p50,
        "mean_waiting": run.mean_waiting,
    }
    name = f"{slots} slots of rank {rank}, {adapters} adapters at {rate}/s"
    return MeasuredRun(name=name, server=server, workload=workload, **{**figures, **fields})


def runs_of(profile: Profile) -> tuple[MeasuredRun, ...]:
    """A dozen short runs, from light load to overload."""
    return tuple(measured(profile, *configuration) for configuration in CONFIGURATIONS)


def seconds_of(profile: Profile, slots: int, rank: int, tokens: int, context: int, adapters: int, running: int) -> float:
    """From the start of a step to the start of the next, if the profile were true and nobody waits."""
    cost = profile.step_cost.resolve(max_loras=slots, max_lora_rank=rank)
    planning = scheduler_seconds(profile.scheduler_cost.coefficients(), running, 0)
    return step_seconds(cost, tokens, context, adapters) + planning


def steps_of(profile: Profile) -> pl.DataFrame:
    """Steps on a grid of everything that they cost."""
    rows = [
        (slots, rank, tokens, context, adapters, min(tokens, 100), seconds_of(*which, min(tokens, 100)))
        for which in (
            (profile, slots, rank, tokens, context, adapters)
            for (slots, rank), tokens, context, adapters in product(
                ((0, 8), (4, 8), (16, 32), (32, 16)), (1, 8, 60, 120, 130, 400, 600, 2000), (0, 5_000, 40_000), (0, 1, 4, 16)
            )
            if adapters <= slots
        )
        for _, slots, rank, tokens, context, adapters in (which,)
    ]
    names = ["max_loras", "max_lora_rank", "tokens", "context", "adapters", "running", "seconds"]
    return pl.DataFrame(rows, schema=names, orient="row")


def planning_of(profile: Profile) -> pl.DataFrame:
    """The scheduler's time of steps with few and many requests, and of one in which some wait."""
    cost = profile.scheduler_cost.coefficients()
    rows = [(running, waiting, scheduler_seconds(cost, running, waiting)) for running, waiting in PLANS]
    return pl.DataFrame(rows, schema=["running", "waiting", "seconds"], orient="row")


PLANS = ((1, 0), (10, 0), (50, 0), (200, 0), (200, 5000))
