"""What was in a step, read off the scheduler's own output."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class TimedStep(NamedTuple):
    """A step of the engine as it was seen."""

    output: Any  # vLLM's SchedulerOutput
    seconds: float  # from the end of the step before, or from its own planning after a pause
    planning: float  # seconds that the scheduler took
    waiting: int  # requests that waited when it was planned
    update: float  # seconds that the scheduler took to note what came out

    @property
    def tokens(self) -> int:
        """Tokens in the step."""
        return self.output.total_num_scheduled_tokens


def contents(step: TimedStep, adapter_of: Mapping[str, int]) -> dict[str, float]:
    """What was in a step: `context` is what decodes read, `prefill_pairs` the pairs of tokens that prompts attend to.

    Args:
        step: The step.
        adapter_of: The id of each request's adapter; 0 for the base model.
    """
    scheduled = step.output.num_scheduled_tokens
    behind = _computed_before(step.output)
    context = prefill = prefill_pairs = 0
    for request, tokens in scheduled.items():
        if tokens == 1:
            context += behind.get(request, 0)
        else:
            prefill += tokens
            prefill_pairs += tokens * behind.get(request, 0) + tokens * (tokens + 1) // 2
    return {
        "tokens": step.tokens,
        "context": context,
        "prefill": prefill,
        "prefill_pairs": prefill_pairs,
        "adapters": len({adapter_of.get(request, 0) for request in scheduled} - {0}),
        "running": len(scheduled),
        "waiting": step.waiting,
        "seconds": step.seconds,
        "planning": step.planning,
        "update": step.update,
    }


def _computed_before(output: Any) -> dict[str, int]:
    """Tokens of each request that were computed before the step."""
    cached = output.scheduled_cached_reqs
    behind = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
    behind.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
    return behind
