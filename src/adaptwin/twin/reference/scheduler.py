"""Scheduler: which requests compute how many tokens in the next step.

To be read next to `Scheduler.schedule` in vllm/v1/core/sched/scheduler.py (vLLM V1, 0.8.5 to 0.32): the same rules in
the same order under the same names, for first come, first served with chunked prefill, and without prefix caching,
speculative decoding, encoders and KV connectors. How long an answer will be is not read: the last token tells, when it
is there. `max_tokens` is read where vLLM reads it, to plan no step beyond it while the last token is being made.
"""

from collections import deque

from adaptwin.twin.reference.batch import Batch
from adaptwin.twin.reference.kv_cache import KVCache
from adaptwin.twin.reference.request import Request
from adaptwin.twin.server import Limits


class Scheduler:
    """The waiting queue, the running list, and vLLM's policy between them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.kv_cache = KVCache(limits)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []

    def add_request(self, request: Request) -> None:
        """Queue a new request."""
        self.waiting.append(request)

    def has_requests(self) -> bool:
        """Whether any request has not finished."""
        return bool(self.waiting or self.running)

    def schedule(self) -> Batch:
        """Plan a step: first the running requests; then, if none had to be preempted, waiting ones."""
        batch = Batch()
        self._schedule_running(batch)
        if not batch.preempted_reqs:
            self._schedule_waiting(batch)
        self._update_after_schedule(batch)
        return batch

    def _schedule_running(self, batch: Batch) -> None:
        """Give running requests their next tokens, the oldest first; where blocks lack, preempt the youngest."""
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
                preempted_req = self.running.pop()  # SchedulingPolicy.FCFS: the one admitted last
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
        """Admit waiting requests in their order while tokens, seats and blocks last; skip those without a slot."""
        token_budget = self.limits.token_budget - batch.total_num_scheduled_tokens
        scheduled_loras = batch.scheduled_loras
        step_skipped_waiting: deque[Request] = deque()
        while self.waiting and token_budget > 0:
            if len(self.running) == self.limits.max_num_seqs:
                break
            request = self.waiting[0]
            if self._exceeds_max_loras(request, scheduled_loras):  # the scan goes on: others overtake it
                step_skipped_waiting.appendleft(self.waiting.popleft())
                continue
            num_new_tokens = min(request.num_tokens, token_budget)  # after a preemption, output tokens too
            if not self.kv_cache.allocate_slots(
                request,
                num_new_tokens,
                full_sequence_must_fit=self.limits.reserve_whole_prompt,  # scheduler_reserve_full_isl; not in 0.8.5
                watermark_blocks=self.limits.watermark_blocks if self.running else 0,  # not in 0.8.5 either
            ):
                break  # it holds up all requests behind it
            self.running.append(self.waiting.popleft())
            if request.lora is not None:
                scheduled_loras.add(request.lora)
            batch.num_scheduled_tokens[request] = num_new_tokens
            token_budget -= num_new_tokens
        self.waiting.extendleft(step_skipped_waiting)  # back to the front, in their order

    def _exceeds_max_loras(self, request: Request, scheduled_loras: set[int]) -> bool:
        """Whether the request needs a slot, and all slots are taken by other adapters of this step."""
        is_another = request.lora is not None and request.lora not in scheduled_loras
        return is_another and len(scheduled_loras) == self.limits.max_loras

    def _preempt_request(self, request: Request) -> None:
        """Free the request's blocks: prompt and output tokens are computed again when it runs again.

        A token that is just being made is delivered all the same, before the next step is planned.
        """
        self.kv_cache.free(request)
        request.reset()
        self.waiting.appendleft(request)

    def _update_after_schedule(self, batch: Batch) -> None:
        """Go on as if the batch were computed, but for the tokens that it will yield (also `AsyncScheduler`)."""
        for request, num_new_tokens in batch.num_scheduled_tokens.items():
            if request.is_decode:
                batch.num_context_tokens += request.num_computed_tokens
            request.compute(num_new_tokens)
            if not request.is_prefill_chunk:
                request.expect_output_token()
                batch.sampled_reqs.append(request)

    def update_from_output(self, batch: Batch) -> None:
        """Take the tokens that a batch has made; a request leaves with its last one."""
        for request in batch.sampled_reqs:
            stopped = request.append_output_token()
            if stopped:
                self._free_request(request)

    def _free_request(self, request: Request) -> None:
        """Remove the request, which may have been preempted while its last token was being made."""
        (self.running if request in self.running else self.waiting).remove(request)
        self.kv_cache.free(request)
