"""Random small servers that lack everything, and workloads for them, determined by a seed."""

import random
from typing import NamedTuple

import numpy as np
from tests.twin.sharing import shared_requests

from adaptwin.profile.scheduler_cost import SchedulerCoefficients
from adaptwin.profile.scrape_cost import ScrapeCoefficients
from adaptwin.profile.step_cost import StepCoefficients
from adaptwin.twin.scenario import Adapters, Scenario, Window
from adaptwin.twin.server import Limits
from adaptwin.workload.drawing.requests import Requests

MS = 1_000_000  # nanoseconds


class Case(NamedTuple):
    """A scenario for the twin, and the one setting of vLLM that it does not contain."""

    scenario: Scenario
    watermark: float


def random_case(seed: int, *, asynchronous: bool = False) -> Case:
    """Return a server that lacks slots, blocks, seats or budget; loads take no time, as they are tested separately."""
    rng = random.Random(seed)
    count = rng.choice((1, 2, 5, 8))
    needs_slot = np.array([rng.random() < 0.8 for _ in range(count)], np.bool_)
    block_size = rng.choice((1, 2, 4, 16))
    watermark = rng.choice((0.0, 0.0, 0.05, 0.25, 0.75))
    kv_blocks = rng.choice((rng.randint(1, 80), rng.randint(50, 120), rng.randint(100, 300))) // block_size or 1
    max_num_seqs = rng.choice((1, 3, 10, 10, 40))
    max_loras = rng.choice((1, 1, 2, 4)) if needs_slot.any() else rng.randint(0, 2)
    limits = Limits(
        block_size=block_size,
        kv_blocks=kv_blocks,
        max_loras=max_loras,
        max_cpu_loras=max_loras,
        max_num_seqs=max_num_seqs,
        token_budget=max_num_seqs + rng.choice((0, 1, 5, 40)),
        max_model_len=rng.randint(40, 90),
        reserve_whole_prompt=rng.random() < 0.5,
        watermark_blocks=int(watermark * (kv_blocks + 1)),  # a share of all blocks, including the null block
        async_scheduling=asynchronous,
    )
    scenario = Scenario(
        requests=_requests(rng, count, early=not asynchronous),
        adapters=Adapters(needs_slot, np.zeros(count, np.int64), np.zeros(count, np.int64), np.arange(count)),
        limits=limits,
        step_cost=rng.choice((STEPS_OF_1_MS, StepCoefficients(*(_up_to(rng, most) for most in _MOST_STEP_COST)))),
        scheduler_cost=rng.choice((FREE_PLANNING, SchedulerCoefficients(*(_up_to(rng, x) for x in _MOST_PLANNING)))),
        scrape_cost=ScrapeCoefficients(0.0, 0.0),
        window=Window(warmup=0, end=10**12, drain=True, max_in_flight=0, sample_every=0, scrape_every=0),
    )
    return Case(scenario, watermark)


def random_shared_case(seed: int, *, asynchronous: bool = False) -> Case:
    """Return such a server with prefix caching, and often with few blocks, for prompts that begin alike."""
    case, rng = random_case(seed, asynchronous=asynchronous), random.Random(f"shared {seed}")
    limits = case.scenario.limits._replace(prefix_caching=True, max_model_len=rng.choice((60, 100, 200)))
    if rng.random() < 0.4:
        kv_blocks = rng.randint(60, 160) // limits.block_size
        limits = limits._replace(kv_blocks=kv_blocks, watermark_blocks=int(case.watermark * (kv_blocks + 1)))
    return case._replace(
        scenario=case.scenario._replace(limits=limits, requests=shared_requests(rng, case.scenario.requests))
    )


# With `STEPS_OF_1_MS` and `FREE_PLANNING`, steps end exactly when requests arrive.
STEPS_OF_1_MS = StepCoefficients(1e-3, *(0.0,) * 10, 512, 127, 0, 0, False, *(0.0,) * 9)
FREE_PLANNING = SchedulerCoefficients(0.0, 0.0, 0.0)
_MOST_STEP_COST = StepCoefficients(
    base=5e-3, weights=1e-3, balance=1e-2, expert_weights=1e-3, untouched=1.0, expert_balance=1e-2,
    per_token=1e-4, per_pair=1e-6, per_context_token=1e-6, per_sequence=1e-4,
    eager=1e-3, graph_tokens=20, split_tokens=12, slots_without_lora=3, slots_with_lora=9, slots_as_needed=True,
    per_slot=1e-5, shrink_grid=1e-6, expand_grid=1e-5, lora_base=1e-3, lora_per_token=1e-4, shrink_work=1e-7,
    lora_per_adapter=1e-4, expand_active=1e-5, per_listed_adapter=0.0,
)  # fmt: skip
_MOST_PLANNING = SchedulerCoefficients(8e-3, 1e-4, 1e-4)  # sometimes longer than the forward pass


def _up_to(rng: random.Random, most: float) -> float:
    if isinstance(most, bool):
        return rng.random() < 0.5
    return rng.randint(0, most) if isinstance(most, int) else rng.uniform(0, most)


def _requests(rng: random.Random, adapters: int, *, early: bool) -> Requests:
    """Draw requests; if `early`, some have more `max_tokens` than their answer."""
    latest = rng.choice((0, 5, 50, 400))
    favourite = rng.randrange(adapters)
    rows = sorted(
        (
            rng.randint(0, latest) * MS,
            favourite if rng.random() < 0.3 else rng.randrange(adapters),
            rng.choice((1, rng.randint(1, 8), rng.randint(1, 40))),
            answer := rng.choice((1, 2, rng.randint(1, 40))),
            answer + early * rng.choice((0, 0, 1, 20)),
        )
        for _ in range(rng.choice((3, 15, 40)))
    )
    arrival, adapter, prompt, output, asked = (np.array(column) for column in zip(*rows, strict=True))
    return Requests(
        arrival=arrival.astype(np.int64),
        adapter=adapter.astype(np.int32),
        input=prompt.astype(np.int32),
        output=output.astype(np.int32),
        asked=asked.astype(np.int32),
    )
