"""ReferenceTwin: the engine's loop around the scheduler (vllm/v1/engine/core.py)."""

from collections import deque
from typing import NamedTuple

from adaptwin.profile.scheduler_cost import scheduler_seconds
from adaptwin.profile.step_cost import seconds_besides_cache
from adaptwin.twin.reference.adapter_slots import AdapterSlots
from adaptwin.twin.reference.api_server import ApiServer
from adaptwin.twin.reference.batch import Batch
from adaptwin.twin.reference.ledger import Ledger
from adaptwin.twin.reference.request import Request
from adaptwin.twin.reference.scheduler import Scheduler
from adaptwin.twin.scenario import Outcome, Scenario, require_in_reach
from adaptwin.workload.drawing.requests import NANOSECONDS


class Flight(NamedTuple):
    """A batch that was sent to the model and whose tokens have not been taken yet."""

    batch: Batch
    end: int  # when its forward pass is done, in nanoseconds


class ReferenceTwin:
    """An engine in virtual time, with its client and its API server. The clock counts whole nanoseconds.

    With asynchronous scheduling (`EngineCore.step_with_batch_queue`) up to two batches are in flight: the next batch is
    planned while one is computed, before the tokens of that one are known. Without it (`EngineCore.step`) at most one
    batch is in flight.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.window = scenario, scenario.window
        self.scheduler = Scheduler(scenario.limits, scenario.requests.prefixes)
        self.slots = AdapterSlots(scenario.limits, scenario.adapters)
        self.api = ApiServer(scenario)
        self.ledger = Ledger(scenario)
        self.clock = 0
        self.is_over = False
        self.arrivals = deque(_requests_of(scenario))
        self.batch_queue: deque[Flight] = deque()
        self.batch_queue_size = 2 if scenario.limits.async_scheduling else 1
        self.has_metrics_to_report = False

    def run(self) -> Outcome:
        """Simulate the scenario to its end and return the outcome."""
        while not self.is_over:
            require_in_reach(self.clock, self.ledger.steps)
            self._receive()
            self._report_metrics()
            if self.scheduler.has_requests():
                self._step()
            elif self.arrivals:
                self._idle_until(self.api.passes(self._next_arrival()))
            else:
                self._idle_until(self.clock if self.window.drain else max(self.clock, self.window.end))
                self.is_over = True
        return self.ledger.outcome(self.clock, self.scheduler, self.slots, self.api)

    def _receive(self) -> None:
        """Queue the requests that have arrived by now, as far as the client's limit on open requests allows."""
        limit = self.window.max_in_flight
        while self.arrivals and self._next_arrival() <= self.clock:
            if self.api.passes(self._next_arrival()) > self.clock:
                return
            if limit and len(self.scheduler.running) + len(self.scheduler.waiting) >= limit:
                return
            request = self.arrivals.popleft()
            rejected = self._is_too_long(request) or self._is_full()
            self.ledger.note_request(request, rejected=rejected)
            if not rejected:
                self.scheduler.add_request(request)

    def _next_arrival(self) -> int:
        return int(self.scenario.requests.arrival[self.arrivals[0].index])

    def _is_too_long(self, request: Request) -> bool:
        """Whether the request exceeds `max_model_len`, so that vLLM refuses it, or does not fit in the KV cache."""
        asked = int(self.scenario.requests.asked[request.index])
        kv_cache = self.scheduler.kv_cache
        blocks = kv_cache.num_blocks_for(request.num_prompt_tokens + request.max_tokens - 1)
        return request.num_prompt_tokens + asked > self.scenario.limits.max_model_len or blocks > kv_cache.num_blocks

    def _is_full(self) -> bool:
        """Whether the API server rejects a request for `max_num_queued_reqs` (`AsyncLLM.check_admission`)."""
        unfinished = len(self.scheduler.running) + len(self.scheduler.waiting)
        return unfinished + 1 > self.scenario.limits.max_num_queued_reqs

    def _report_metrics(self) -> None:
        """Report the running and the waiting requests to the API server, once after every step."""
        if self.has_metrics_to_report:
            self.api.update_metrics(self.scheduler.running, self.scheduler.waiting)
            self.has_metrics_to_report = False

    def _idle_until(self, time: int) -> None:
        assert not self.batch_queue
        self._observe(time, Batch())
        self.clock = time

    def _observe(self, until: int, batch: Batch) -> None:
        """Have the ledger count the time from now to `until`, in which the batch is computed."""
        self.ledger.note_time(self.clock, until, self.scheduler, batch)

    def _step(self) -> None:
        """Plan a batch, and take the tokens of the oldest batch in flight unless another batch can be planned first.

        The run is over if the step would end after the end of a window that is cut.
        """
        batch = self.scheduler.schedule()
        self.ledger.note_batch(batch, len(self.scheduler.waiting))
        end = self._execute(batch)
        lands = not batch.num_scheduled_tokens or len(self.batch_queue) == self.batch_queue_size
        if lands:
            end = max(end, self.batch_queue[0].end)
        self._observe(end, self.batch_queue[0].batch)
        if end > self.window.end and not self.window.drain:
            self.clock, self.is_over = self.window.end, True
            return
        self.clock = end
        if lands:
            self._land(self.batch_queue.popleft().batch)

    def _execute(self, batch: Batch) -> int:
        """Send a batch to the model and return when it is planned.

        The model starts once the batch is planned and the batch before it is done.
        """
        planning, forward = self._durations(batch)
        planned = self.clock + planning
        if batch.num_scheduled_tokens:
            position = self.scenario.adapters.position
            loading = self.slots.set_active_adapters(sorted(batch.scheduled_loras, key=lambda a: int(position[a])))
            start = max(planned, self.batch_queue[-1].end) if self.batch_queue else planned
            self.batch_queue.append(Flight(batch, start + loading + forward))
        return planned

    def _durations(self, batch: Batch) -> tuple[int, int]:
        """Nanoseconds that planning the batch takes, and nanoseconds of its forward pass."""
        running, waiting = len(batch.num_scheduled_tokens), len(self.scheduler.waiting)
        planning = scheduler_seconds(self.scenario.scheduler_cost, running, waiting)
        cost = self.scenario.step_cost
        besides = seconds_besides_cache(cost, batch.contents(cost))
        forward = besides + cost.per_context_token * batch.num_context_tokens
        both = int((planning + forward) * NANOSECONDS + 0.5)
        return int(planning * NANOSECONDS + 0.5), both - int(planning * NANOSECONDS + 0.5)

    def _land(self, batch: Batch) -> None:
        """Pass the tokens of a batch to the scheduler and, through the API server, to the client."""
        seen = self.api.passes(self.clock)
        seen = seen if self.window.drain else min(seen, self.window.end)
        self.scheduler.update_from_output(batch)
        self.ledger.note_tokens(batch.sampled_reqs, seen, at_once=self.api.takes_at_once(len(batch.sampled_reqs)))
        self.has_metrics_to_report = True


def _requests_of(scenario: Scenario) -> list[Request]:
    """Make all requests of the scenario, in order of arrival."""
    requests, needs_slot = scenario.requests, scenario.adapters.needs_slot
    columns = zip(requests.adapter, requests.input, requests.output, strict=True)
    return [
        Request(index, int(adapter) if needs_slot[adapter] else None, int(prompt), int(answer))
        for index, (adapter, prompt, answer) in enumerate(columns)
    ]
