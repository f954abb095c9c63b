"""Batch: what one step computes (`SchedulerOutput` in vllm/v1/core/sched/output.py)."""

from dataclasses import dataclass, field

from adaptwin.twin.reference.request import Request


@dataclass(slots=True)
class Batch:
    """The requests of one step; none where every running request has its last token in flight."""

    num_scheduled_tokens: dict[Request, int] = field(default_factory=dict)  # in the order of scheduling
    preempted_reqs: list[Request] = field(default_factory=list)
    sampled_reqs: list[Request] = field(default_factory=list)  # scheduled requests that get a token
    num_context_tokens: int = 0  # of KV cache that its decodes read

    @property
    def total_num_scheduled_tokens(self) -> int:
        """Tokens that the step computes."""
        return sum(self.num_scheduled_tokens.values())

    @property
    def scheduled_loras(self) -> set[int]:
        """Adapters that need a slot in the step."""
        return {request.lora for request in self.num_scheduled_tokens if request.lora is not None}
