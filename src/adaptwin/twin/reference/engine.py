"""The twin's readable specification: vLLM's V1 engine with LoRA, one step at a time, no tricks.

Read it next to vllm/v1/core/sched/scheduler.py (`Scheduler.schedule`) and vllm/lora/worker_manager.py
(`LRUCacheWorkerLoRAManager`). Each count has one owner: blocks belong to `KVCache`, adapters in memory to
`AdapterSlots`, queues to `Scheduler`, the clock to `ReferenceTwin`. The scheduler never reads how long an answer
will be. The compiled kernel does the same to the last digit.
"""

import itertools
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from adaptwin.profile.scheduler_cost import scheduler_seconds
from adaptwin.profile.scrape_cost import scrape_seconds
from adaptwin.profile.step_cost import step_seconds
from adaptwin.twin.scenario import NOT_YET, Adapters, Outcome, Sample, Scenario
from adaptwin.twin.server import Limits
from adaptwin.twin.step_totals import STEP_TOTALS, StepTotals, add_step
from adaptwin.twin.token_gaps import GAP_BINS, gap_bin
from adaptwin.workload.drawing.requests import NANOSECONDS


@dataclass(slots=True, eq=False)
class Request:
    """One request and how far it has come."""

    index: int
    adapter: int
    needs_slot: bool
    prompt: int
    max_tokens: int  # of the answer; a plan looks at it only while the last token is being made
    computed: int = 0  # tokens whose keys and values are in the cache, or will be when the batches in flight are done
    promised: int = 0  # tokens being made by batches in flight: vLLM's num_output_placeholders
    blocks: int = 0
    token_times: list[int] = field(default_factory=list)
    joined: set[int] = field(default_factory=set)  # tokens that reached the client in the chunk of the one before

    @property
    def known_tokens(self) -> int:
        """Prompt and generated tokens: what must be computed before the next token can be sampled."""
        return self.prompt + len(self.token_times) + self.promised

    @property
    def is_prefill(self) -> bool:
        """Whether its next step computes more than the token sampled last."""
        return self.known_tokens - self.computed > 1 or self.known_tokens == self.prompt

    @property
    def is_ending(self) -> bool:
        """Whether its last token is being made, so that no further step is needed."""
        return self.promised > 0 and len(self.token_times) + self.promised == self.max_tokens


class KVCache:
    """Blocks of keys and values."""

    def __init__(self, limits: Limits) -> None:
        self.block_size, self.total = limits.block_size, limits.kv_blocks
        self.free = limits.kv_blocks

    def blocks_for(self, tokens: int) -> int:
        """Blocks that hold this many tokens."""
        return -(-tokens // self.block_size)

    def fits(self, request: Request, tokens: int, keep_free: int = 0) -> bool:
        """Whether the request can grow to this many tokens."""
        return self.blocks_for(tokens) - request.blocks <= self.free - keep_free

    def grow(self, request: Request, tokens: int) -> None:
        """Give the request the blocks for this many tokens."""
        more = self.blocks_for(tokens) - request.blocks
        self.free -= more
        request.blocks += more
        assert self.free >= 0

    def release(self, request: Request) -> None:
        """Take all of the request's blocks back."""
        self.free += request.blocks
        request.blocks = 0
        assert self.free <= self.total


class AdapterSlots:
    """Adapters on the GPU and in host memory: two LRU caches, touched together."""

    def __init__(self, limits: Limits, adapters: Adapters) -> None:
        self.max_loras, self.max_cpu_loras = limits.max_loras, limits.max_cpu_loras
        self.adapters = adapters
        self.gpu: OrderedDict[int, None] = OrderedDict()
        self.host: OrderedDict[int, None] = OrderedDict()
        self.gpu_loads = self.disk_loads = 0
        self.bring(int(adapter) for adapter in np.flatnonzero(adapters.needs_slot))  # as --lora-modules does
        self.gpu_loads = self.disk_loads = 0  # start-up does not count

    def bring(self, adapters: Iterable[int]) -> int:
        """Load what is missing, one after the other; returns the nanoseconds it takes.

        Room is made by evicting the oldest adapter, even one that this same step still needs.
        """
        time = 0
        for adapter in adapters:
            if adapter not in self.host:
                if len(self.host) == self.max_cpu_loras:
                    oldest, _ = self.host.popitem(last=False)
                    self.gpu.pop(oldest, None)
                time += int(self.adapters.disk_load[adapter])
                self.disk_loads += 1
            if adapter not in self.gpu:
                if len(self.gpu) == self.max_loras:
                    self.gpu.popitem(last=False)
                time += int(self.adapters.gpu_load[adapter])
                self.gpu_loads += 1
            for cache in (self.host, self.gpu):
                cache[adapter] = None
                cache.move_to_end(adapter)
        return time


@dataclass(slots=True)
class Batch:
    """What one step computes. It is empty when every request that runs has its last token in flight."""

    tokens: dict[Request, int]  # in the order they were scheduled
    preempted: int

    def is_empty(self) -> bool:
        """Whether nothing was scheduled."""
        return not self.tokens

    @property
    def adapters(self) -> set[int]:
        """Adapters that need a slot in this step."""
        return {request.adapter for request in self.tokens if request.needs_slot}


class Scheduler:
    """The waiting queue, the running list, and vLLM's policy between them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.cache = KVCache(limits)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []

    def schedule(self) -> Batch:
        """Plan one step: running requests first; then, if none was preempted, waiting ones."""
        batch = Batch({}, preempted=0)
        self._schedule_running(batch)
        if not batch.preempted:
            self._schedule_waiting(batch)
        return batch

    def _schedule_running(self, batch: Batch) -> None:
        budget = self.limits.token_budget
        position = 0
        while position < len(self.running):
            request = self.running[position]
            if request.is_ending:
                position += 1
                continue
            tokens = min(request.known_tokens - request.computed, budget)
            while not self.cache.fits(request, request.computed + tokens):
                batch.preempted += 1
                if self._preempt_last() is request:
                    return
            self._take(batch, request, tokens)
            budget -= tokens
            position += 1

    def _schedule_waiting(self, batch: Batch) -> None:
        budget = self.limits.token_budget - sum(batch.tokens.values())
        in_batch = batch.adapters
        skipped: list[Request] = []
        while self.waiting and budget > 0 and len(self.running) < self.limits.max_num_seqs:
            request = self.waiting[0]
            if request.needs_slot and request.adapter not in in_batch and len(in_batch) == self.limits.max_loras:
                skipped.append(self.waiting.popleft())
                continue
            tokens = min(request.known_tokens, budget)
            if not self._may_admit(request, tokens):
                break
            self.running.append(self.waiting.popleft())
            self._take(batch, request, tokens)
            budget -= tokens
            if request.needs_slot:
                in_batch.add(request.adapter)
        self.waiting.extendleft(reversed(skipped))

    def _may_admit(self, request: Request, tokens: int) -> bool:
        needed = request.known_tokens if self.limits.reserve_whole_prompt else tokens
        return self.cache.fits(request, needed, keep_free=self.limits.watermark_blocks if self.running else 0)

    def _take(self, batch: Batch, request: Request, tokens: int) -> None:
        self.cache.grow(request, request.computed + tokens)
        batch.tokens[request] = tokens

    def _preempt_last(self) -> Request:
        """Free the last running request's blocks; its tokens are computed again later.

        A token that is just being made is delivered all the same, before the next plan.
        """
        request = self.running.pop()
        self.cache.release(request)
        request.computed = 0
        self.waiting.appendleft(request)
        return request

    def finish(self, request: Request) -> None:
        """The request has its last token, and leaves; it may have been preempted while that token was being made."""
        (self.running if request in self.running else self.waiting).remove(request)
        self.cache.release(request)


class ApiServer:
    """The process between the client and the engine, which stands still while its metrics are written out.

    A request that comes during a stall reaches the engine at its end, and tokens made during a stall reach the client
    at its end: those of one request in one chunk, unless steps yield more tokens than the server's output handler takes
    at once; then it lets the streams run in between, and each token is a chunk of its own.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.every = scenario, scenario.window.scrape_every
        self.seen: set[tuple[frozenset[int], frozenset[int]]] = set()
        self.labels = self.stalled = 0
        self.stall = (0, 0)  # the last one: start and end
        self.next_scrape = self.every

    def note(self, running: Iterable[Request], waiting: Iterable[Request]) -> None:
        """The engine reports which adapters run after a step, and which wait by then."""
        if not self.every:
            return
        combination = tuple(frozenset(r.adapter for r in group if r.needs_slot) for group in (running, waiting))
        if combination not in self.seen:
            self.seen.add((combination[0], combination[1]))
            self.labels += len(combination[0]) + len(combination[1])

    def passes(self, time: int) -> int:
        """When something that comes at `time` gets through; times must not go back."""
        while self.every and self.next_scrape <= time:
            seconds = scrape_seconds(self.scenario.scrape_cost, len(self.seen), self.labels)
            end = self.next_scrape + int(seconds * NANOSECONDS + 0.5)
            self.stall = (self.next_scrape, end)
            self.stalled += end - self.next_scrape
            self.next_scrape = end + self.every
        start, end = self.stall
        return end if start <= time < end else time


class Flight(NamedTuple):
    """A batch on its way through the model."""

    batch: Batch
    sampled: list[Request]  # who gets a token from it
    end: int


class ReferenceTwin:
    """The engine's loop around the scheduler, and what a client sees of it.

    With asynchronous scheduling (vllm/v1/engine/core.py, `step_with_batch_queue`) two batches are in flight: while one
    computes, the next is planned, with what was known when the one before came back.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.window = scenario, scenario.window
        self.scheduler = Scheduler(scenario.limits)
        self.slots = AdapterSlots(scenario.limits, scenario.adapters)
        self.api = ApiServer(scenario)
        self.clock = 0
        self.flights: deque[Flight] = deque()
        self.most_flights = 2 if scenario.limits.async_scheduling else 1
        self.steps = self.reported = self.preemptions = self.load_time = self.finished_tokens = 0
        self.arrivals = deque(self._requests())
        self.arrived: list[Request] = []
        self.rejected: set[int] = set()
        self.finish_times: dict[int, int] = {}
        self.time_of: dict[str, int] = defaultdict(int)
        self.samples: list[Sample] = []
        self.step_totals = np.zeros(1, STEP_TOTALS).view(np.recarray)[0]

    def _requests(self) -> list[Request]:
        requests, needs_slot = self.scenario.requests, self.scenario.adapters.needs_slot
        return [
            Request(i, int(a), bool(needs_slot[a]), int(p), int(answer))
            for i, (a, p, answer) in enumerate(zip(requests.adapter, requests.input, requests.output, strict=True))
        ]

    def run(self) -> Outcome:
        """Play the scenario to its end."""
        while True:
            self._receive()
            self._report()
            if not self.scheduler.waiting and not self.scheduler.running:
                if not self.arrivals:
                    self._idle_until(self.clock if self.window.drain else max(self.clock, self.window.end))
                    break
                self._idle_until(self.api.passes(self._next_arrival()))
                continue
            if not self._step():
                break
        return self._outcome()

    def _receive(self) -> None:
        """Requests that have arrived by now join the queue, unless the client is out of connections."""
        limit = self.window.max_in_flight
        while self.arrivals and self._next_arrival() <= self.clock:
            if self.api.passes(self._next_arrival()) > self.clock:
                return
            if limit and len(self.scheduler.running) + len(self.scheduler.waiting) >= limit:
                return
            request = self.arrivals.popleft()
            self.arrived.append(request)
            if self._too_long(request):
                self.rejected.add(request.index)
            else:
                self.scheduler.waiting.append(request)

    def _report(self) -> None:
        """Tell the API server who runs and who waits, once after every step."""
        if self.steps > self.reported:
            self.reported = self.steps
            self.api.note(self.scheduler.running, self.scheduler.waiting)

    def _next_arrival(self) -> int:
        return int(self.scenario.requests.arrival[self.arrivals[0].index])

    def _too_long(self, request: Request) -> bool:
        """Whether vLLM refuses the request, or could never hold it."""
        asked = int(self.scenario.requests.asked[request.index])
        cache = self.scheduler.cache
        held = cache.blocks_for(request.prompt + request.max_tokens - 1)
        return request.prompt + asked > self.scenario.limits.max_model_len or held > cache.total

    def _idle_until(self, time: int) -> None:
        assert not self.flights
        self._record(time, Batch({}, 0))
        self.clock = time

    def _step(self) -> bool:
        """Plan a batch, and take the oldest one's tokens unless another can be planned first.

        False when this would end after a cut window.
        """
        batch = self.scheduler.schedule()
        self.preemptions += batch.preempted
        end = self._launch(batch)
        lands = batch.is_empty() or len(self.flights) == self.most_flights
        if lands:
            end = max(end, self.flights[0].end)
        computing = self.flights[0].batch
        self._account(end, len(computing.adapters))
        self._record(end, computing)
        if end > self.window.end and not self.window.drain:
            self.clock = self.window.end
            return False
        self.clock = end
        if lands:
            self._land(self.flights.popleft())
        return True

    def _launch(self, batch: Batch) -> int:
        """Send a batch to the model, which starts on it when done with the one before; returns when it was planned.

        The scheduler goes on as if the batch were computed, but for the tokens that it will yield.
        """
        adapters = batch.adapters
        planning, forward = self._durations(batch)
        planned = self.clock + planning
        if not batch.is_empty():
            loading = self.slots.bring(sorted(adapters, key=lambda a: int(self.scenario.adapters.position[a])))
            self.load_time += loading
            start = max(planned, self.flights[-1].end) if self.flights else planned
            for request, tokens in batch.tokens.items():
                request.computed += tokens
            sampled = [request for request in batch.tokens if request.computed == request.known_tokens]
            for request in sampled:
                request.promised += 1
            self.flights.append(Flight(batch, sampled, start + loading + forward))
        return planned

    def _land(self, flight: Flight) -> None:
        """The batch's tokens are there."""
        self.steps += 1
        seen = self.api.passes(self.clock)
        seen = seen if self.window.drain else min(seen, self.window.end)
        together = len(flight.sampled) <= self.scenario.limits.output_chunk
        for request in flight.sampled:
            request.promised -= 1
            self._emit(request, seen, together)

    def _durations(self, batch: Batch) -> tuple[int, int]:
        """Nanoseconds of planning the batch and of its forward pass; what is in it is added to the step totals."""
        decodes = [request for request in batch.tokens if not request.is_prefill]
        tokens = sum(batch.tokens.values())
        context = sum(request.computed for request in decodes)
        running, waiting = len(batch.tokens), len(self.scheduler.waiting)
        cost, adapters = self.scenario.step_cost, len(batch.adapters)
        planning = scheduler_seconds(self.scenario.scheduler_cost, running, waiting)
        forward = step_seconds(cost, tokens, context, adapters)
        if self.window.step_totals and running:
            add_step(
                self.step_totals, tokens, context, adapters, running, waiting, cost.graph_tokens, cost.split_tokens
            )
        both = int((planning + forward) * NANOSECONDS + 0.5)
        return int(planning * NANOSECONDS + 0.5), both - int(planning * NANOSECONDS + 0.5)

    def _emit(self, request: Request, seen: int, together: bool) -> None:
        """The request yields a token, which the client sees at `seen`; with the last one it leaves."""
        if together and request.token_times and request.token_times[-1] == seen:
            request.joined.add(len(request.token_times))
        request.token_times.append(seen)
        if len(request.token_times) == request.max_tokens:
            self.finish_times[request.index] = seen
            self.finished_tokens += request.prompt + request.max_tokens
            self.scheduler.finish(request)

    def _account(self, end: int, adapters: int) -> None:
        """Add the step's part of the window to the integrals."""
        until = end if self.window.drain else min(end, self.window.end)
        time = max(0, until - max(self.clock, self.window.warmup))
        cache = self.scheduler.cache
        self.time_of["running"] += len(self.scheduler.running) * time
        self.time_of["waiting"] += len(self.scheduler.waiting) * time
        self.time_of["kv"] += (cache.total - cache.free) * time
        self.time_of["adapter"] += adapters * time
        self.time_of["busy"] += time

    def _record(self, until: int, batch: Batch) -> None:
        """Sample the state at every sampling time before `until`."""
        every, cache = self.window.sample_every, self.scheduler.cache
        while every and (time := len(self.samples) * every) < min(until, self.window.end):
            running, waiting = len(self.scheduler.running), len(self.scheduler.waiting)
            used = cache.total - cache.free
            self.samples.append(
                Sample(time, running, waiting, used, len(batch.adapters), self.finished_tokens, self.preemptions)
            )

    def _outcome(self) -> Outcome:
        count = len(self.scenario.requests.arrival)
        first, finish = np.full(count, NOT_YET, np.int64), np.full(count, NOT_YET, np.int64)
        generated = np.zeros(count, np.int32)
        for request in self.arrived:
            generated[request.index] = len(request.token_times)
            if request.token_times:
                first[request.index] = request.token_times[0]
            finish[request.index] = self.finish_times.get(request.index, NOT_YET)
        gaps, gap_sum = self._gaps()
        return Outcome(
            first_token=first,
            finish=finish,
            generated=generated,
            rejected=np.isin(np.arange(count), list(self.rejected)),
            running=np.isin(np.arange(count), [request.index for request in self.scheduler.running]),
            arrived=len(self.arrived),
            steps=self.steps,
            end=self.clock,
            preemptions=self.preemptions,
            gpu_loads=self.slots.gpu_loads,
            disk_loads=self.slots.disk_loads,
            load_time=self.load_time,
            gaps=gaps,
            gap_sum=gap_sum,
            label_sets=len(self.api.seen),
            labels=self.api.labels,
            stalled=self.api.stalled,
            running_time=self.time_of["running"] / NANOSECONDS,
            waiting_time=self.time_of["waiting"] / NANOSECONDS,
            kv_time=self.time_of["kv"] / NANOSECONDS,
            adapter_time=self.time_of["adapter"] / NANOSECONDS,
            busy_time=self.time_of["busy"] / NANOSECONDS,
            samples=np.array(self.samples, dtype=np.int64).reshape(-1, len(Sample._fields)),
            step_totals=StepTotals(*self.step_totals.item()),
        )

    def _gaps(self) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], int]:
        """Inter-token gaps of finished requests that ended after the warm-up."""
        gaps, gap_sum = np.zeros(GAP_BINS, np.int64), 0
        for request in self.arrived:
            if request.index in self.finish_times:
                for token, (before, after) in enumerate(itertools.pairwise(request.token_times), start=1):
                    if after > self.window.warmup and token not in request.joined:
                        gaps[gap_bin(after - before)] += 1
                        gap_sum += after - before
        return gaps, gap_sum
