"""Work: the least GPU time that a request takes, whatever server it lands on. Bound and strategies rest on it.

A request with p prompt and o output tokens puts p + o - 1 tokens into steps, is scheduled in o of them or more, reads
sum_{i=1}^{o-1} (p + i - 1) cached tokens, and in the step of its i-th token holds blocks for p + i - 1 tokens or more.
Tokens, scheduled requests and cached tokens cost what the step-cost law says with one slot, one adapter and the
request's own rank padded as little as vLLM allows; no server has less.

A step's constant part is shared by all requests in it. A step has at most ``max_num_batched_tokens`` tokens in it and
at most ``max_num_seqs`` requests, and these hold no more than the KV cache. So whichever of the three it is shared out
by, a step's requests are charged the constant at most once; and as all that is charged grows with the rank, that holds
for mixed ranks, too, of which the highest sets the constant. Of the extra cost e of a step with more than g tokens, too
many for a CUDA graph, a budget of B tokens can be charged e / (B - g) each, if g times that is taken off the constant.

Each choice is a `SharedBy`. Work on one server may only be summed up by the same one.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server, server_rank
from adaptwin.workload.demand.expected_requests import expected_requests
from adaptwin.workload.demand.length_moments import length_moments
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Workload


class SharedBy(NamedTuple):
    """What a step's constant cost is shared out by."""

    by: Literal["tokens", "seats", "cache"]
    counts_eager: bool  # whether tokens are charged for steps that are too large for a CUDA graph


SHARED_BY = (
    SharedBy("tokens", True),
    SharedBy("seats", True),
    SharedBy("seats", False),
    SharedBy("cache", True),
    SharedBy("cache", False),
)


class Charges(NamedTuple):
    """Seconds that a request is charged for what it asks for."""

    per_token: float  # that it puts into a step
    per_step: float  # in which it is scheduled
    per_held: float  # token of KV cache that it holds in a step
    per_read: float  # cached token that a decode reads


class MeanRequest(NamedTuple):
    """What a mean request asks for, in the terms of `Charges`."""

    tokens: float
    steps: float
    held: float
    read: float


def work_seconds(
    profile: Profile, template: Server, lengths: Lengths, rank: int, shared_by: SharedBy = SHARED_BY[0]
) -> float:
    """A lower bound on the GPU seconds that a mean request of this rank and these lengths takes on any server."""
    return float(np.dot(mean_request(profile, template, lengths), charges(profile, template, rank, shared_by)))


def work_of_each(profile: Profile, template: Server, workload: Workload) -> NDArray[np.float64]:
    """Work of a mean request of each adapter, the constant shared out so that all have most; of shape (adapters,)."""
    kinds = RequestKinds.of(workload)
    _, work = kinds.measure(profile, template, expected_requests(workload, 0.0, workload.duration))
    return work[kinds.of_adapter]


class RequestKinds(NamedTuple):
    """Requests that are alike, by lengths and rank, and of which kind those of each adapter are."""

    kinds: list[tuple[Lengths, int]]
    of_adapter: NDArray[np.int64]

    @classmethod
    def of(cls, workload: Workload) -> "RequestKinds":
        """Those of a workload."""
        numbers: dict[tuple[Lengths, int], int] = {}
        usual = workload.lengths
        of_adapter = [numbers.setdefault((a.lengths or usual, a.rank), len(numbers)) for a in workload.adapters]
        return cls(list(numbers), np.array(of_adapter, dtype=np.int64))

    def measure(
        self, profile: Profile, template: Server, requests: NDArray[np.float64]
    ) -> tuple[SharedBy, NDArray[np.float64]]:
        """The way to share that gives so many requests of each adapter most work, and the work of each kind by it."""
        asks = np.array([mean_request(profile, template, lengths) for lengths, _ in self.kinds]).reshape(-1, 4)
        charged = {
            rank: [charges(profile, template, rank, shared_by) for shared_by in SHARED_BY]
            for rank in {rank for _, rank in self.kinds}
        }
        by_kind = np.array([charged[rank] for _, rank in self.kinds]).reshape(-1, len(SHARED_BY), 4)
        work = np.einsum("ka,kya->yk", asks, by_kind)
        best = int(np.argmax(work @ np.bincount(self.of_adapter, requests, len(self.kinds))))
        return SHARED_BY[best], work[best]


def mean_request(profile: Profile, template: Server, lengths: Lengths) -> MeanRequest:
    """What a mean request asks for. Blocks are filled up: over b steps a request holds b (b - 1) / 2 tokens more."""
    model, block = profile.model, template.block_size
    longest = template.max_model_len or model.max_model_len
    mean = length_moments(lengths, model.early_stop_share, model.early_stop_reach, longest)
    tokens = mean.prompt + mean.answer - mean.served
    filled_up = (block - 1) / 2 * max(0.0, mean.answer - (block - 1) * mean.served)
    return MeanRequest(tokens, mean.answer, mean.context + tokens + filled_up, mean.context)


def charges(profile: Profile, template: Server, rank: int, shared_by: SharedBy) -> Charges:
    """What a request of this rank is charged."""
    cost = profile.step_cost.resolve(max_loras=min(rank, 1), max_lora_rank=server_rank(rank))
    scheduler = profile.scheduler_cost
    planned = 0.0 if template.async_scheduling else 1.0  # planning is hidden behind the step before
    constant = cost.base + planned * scheduler.base
    per_token = cost.per_token
    if rank:
        constant += cost.lora_base + cost.lora_per_adapter
        per_token += cost.lora_per_token + cost.lora_per_token_adapter
    token_budget, max_num_seqs = template.budgets(profile)
    if shared_by.counts_eager and token_budget > cost.graph_tokens:
        eager = min(cost.eager / (token_budget - cost.graph_tokens), constant / max(1, cost.graph_tokens))
        constant -= eager * cost.graph_tokens
        per_token += eager
    by_token, by_seat, by_cache = (constant * (shared_by.by == by) for by in ("tokens", "seats", "cache"))
    return Charges(
        per_token=per_token + by_token / token_budget,
        per_step=planned * scheduler.per_running + by_seat / max_num_seqs,
        per_held=by_cache / most_cached(profile, template, rank),
        per_read=cost.per_context_token,
    )


def most_cached(profile: Profile, template: Server, rank: int) -> float:
    """Tokens that the KV cache holds at most if a request of this rank is served; infinite where no server starts."""
    server = template.with_slots(min(rank, 1), max_lora_rank=server_rank(rank))
    return server.limits(profile).kv_blocks * server.block_size if server.starts_on(profile) else float("inf")
