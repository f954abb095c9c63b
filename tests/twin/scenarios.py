"""Scenarios for tests of the twin: random small ones, hand-made ones, and a profile of round numbers."""

import itertools
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from tests.effort import examples
from tests.twin.sharing import shared_requests

from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.memory import MemoryModel
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.profile import Profile
from adaptwin.profile.scheduler_cost import SchedulerCoefficients, SchedulerCost
from adaptwin.profile.scrape_cost import ScrapeCoefficients
from adaptwin.profile.step_cost import StepCoefficients, StepCost
from adaptwin.twin.reference.batch import Batch
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.scenario import Adapters, Outcome, Scenario, Window
from adaptwin.twin.server import NO_QUEUE_LIMIT, Limits
from adaptwin.workload.drawing.requests import Requests

MS = 1_000_000  # nanoseconds

same_every_time = settings(
    max_examples=examples(150),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@st.composite
def scenarios(draw, async_scheduling=st.just(False)) -> Scenario:  # noqa: B008
    """Draw small servers that lack everything: slots, host memory, KV blocks, seats and budget."""
    adapters = draw(_adapters())
    block_size = draw(st.sampled_from([1, 2, 4, 16]))
    kv_blocks = draw(st.integers(1, 240 // block_size))
    max_num_seqs = draw(st.integers(1, 10))
    max_loras = int(adapters.needs_slot.any()) + draw(st.sampled_from([0, 0, 1, 3]))
    limits = Limits(
        block_size=block_size,
        kv_blocks=kv_blocks,
        max_loras=max_loras,
        max_cpu_loras=max_loras + draw(st.integers(0, 3)),
        max_num_seqs=max_num_seqs,
        token_budget=max_num_seqs + draw(st.integers(0, 40)),
        max_model_len=draw(st.integers(30, 90)),
        reserve_whole_prompt=draw(st.booleans()),
        watermark_blocks=draw(st.sampled_from([0, 0, 1, kv_blocks // 4])),
        async_scheduling=draw(async_scheduling),
        prefix_caching=draw(st.booleans()),
        uncached_first=draw(st.booleans()),
        max_num_queued_reqs=draw(st.sampled_from([NO_QUEUE_LIMIT, NO_QUEUE_LIMIT, NO_QUEUE_LIMIT, 0, 3, 12])),
        output_chunk=draw(st.sampled_from([0, 1, 2, 5, 128])),
    )
    requests, how = draw(_requests(len(adapters.needs_slot))), draw(st.none() | st.randoms(use_true_random=False))
    if how:
        requests = shared_requests(how, requests)
        limits = limits._replace(max_model_len=2 * limits.max_model_len)
    return Scenario(
        requests=requests,
        adapters=adapters,
        limits=limits,
        step_cost=draw(
            st.just(STEPS_OF_1_MS) | st.builds(StepCoefficients, **{n: _up_to(m) for n, m in _MOST.items()})
        ),
        scheduler_cost=draw(st.just(FREE_PLANNING) | st.builds(SchedulerCoefficients, *map(_up_to, _MOST_PLANNING))),
        scrape_cost=draw(st.builds(ScrapeCoefficients, _up_to(2e-3), _up_to(2e-4))),
        window=draw(_windows()),
    )


# With `STEPS_OF_1_MS` and `FREE_PLANNING`, steps end exactly when requests arrive, samples are taken and windows close.
STEPS_OF_1_MS = StepCoefficients(
    base=1e-3, weights=0.0, balance=0.0, expert_weights=0.0, untouched=1.0, expert_balance=0.0, per_token=0.0,
    per_pair=0.0, per_context_token=0.0, per_sequence=0.0, eager=0.0, graph_tokens=512, split_tokens=127,
    slots_without_lora=0, slots_with_lora=0, slots_as_needed=False,
    per_slot=0.0, shrink_grid=0.0, expand_grid=0.0, lora_base=0.0, lora_per_token=0.0, shrink_work=0.0,
    lora_per_adapter=0.0, expand_active=0.0, per_listed_adapter=0.0,
)  # fmt: skip
FREE_PLANNING = SchedulerCoefficients(0.0, 0.0, 0.0)
_MOST = {
    "base": 5e-3, "weights": 1e-3, "balance": 1e-2, "expert_weights": 1e-3, "untouched": 1.0,
    "expert_balance": 1e-2, "per_token": 1e-4, "per_pair": 1e-6, "per_context_token": 1e-6,
    "per_sequence": 1e-4, "eager": 1e-3, "graph_tokens": 20, "split_tokens": 12, "slots_without_lora": 3,
    "slots_with_lora": 9, "slots_as_needed": True, "per_slot": 1e-5, "shrink_grid": 1e-6, "expand_grid": 1e-5,
    "lora_base": 1e-3, "lora_per_token": 1e-4, "shrink_work": 1e-7, "lora_per_adapter": 1e-4, "expand_active": 1e-5,
}  # fmt: skip
_MOST_PLANNING = (1e-3, 1e-4, 1e-4)


def _up_to(most: float):
    if isinstance(most, bool):
        return st.booleans()
    return st.integers(0, most) if isinstance(most, int) else st.floats(0, most)


@st.composite
def _adapters(draw) -> Adapters:
    count = draw(st.integers(1, 8))

    def of_each(values):
        return draw(st.lists(values, min_size=count, max_size=count))

    return Adapters(
        needs_slot=np.array(of_each(st.sampled_from([True, True, True, False])), np.bool_),
        gpu_load=np.array(of_each(st.sampled_from([0, MS, 3 * MS]) | st.integers(0, 5 * MS)), np.int64),
        disk_load=np.array(of_each(st.sampled_from([0, 5 * MS]) | st.integers(0, 10 * MS)), np.int64),
        position=np.array(draw(st.permutations(range(count))), np.int64),
    )


@st.composite
def _requests(draw, adapters: int) -> Requests:
    count = draw(st.integers(0, 40))
    latest = draw(st.sampled_from([0, 5, 50, 400]))
    row = st.tuples(st.integers(0, latest), st.integers(0, adapters - 1), st.integers(1, 40), st.integers(1, 40))
    requests = requests_of(draw(st.lists(row, min_size=count, max_size=count)))
    more = draw(st.lists(st.sampled_from([0, 0, 0, 10, 60]), min_size=count, max_size=count))
    return requests._replace(asked=requests.output + np.array(more, np.int32))  # `more` is lost by early ends


@st.composite
def _windows(draw) -> Window:
    end = draw(st.integers(1, 600) | st.integers(1, 60)) * MS
    return Window(
        warmup=draw(st.sampled_from([0, 0, end // 3, end])),
        end=end,
        drain=draw(st.booleans()),
        max_in_flight=draw(st.sampled_from([0, 0, 1, 2, 5, 12])),
        sample_every=draw(st.sampled_from([0, 3 * MS, 10 * MS])),
        scrape_every=draw(st.sampled_from([0, 0, MS, 20 * MS])),
        step_totals=draw(st.booleans()),
    )


def requests_of(rows) -> Requests:
    """Make requests of rows (arrival in milliseconds, adapter, input, output), in order of arrival."""
    table = np.array(sorted(rows, key=lambda row: row[0]), dtype=np.float64).reshape(-1, 4)
    return Requests(
        arrival=(table[:, 0] * MS).astype(np.int64),
        adapter=table[:, 1].astype(np.int32),
        input=table[:, 2].astype(np.int32),
        output=table[:, 3].astype(np.int32),
        asked=table[:, 3].astype(np.int32),
    )


def by_hand(
    rows, *, adapters=1, base_model=(), loads_ms=(0, 0), position=None, window=None, scrape_ms=0, **limits
) -> Scenario:
    """Make a scenario where every step takes 1 ms and only the limits given by name bind.

    `loads_ms` is the load time of every adapter (to the GPU, from disk); adapters in `base_model` need no slot;
    `scrape_ms` is the time that a scrape takes per combination of adapters seen.
    """
    roomy = Limits(
        block_size=16,
        kv_blocks=10_000,
        max_loras=adapters,
        max_cpu_loras=limits.get("max_loras", adapters),
        max_num_seqs=100,
        token_budget=10_000,
        max_model_len=10_000,
        reserve_whole_prompt=False,
        watermark_blocks=0,
    )
    return Scenario(
        requests=requests_of(rows),
        adapters=Adapters(
            needs_slot=np.array([a not in base_model for a in range(adapters)], np.bool_),
            gpu_load=np.full(adapters, loads_ms[0] * MS, np.int64),
            disk_load=np.full(adapters, loads_ms[1] * MS, np.int64),
            position=np.array(range(adapters) if position is None else position, np.int64),
        ),
        limits=roomy._replace(**limits),
        step_cost=STEPS_OF_1_MS,
        scheduler_cost=FREE_PLANNING,
        scrape_cost=ScrapeCoefficients(scrape_ms * 1e-3, 0.0),
        window=Window(**{**_WHOLE_RUN, **(window or {})}),
    )


_WHOLE_RUN = {"warmup": 0, "end": 1000 * MS, "drain": True, "max_in_flight": 0, "sample_every": 0, "scrape_every": 0}


class Step(NamedTuple):
    """The state in one step, after scheduling and loading; requests are given by their indices."""

    start: int
    end: int
    tokens: dict[int, int]  # scheduled tokens by request
    running: tuple[int, ...]
    waiting: tuple[int, ...]
    preempted: int
    skipped: int
    cut_short: bool  # a prefill got fewer tokens than it still needs
    adapters: set[int]  # adapters of the scheduled requests that need a slot
    on_gpu: set[int]
    on_host: set[int]
    blocks_held: int  # by one request or several
    blocks_free: int
    arrived: int
    finished: int
    rejected: int


class WatchedTwin(ReferenceTwin):
    """The reference twin, which also records the state in every step."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.seen: list[Step] = []

    def _observe(self, until: int, batch: Batch) -> None:
        super()._observe(until, batch)
        scheduler, ledger = self.scheduler, self.ledger
        self.seen.append(
            Step(
                start=self.clock,
                end=until,
                tokens={request.index: tokens for request, tokens in batch.num_scheduled_tokens.items()},
                running=tuple(request.index for request in scheduler.running),
                waiting=tuple(request.index for request in scheduler.waiting),
                preempted=len(batch.preempted_reqs),
                skipped=self._skipped(batch),
                cut_short=any(r.num_tokens > r.num_computed_tokens for r in batch.num_scheduled_tokens),
                adapters={r.lora for r in batch.num_scheduled_tokens if r.lora is not None},
                on_gpu=set(self.slots.gpu),
                on_host=set(self.slots.host),
                blocks_held=len({*itertools.chain(*scheduler.kv_cache.held_blocks.values())}),
                blocks_free=scheduler.kv_cache.num_free_blocks,
                arrived=ledger.arrived,
                finished=ledger.finished,
                rejected=len(ledger.rejected),
            )
        )

    def _skipped(self, batch: Batch) -> int:
        """Count the requests skipped for lack of a slot, in a step that scanned the whole waiting queue."""
        limits, waiting = self.scenario.limits, self.scheduler.waiting
        stopped_early = (
            len(batch.preempted_reqs) > 0
            or batch.total_num_scheduled_tokens == limits.token_budget
            or len(self.scheduler.running) == limits.max_num_seqs
        )
        loras = batch.scheduled_loras
        slots_full = len(loras) == limits.max_loras
        lack_a_slot = [slots_full and r.lora is not None and r.lora not in loras for r in waiting]
        return len(waiting) if all(lack_a_slot) and not stopped_early else 0


def watch(scenario: Scenario) -> tuple[Outcome, list[Step]]:
    """Run a scenario on the reference twin; return its outcome and every step, idle times included."""
    twin = WatchedTwin(scenario)
    outcome = twin.run()
    return outcome, twin.seen if twin.seen and twin.seen[-1].tokens else twin.seen[:-1]


def plain_profile() -> Profile:
    """Return a profile of round numbers, for calculations by hand."""
    return Profile(
        name="plain",
        hardware="paper",
        model=ModelShape(
            name="plain", hidden=64, layers=2, heads=4, kv_heads=2, head_dim=16, intermediate=128,
            vocabulary=1000, max_model_len=4096,
        ),
        vllm_version="0.8.5",
        source="made up",
        request_latency=0.005,
        memory=MemoryModel(
            gpu_bytes=10e9, weights_bytes=5e9, activation_bytes=1e9, kv_bytes_per_token=1e5,
            slot_bytes=1e6, slot_bytes_per_rank=1e6,
        ),
        step_cost=StepCost(
            host_base=2e-3, gpu_base=1e-3, weights=12e-3, balance_tokens=240.0, per_token=5e-6, per_pair=1e-9,
            per_context_token=10e-9, per_sequence=10e-6, eager=4e-3,
            slot_launch=5e-6, launched_block=20e-9, lora_launch=125e-6, lora_byte=0.25e-9, adapter_byte=1e-9,
            shrink_block=500e-9, expand_block=10e-6, active_block=2e-6,
        ),
        load_cost=LoadCost(
            gpu_base=2e-3, gpu_per_rank=100e-6, gpu_per_padding=50e-6, disk_base=30e-3, disk_per_rank=1e-3
        ),
        scheduler_cost=SchedulerCost(base=100e-6, per_running=10e-6, per_waiting=1e-6),
    )  # fmt: skip
