"""Batch: the requests and tokens that one step computes (`SchedulerOutput` in vllm/v1/core/sched/output.py)."""

from dataclasses import dataclass, field

from adaptwin.profile.step_cost import StepCoefficients, StepContents, step_contents
from adaptwin.twin.reference.request import Request


@dataclass(slots=True)
class Batch:
    """The requests of one step.

    A batch is empty when the last token of every running request is in flight and no waiting request is admitted.
    """

    num_scheduled_tokens: dict[Request, int] = field(default_factory=dict)  # in the order of scheduling
    preempted_reqs: list[Request] = field(default_factory=list)
    sampled_reqs: list[Request] = field(default_factory=list)  # scheduled requests that get an output token
    num_context_tokens: int = 0  # tokens of KV cache that the decodes of the step read
    num_queried_tokens: int = 0  # tokens of the requests that were admitted for the first time, with prefix caching
    num_hit_tokens: int = 0  # as many of these were cached
    num_pairs: int = 0  # pairs of tokens that the attention of prompts compares

    @property
    def total_num_scheduled_tokens(self) -> int:
        """Tokens that the step computes."""
        return sum(self.num_scheduled_tokens.values())

    def contents(self, cost: StepCoefficients) -> StepContents:
        """Contents of the step, in the terms of a step cost."""
        return step_contents(
            cost,
            self.total_num_scheduled_tokens,
            len(self.num_scheduled_tokens),
            self.num_pairs,
            len(self.scheduled_loras),
        )

    @property
    def scheduled_loras(self) -> set[int]:
        """Adapters that occupy a slot in the step."""
        return {request.lora for request in self.num_scheduled_tokens if request.lora is not None}
