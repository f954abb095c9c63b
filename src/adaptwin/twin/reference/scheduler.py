"""Scheduler: which requests compute how many tokens in the next step.

Read this file side by side with `Scheduler.schedule` in vllm/v1/core/sched/scheduler.py (vLLM V1, 0.8.5 to 0.32). It
has vLLM's rules, in vLLM's order and under vLLM's names, for first come, first served scheduling with chunked prefill
and prefix caching. It leaves out speculative decoding, encoders and KV connectors.

The scheduler does not look ahead: it learns that an answer is complete when the last token is there. It reads
`max_tokens` only where vLLM does, to plan no further step for a request whose last token is in flight.
"""

from collections import deque

from adaptwin.profile.step_cost import pairs_of_chunk
from adaptwin.twin.reference.batch import Batch
from adaptwin.twin.reference.kv_cache import KVCache
from adaptwin.twin.reference.request import Request
from adaptwin.twin.server import Limits
from adaptwin.workload.drawing.prefixes import Prefixes


class Scheduler:
    """The waiting queue, the running list, and vLLM's policy for moving requests between them."""

    def __init__(self, limits: Limits, prefixes: Prefixes) -> None:
        self.limits = limits
        self.kv_cache = KVCache(limits, prefixes)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []

    def add_request(self, request: Request) -> None:
        """Append a new request to the waiting queue."""
        self.waiting.append(request)

    def has_requests(self) -> bool:
        """Whether any request waits or runs."""
        return bool(self.waiting or self.running)

    def schedule(self) -> Batch:
        """Plan a step: schedule running requests first, then waiting ones unless a request had to be preempted."""
        batch = Batch()
        self._schedule_running(batch)
        if not batch.preempted_reqs:
            self._schedule_waiting(batch)
        self._update_after_schedule(batch)
        return batch

    def _schedule_running(self, batch: Batch) -> None:
        """Schedule running requests in order of admission; if blocks run out, preempt the one admitted last."""
        token_budget = self.limits.token_budget  # max_num_batched_tokens
        req_index = 0
        while req_index < len(self.running) and token_budget > 0:
            request = self.running[req_index]
            if request.is_last_token_in_flight:  # async scheduling: no step beyond max_tokens
                req_index += 1
                continue
            num_new_tokens = request.num_tokens_with_placeholders - request.num_computed_tokens
            num_new_tokens = min(num_new_tokens, token_budget)  # chunked prefill
            while not (has_blocks := self.kv_cache.allocate_slots(request, num_new_tokens)):
                preempted_req = self.running.pop()  # SchedulingPolicy.FCFS: the request admitted last
                self._preempt_request(preempted_req)
                batch.preempted_reqs.append(preempted_req)
                if preempted_req is request:
                    break
            if not has_blocks:
                break
            batch.num_scheduled_tokens[request] = num_new_tokens
            token_budget -= num_new_tokens
            req_index += 1

    def _schedule_waiting(self, batch: Batch) -> None:
        """Admit waiting requests in order while tokens, seats and blocks last; skip those that can get no slot.

        A seat is a place in the running list, which has `max_num_seqs` of them.
        """
        token_budget = self.limits.token_budget - batch.total_num_scheduled_tokens
        scheduled_loras = batch.scheduled_loras
        step_skipped_waiting: deque[Request] = deque()
        while self.waiting and token_budget > 0:
            if len(self.running) == self.limits.max_num_seqs:
                break
            request = self.waiting[0]
            if self._exceeds_max_loras(request, scheduled_loras):  # the scan goes on: later requests may overtake
                step_skipped_waiting.appendleft(self.waiting.popleft())
                continue
            new_computed_blocks = self.kv_cache.get_computed_blocks(request)
            num_computed_tokens = len(new_computed_blocks) * self.limits.block_size
            num_new_tokens = request.num_tokens - num_computed_tokens  # includes output tokens after a preemption
            num_new_tokens = min(num_new_tokens, token_budget)
            if not self.kv_cache.allocate_slots(
                request,
                num_new_tokens,
                new_computed_blocks,
                full_sequence_must_fit=self.limits.reserve_whole_prompt,  # scheduler_reserve_full_isl; not in 0.8.5
                watermark_blocks=self.limits.watermark_blocks if self.running else 0,  # not in 0.8.5
            ):
                break  # head-of-line blocking: no request behind this one is admitted
            request.compute(num_computed_tokens)
            if self.limits.prefix_caching and not request.num_preemptions:
                batch.num_queried_tokens += request.num_tokens
                batch.num_hit_tokens += num_computed_tokens
            self.running.append(self.waiting.popleft())
            if request.lora is not None:
                scheduled_loras.add(request.lora)
            batch.num_scheduled_tokens[request] = num_new_tokens
            token_budget -= num_new_tokens
        self.waiting.extendleft(step_skipped_waiting)  # back to the front, in their original order

    def _exceeds_max_loras(self, request: Request, scheduled_loras: set[int]) -> bool:
        """Whether the request needs a slot while other adapters of this step take all slots."""
        is_another = request.lora is not None and request.lora not in scheduled_loras
        return is_another and len(scheduled_loras) == self.limits.max_loras

    def _preempt_request(self, request: Request) -> None:
        """Free the request's blocks and move it to the front of the waiting queue.

        Its prompt and output tokens are computed again after it is readmitted. A token in flight is still delivered,
        before the next step is planned.
        """
        self.kv_cache.free(request)
        request.reset()
        self.waiting.appendleft(request)

    def _update_after_schedule(self, batch: Batch) -> None:
        """Advance the requests as if the batch had been computed; the output tokens it will yield are only expected.

        This combines vLLM's `Scheduler._update_after_schedule` with that of `AsyncScheduler`.
        """
        for request, num_new_tokens in batch.num_scheduled_tokens.items():
            if request.is_decode:
                batch.num_context_tokens += request.num_computed_tokens
            else:
                batch.num_pairs += pairs_of_chunk(num_new_tokens, request.num_computed_tokens)
            request.compute(num_new_tokens)
            if not request.is_prefill_chunk:
                request.expect_output_token()
                batch.sampled_reqs.append(request)

    def update_from_output(self, batch: Batch) -> None:
        """Append the output tokens that a batch has yielded; a request leaves with its last token.

        With asynchronous scheduling, the tokens of the batch are cached only now (`AsyncScheduler`).
        """
        for request in batch.sampled_reqs:
            stopped = request.append_output_token()
            if self.kv_cache.num_blocks_of(request):  # it has not been preempted
                known = request.num_computed_tokens - request.num_output_placeholders
                self.kv_cache.cache_blocks(request, known)
            if stopped:
                self._free_request(request)

    def _free_request(self, request: Request) -> None:
        """Remove a finished request and free its blocks.

        It is in the waiting queue if it was preempted while its last token was in flight.
        """
        (self.running if request in self.running else self.waiting).remove(request)
        self.kv_cache.free(request)
