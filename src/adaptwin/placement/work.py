"""Work: the least GPU time that a request takes, whatever server it lands on. Bound and strategies rest on it."""

from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server, server_rank
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.moments import length_moments


def work_seconds(profile: Profile, template: Server, lengths: Lengths, rank: int) -> float:
    """A lower bound on the GPU seconds that a mean request of this rank and these lengths takes on any server.

    Let a request have p prompt and o output tokens. It is in o - 1 decode steps and its prompt is prefilled, so it puts
    p + o - 1 tokens into steps and reads sum_{i=1}^{o-1} (p + i - 1) cached tokens. Each is charged its marginal cost
    in the step-cost law with one slot, one adapter and its own rank padded as little as vLLM allows - no server has
    less. A step's constant part is shared by all requests in it. A step holds at most ``max_num_batched_tokens``
    tokens, so charging each token that fraction of the constant charges no step more than once: again a lower bound.
    """
    token_budget, _ = template.budgets(profile)
    cost = profile.step_cost.resolve(max_loras=min(rank, 1), max_lora_rank=server_rank(rank))
    model, scheduler = profile.model, profile.scheduler_cost
    longest = template.max_model_len or model.max_model_len
    mean = length_moments(lengths, model.early_stop_share, model.early_stop_reach, longest)
    decodes = mean.answer - mean.served
    planned = 0.0 if template.async_scheduling else 1.0  # planning is hidden behind the step before
    constant = cost.base + planned * scheduler.base
    per_token = cost.per_token
    if rank:
        constant += cost.lora_base + cost.lora_per_adapter
        per_token += cost.lora_per_token + cost.lora_per_token_adapter
    return (
        (mean.prompt + decodes) * (per_token + constant / token_budget)
        + mean.context * cost.per_context_token
        + decodes * planned * scheduler.per_running
    )
