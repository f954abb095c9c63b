"""A hand-made plan with plausible numbers, so that tests of the report need no strategy."""

from collections.abc import Callable

import numpy as np
import pytest

from adaptwin.plan.forecast import Forecast, TriedSlots
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.measured import MeasuredRange
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.profile import Profile, ProfileError
from adaptwin.profile.scheduler_cost import SchedulerCost
from adaptwin.profile.step_cost import StepCost
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import simulate
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Adapter, Workload

RANKS = (8, 16, 32)
TOKENS = 481  # per request: 250 in, 231 out


def make_profile(name: str = "h100-64gb-llama-3.1-8b-instruct") -> Profile:
    model = ModelShape(
        name="Llama-3.1-8B-Instruct",
        hidden=4096,
        layers=32,
        heads=32,
        kv_heads=8,
        head_dim=128,
        intermediate=14336,
        vocabulary=128256,
        max_model_len=131072,
    )
    profile = Profile(
        name=name,
        hardware="NVIDIA H100 64 GB",
        model=model,
        vllm_version="0.8.5",
        source="216 runs of 20 minutes, one server, 8 to 384 adapters",
        error=ProfileError(runs=216, throughput=2.1, itl=4.3, ttft=11.2, starvation=98.6),
        request_latency=0.02,
        memory=MemoryModel.from_shapes(model, 63.4 * GIB),
        step_cost=StepCost(
            host_base=0.0045,
            weights=0.008,
            balance_tokens=450.0,
            per_token=3e-6,
            per_pair=9e-10,
            per_context_token=7e-8,
            per_sequence=7e-6,
            launched_block=8e-10,
            lora_launch=4e-6,
            lora_byte=2e-12,
            shrink_block=7e-9,
            expand_block=2.3e-8,
        ),
        load_cost=LoadCost(gpu_base=0.0065, gpu_per_rank=0, gpu_per_padding=5e-5, disk_base=0.05, disk_per_rank=0.002),
        scheduler_cost=SchedulerCost(base=2e-5, per_running=4e-6, per_waiting=3e-7),
    )
    return profile.model_copy(update={"measured": measured_of(profile)})


def measured_of(profile: Profile) -> MeasuredRange:
    """Return made-up ranges of runs that the profile was compared with."""
    return MeasuredRange(
        constants=profile.fingerprint,
        prompt=(250, 250),
        answer=(231, 231),
        longest_prompt=1024,
        longest_answer=1024,
        arrivals=("poisson",),
        request_rate=300.0,
        adapters=384,
        rank=32,
        max_lora_rank=(8, 32),
        max_loras=(8, 384),
        max_num_seqs=(256, 2048),
        max_num_batched_tokens=(2048, 2048),
    )


def _choices(chosen: int, rate: float) -> tuple[TriedSlots, ...]:
    """Make slot choices: throughput rises up to enough slots, then falls as they take KV cache; 96 do not start."""
    choices = []
    for slots in (4, 8, 16, 24, 32, 48, 64):
        served = rate * TOKENS * min(0.985, 0.35 + slots / (1.5 * chosen), max(0.2, 1.6 - slots / (2.4 * chosen)))
        choices.append(
            TriedSlots(
                max_loras=slots,
                starts=True,
                throughput=served,
                itl_mean=0.024 + 0.0004 * slots,
                ttft_p50=0.05 + 2.0 / slots,
                kv_cache_tokens=300_000 - 2_900 * slots,
                verdict="ok" if served >= 0.9 * rate * TOKENS else "starved",
            )
        )
    return (*choices, TriedSlots(max_loras=96, starts=False))


def _forecast(index: int, rate: float) -> Forecast:
    bindings = ("compute", "memory", "slots", "slo")
    return Forecast(
        throughput=0.985 * rate * TOKENS,
        offered_throughput=rate * TOKENS,
        request_rate=rate,
        ttft_p50=0.048 + 0.011 * index,
        ttft_p99=0.31 * (1 + index % 5) ** 1.7,
        itl_mean=0.029 + 0.002 * (index % 7),
        itl_p99=0.061 + 0.006 * (index % 7),
        kv_usage=0.41 + 0.09 * (index % 6),
        mean_running=11.4,
        busy=0.93,
        preemptions=3 * (index % 4),
        verdict="ok",
        headroom=0.27 - 0.06 * (index % 5),
        binding=bindings[index % 4],
    )


def _workload(adapters: int, gpus: int) -> Workload:
    """Make a workload of Zipf-like popularity, with a hot adapter first and ranks drawn 60/30/10."""
    generator = np.random.default_rng(0)
    rates = 1.0 / np.arange(1, adapters + 1) ** 0.8
    rates *= 9.0 * gpus / rates.sum()
    ranks = generator.choice(RANKS, size=adapters, p=(0.6, 0.3, 0.1))
    pairs = enumerate(zip(ranks.tolist(), rates.tolist(), strict=True))
    rows = tuple(Adapter(name=f"tenant-{i:03d}", rank=rank, rate=rate) for i, (rank, rate) in pairs)
    return Workload(adapters=rows, lengths=Lengths.fixed(250, 231))


@pytest.fixture(name="make_plan", scope="session")
def make_plan_fixture() -> Callable[..., Plan]:
    return make_plan


@pytest.fixture(scope="session")
def plan() -> Plan:
    return make_plan()


def make_plan(*, gpus: int = 4, adapters: int = 200, profiles: int = 1, forecast: bool = True) -> Plan:
    """Make a plan with round-robin placement; the most popular adapter is split over the first two GPUs."""
    workload = _workload(adapters, gpus)
    dealt: list[dict[str, float]] = [{} for _ in range(gpus)]
    for position, adapter in enumerate(workload.adapters):
        dealt[position % gpus][adapter.name] = 1.0
    if gpus > 1 and adapters:
        dealt[0][workload.adapters[0].name] = 0.4
        dealt[1][workload.adapters[0].name] = 0.6
    made = tuple(make_profile(f"h100-64gb-llama-3.1-8b-instruct{'-b' * i}") for i in range(profiles))
    servers = []
    for index, shares in enumerate(dealt):
        rate, slots = workload.part(shares).rate, (16, 24, 32)[index % 3]
        placed = PlacedServer(
            name=f"gpu-{index}",
            profile=made[index % profiles].name,
            server=Server(
                max_loras=slots, max_lora_rank=32, max_cpu_loras=max(slots, len(shares)), max_model_len=16384
            ),
            adapters=shares,
            forecast=_forecast(index, rate) if forecast else None,
            choices=_choices(slots, rate) if forecast else (),
        )
        servers.append(placed)
    return Plan(
        options=PlanOptions(headroom=0.03),
        seed=7,
        lower_bound=max(1, gpus - 1),
        verified=True,
        planning_seconds=1.24,
        servers=tuple(servers),
        profiles=made,
        workload=workload,
    )


@pytest.fixture(scope="session")
def overloaded() -> Run:
    """Return a run in which more than ten adapters are not ok."""
    plan = make_plan(gpus=4, adapters=60)
    server = plan.servers[0].server.model_copy(update={"max_loras": 4, "max_cpu_loras": 60})
    workload = plan.workload.model_copy(update={"duration": 300.0})
    return simulate(plan.profiles[0], server, workload.scaled(1.5), repeats=2, warmup=10.0)
