"""Ledger: counts what happens in a run. It observes the engine and decides nothing."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from adaptwin.twin.reference.adapter_slots import AdapterSlots
from adaptwin.twin.reference.api_server import ApiServer
from adaptwin.twin.reference.batch import Batch
from adaptwin.twin.reference.request import Request
from adaptwin.twin.reference.scheduler import Scheduler
from adaptwin.twin.scenario import NOT_YET, Outcome, Sample, Scenario
from adaptwin.twin.step_totals import StepTotals, add_step
from adaptwin.twin.token_gaps import GAP_BINS, gap_bin


@dataclass(slots=True)
class StreamedAnswer:
    """The part of a request's answer that the client has received; times in nanoseconds."""

    request: Request
    token_times: list[int] = field(default_factory=list)
    joined: set[int] = field(default_factory=set)  # tokens that came in the same chunk as the token before

    @property
    def is_complete(self) -> bool:
        """Whether the client has received the last token."""
        return len(self.token_times) == self.request.max_tokens

    def gaps_after(self, warmup: int) -> list[int]:
        """Gaps between successive chunks, for chunks that came after the warm-up."""
        pairs = enumerate(itertools.pairwise(self.token_times), start=1)
        return [after - before for token, (before, after) in pairs if after > warmup and token not in self.joined]


@dataclass(slots=True)
class Integrals:
    """Integrals of the server's state over the window after warm-up: values times nanoseconds."""

    running: int = 0
    waiting: int = 0
    kv_blocks: int = 0
    adapters: int = 0
    busy: int = 0

    def add(self, state: Sample, time: int) -> None:
        """Add a state that lasts `time` nanoseconds."""
        self.running += state.running * time
        self.waiting += state.waiting * time
        self.kv_blocks += state.kv_blocks * time
        self.adapters += state.adapters * time
        self.busy += time if state.running or state.waiting else 0


class Ledger:
    """The answers, integrals, samples and totals of a run."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.window = scenario, scenario.window
        self.answers: dict[int, StreamedAnswer] = {}  # by index, for requests that were not rejected
        self.rejected: set[int] = set()
        self.steps = self.preemptions = self.finished_tokens = 0
        self.queried_tokens = self.hit_tokens = 0
        self.integrals = Integrals()
        self.samples: list[Sample] = []
        self.step_totals = SimpleNamespace(**dict.fromkeys(StepTotals._fields, 0))

    @property
    def arrived(self) -> int:
        """Number of requests that have reached the server, including rejected ones."""
        return len(self.answers) + len(self.rejected)

    @property
    def finished(self) -> int:
        """Number of requests whose answer is complete."""
        return sum(answer.is_complete for answer in self.answers.values())

    def note_request(self, request: Request, *, rejected: bool) -> None:
        """Count a request that has reached the server."""
        if rejected:
            self.rejected.add(request.index)
        else:
            self.answers[request.index] = StreamedAnswer(request)

    def note_batch(self, batch: Batch, waiting: int) -> None:
        """Count a planned batch, which leaves `waiting` requests in the queue."""
        self.preemptions += len(batch.preempted_reqs)
        self.queried_tokens += batch.num_queried_tokens
        self.hit_tokens += batch.num_hit_tokens
        if self.window.step_totals and batch.num_scheduled_tokens:
            contents = batch.contents(self.scenario.step_cost)
            add_step(self.step_totals, contents, batch.num_context_tokens, waiting)

    def note_time(self, since: int, until: int, scheduler: Scheduler, batch: Batch) -> None:
        """Count the time from `since` to `until`, in which the batch is computed (an empty batch: the engine idles)."""
        state = Sample(
            time=since,
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            kv_blocks=scheduler.kv_cache.num_used_blocks,
            adapters=len(batch.scheduled_loras),
            finished_tokens=self.finished_tokens,
            preemptions=self.preemptions,
        )
        end = until if self.window.drain else min(until, self.window.end)
        self.integrals.add(state, max(0, end - max(since, self.window.warmup)))
        every = self.window.sample_every
        while every and (time := len(self.samples) * every) < min(until, self.window.end):
            self.samples.append(state._replace(time=time))

    def note_tokens(self, requests: Sequence[Request], seen: int, *, at_once: bool) -> None:
        """Count a step whose tokens, one for each of the requests, reach the client at `seen`.

        With `at_once`, a token joins the chunk of the token before if both reach the client at the same time.
        """
        self.steps += 1
        for answer in (self.answers[request.index] for request in requests):
            if at_once and answer.token_times and answer.token_times[-1] == seen:
                answer.joined.add(len(answer.token_times))
            answer.token_times.append(seen)
            if answer.is_complete:
                self.finished_tokens += answer.request.num_prompt_tokens + answer.request.max_tokens

    def outcome(self, end: int, scheduler: Scheduler, slots: AdapterSlots, api: ApiServer) -> Outcome:
        """Return what happened until the clock stopped at `end`."""
        first_token, finish, generated = self._columns()
        gaps, gap_sum = self._gaps()
        integrals = self.integrals
        return Outcome(
            first_token=first_token,
            finish=finish,
            generated=generated,
            rejected=self._among_all(self.rejected),
            running=self._among_all({request.index for request in scheduler.running}),
            arrived=self.arrived,
            steps=self.steps,
            end=end,
            preemptions=self.preemptions,
            queried_tokens=self.queried_tokens,
            hit_tokens=self.hit_tokens,
            gpu_loads=slots.gpu_loads,
            disk_loads=slots.disk_loads,
            load_time=slots.load_time,
            gaps=gaps,
            gap_sum=gap_sum,
            label_sets=len(api.label_sets),
            labels=api.labels,
            stalled=api.stalled,
            running_time=integrals.running,
            waiting_time=integrals.waiting,
            kv_time=integrals.kv_blocks,
            adapter_time=integrals.adapters,
            busy_time=integrals.busy,
            samples=np.array(self.samples, dtype=np.int64).reshape(-1, len(Sample._fields)),
            step_totals=StepTotals(**vars(self.step_totals)),
        )

    def _columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """First-token time, finish time and number of generated tokens of every request."""
        count = len(self.scenario.requests.arrival)
        first_token, finish = np.full(count, NOT_YET, np.int64), np.full(count, NOT_YET, np.int64)
        generated = np.zeros(count, np.int32)
        for index, answer in self.answers.items():
            generated[index] = len(answer.token_times)
            if answer.token_times:
                first_token[index] = answer.token_times[0]
            if answer.is_complete:
                finish[index] = answer.token_times[-1]
        return first_token, finish, generated

    def _among_all(self, chosen: set[int]) -> NDArray[np.bool_]:
        return np.isin(np.arange(len(self.scenario.requests.arrival)), list(chosen))

    def _gaps(self) -> tuple[NDArray[np.int64], int]:
        """Histogram and sum of the inter-token gaps that end after the warm-up, over finished requests."""
        gaps, gap_sum = np.zeros(GAP_BINS, np.int64), 0
        for answer in self.answers.values():
            if answer.is_complete:
                for gap in answer.gaps_after(self.window.warmup):
                    gaps[gap_bin(gap)] += 1
                    gap_sum += gap
        return gaps, gap_sum
