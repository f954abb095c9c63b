"""Simulated measurements: what would be measured on a server with the costs of a given profile."""

from itertools import product

import polars as pl
from tests.twin.scenarios import plain_profile

from adaptwin import Adapter, Lengths, Profile, Server, Workload, simulate
from adaptwin.calibration.measurements import MeasuredRun, Setup
from adaptwin.calibration.step_terms import STEP_TERMS
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.profile import ProfileError, Spread
from adaptwin.profile.scheduler_cost import SchedulerCost, scheduler_seconds
from adaptwin.profile.step_cost import step_seconds
from adaptwin.twin.step_coefficients import step_coefficients

GPU_GIB = 10.0
CONFIGURATIONS = (  # slots, rank, adapters, requests/s per adapter
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
SERVERS = ((0, 8), (4, 8), (16, 32), (32, 16))  # slots, rank
STEPS = ((1, 8, 60, 120, 130, 400, 600, 2000), (0, 5_000, 40_000), (0, 1, 4, 16))  # tokens, context, adapters


def plain_setup(start: object = None, **fields: object) -> Setup:
    """Return the setup of the measured server."""
    given = {"name": "made", "hardware": "paper", "gpu_gib": GPU_GIB, "vllm_version": "0.8.5", **fields}
    return Setup(start=None if start is None else str(start), model=plain_profile().model, **given)


def true_profile() -> Profile:
    """Return the plain profile with memory from the model's shapes, and noticeable costs of waiting and of listing."""
    plain = plain_profile()
    memory = MemoryModel.from_shapes(plain.model, GPU_GIB * GIB)
    scheduler = plain.scheduler_cost.model_copy(update={"per_waiting": 10e-6})
    step = plain.step_cost.model_copy(update={"per_listed_adapter": 20e-6})
    return plain.model_copy(update={"memory": memory, "scheduler_cost": scheduler, "step_cost": step})


def wrong_profile(factor: float = 3.0) -> Profile:
    """Return a profile to start a fit from: steps are slower by `factor`, and all other fitted costs are wrong, too."""
    true = true_profile()
    update = {
        "name": "wrong",
        "step_cost": slower(true, factor).step_cost,
        "scheduler_cost": SchedulerCost(base=1e-3, per_running=1e-3, per_waiting=1e-3),
        "request_latency": 0.5,
        "error": ProfileError(runs=9, throughput=9, itl=9, ttft=9, starvation=9),
        "spread": (Spread(regime="calm", runs=9, throughput=0.9),),
        "price_per_hour": 9.0,
    }
    return true.model_copy(update=update)


def slower(profile: Profile, factor: float) -> Profile:
    """Return the profile with steps that take `factor` times as long."""
    cost = profile.step_cost
    update = {name: factor * getattr(cost, name) for name in STEP_TERMS}
    return profile.model_copy(update={"step_cost": cost.model_copy(update=update)})


def measured(profile: Profile, slots: int, rank: int, adapters: int, rate: float, **fields: object) -> MeasuredRun:
    """Return what a benchmark of 60 seconds would report on a server with the costs of the profile."""
    server = Server(max_loras=slots, max_lora_rank=rank, max_cpu_loras=max(slots, adapters))
    workload = Workload(
        [Adapter(f"a{i}", rank, rate) for i in range(adapters)],
        lengths=Lengths.lognormal(input_mean=250, input_cv=0.8, output_mean=60, output_cv=0.8),
        duration=60.0,
    )
    run = simulate(profile, server, workload, scrape_every=fields.get("scrape_every"))
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
    """Return a dozen short runs, from light load to overload."""
    return tuple(measured(profile, *configuration) for configuration in CONFIGURATIONS)


def seconds_of(profile: Profile, server: tuple[int, int], tokens: int, context: int, adapters: int) -> float:
    """Return the seconds from the start of a step to the start of the next one, without waiting requests."""
    cost = step_coefficients(profile, Server(max_loras=server[0], max_lora_rank=server[1])).with_listed(adapters)
    running = running_in(tokens)
    planning = scheduler_seconds(profile.scheduler_cost.coefficients(), running, 0)
    pairs = round(tokens * (tokens / running + 1) / 2) if tokens > running else 0
    seconds = step_seconds(cost, tokens=tokens, sequences=running, adapters=adapters, context=context, pairs=pairs)
    return seconds + planning


def running_in(tokens: int) -> int:
    """Return the number of requests in a step of this many tokens."""
    return min(tokens, 100)


def steps_of(profile: Profile) -> pl.DataFrame:
    """Return steps on a grid of servers, tokens, context and adapters."""
    rows = [
        (*server, *step, running_in(step[0]), seconds_of(profile, server, *step))
        for server, *step in product(SERVERS, *STEPS)
        if step[-1] <= server[0]
    ]
    names = ["max_loras", "max_lora_rank", "tokens", "context", "adapters", "running", "seconds"]
    return pl.DataFrame(rows, schema=names, orient="row")


def planning_of(profile: Profile) -> pl.DataFrame:
    """Return the scheduler's time for steps of few and of many requests, and for one with waiting requests."""
    cost = profile.scheduler_cost.coefficients()
    plans = ((1, 0), (10, 0), (50, 0), (200, 0), (200, 5000))
    rows = [(running, waiting, scheduler_seconds(cost, running, waiting)) for running, waiting in plans]
    return pl.DataFrame(rows, schema=["running", "waiting", "seconds"], orient="row")


def loads_of(profile: Profile) -> pl.DataFrame:
    """Return loads from both sources, of adapters that fill their slots and of some that do not."""
    cost = profile.load_cost
    sizes = ((8, 8), (8, 32), (16, 32), (32, 32))
    rows = [("host", rank, padded, cost.to_gpu(rank, padded)) for rank, padded in sizes]
    rows += [("disk", rank, padded, cost.from_disk(rank)) for rank, padded in sizes]
    return pl.DataFrame(rows, schema=["source", "rank", "max_lora_rank", "seconds"], orient="row")
