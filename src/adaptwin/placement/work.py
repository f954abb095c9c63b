"""Work: the least GPU time that a request takes, whatever server it lands on. Bound and strategies rest on it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import SERVED_RANKS


def server_rank(rank: int) -> int:
    """The smallest ``max_lora_rank`` vLLM serves a rank with."""
    return next(served for served in SERVED_RANKS if served >= rank)


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
    early = model.early_stop_share if lengths.are_limits else 0.0
    longest = template.max_model_len or model.max_model_len
    prompt, decodes, context = _mean_tokens(lengths, early, model.early_stop_reach, longest)
    planned = 0.0 if template.async_scheduling else 1.0  # planning is hidden behind the step before
    constant = cost.base + planned * scheduler.base
    per_token = cost.per_token
    if rank:
        constant += cost.lora_base + cost.lora_per_adapter
        per_token += cost.lora_per_token + cost.lora_per_token_adapter
    return (
        (prompt + decodes) * (per_token + constant / token_budget)
        + context * cost.per_context_token
        + decodes * planned * scheduler.per_running
    )


@lru_cache(maxsize=4096)
def _mean_tokens(lengths: Lengths, early: float, reach: float, longest: int) -> tuple[float, float, float]:
    """Means over requests of prompt tokens, decode steps, and cached tokens read by them: at most what there will be.

    Requests longer than `longest` are rejected and cost nothing. A share `early` of the answers ends at a mean of
    `reach` of its length; as the cached tokens read are convex in the length of the answer, they are at least those of
    an answer of mean length.
    """
    table = lengths.table()
    prompt, answer = table.input.astype(np.float64), table.output.astype(np.float64)
    if not table.joint:
        prompt, answer = (x.ravel() for x in np.meshgrid(prompt, answer))
    served = prompt + answer <= longest
    whole, cut = answer - 1.0, np.maximum(0.0, reach * answer - 1.0)
    sums = [_decoding(prompt[served], decodes[served]) for decodes in (whole, cut)]
    decodes, context = ((1.0 - early) * of_whole + early * of_cut for of_whole, of_cut in zip(*sums, strict=True))
    return float(prompt[served].sum()) / len(prompt), decodes / len(prompt), context / len(prompt)


def _decoding(prompt: NDArray[np.float64], decodes: NDArray[np.float64]) -> tuple[float, float]:
    """Decode steps, and cached tokens read by them."""
    return float(decodes.sum()), float((prompt * decodes + np.maximum(0.0, decodes * (decodes - 1.0)) / 2.0).sum())
