"""Work: the least GPU time that a request takes on any server. The lower bound and the strategies rest on it.

A request with p prompt and o output tokens puts p + o - 1 tokens into steps, is scheduled in at least o steps, reads
sum_{i=1}^{o-1} (p + i - 1) cached tokens, and in the step of its i-th token holds blocks for at least p + i - 1 tokens.
Its prompt, in however many chunks, makes p (p + 1) / 2 pairs of tokens. Tokens, scheduled requests, cached tokens and
pairs cost what the step-cost law says with one slot, one adapter and the request's own rank, padded as little as vLLM
allows. No server has lower costs.

**Prefix caching.** At best, a request finds all h tokens in cached blocks with which an earlier request of the adapter
began as well. It then puts p - h + o - 1 tokens into steps, and at least o. It makes p (p + 1) / 2 - h (h + 1) / 2
pairs, as a token is compared with all tokens before it whether these are cached or not. It holds blocks for at least
p - h + i - 1 tokens that it shares with no one. Decodes read what they read without caching. What a request that
returns after a preemption hits of its own does not matter, as the bound counts no token twice.

**Three terms of the law are not linear in the tokens.** The linear layers take ``sqrt(1 + x^2)`` times as long as
reading their weights, where x is the tokens over `balance_tokens`. This is convex, so a tangent lies below: for any a,
``sqrt(1 + x^2) >= (1 + a x) / sqrt(1 + a^2)``. The tangent's constant is part of the step's, its slope is charged to
tokens. Experts take ``sqrt(u(T)^2 + y^2)``, with y linear in the tokens, and u, the share of the experts that T tokens
use, concave. Between 1 and B tokens, u lies above its chord, and ``sqrt(u^2 + y^2) >= u cos a + y sin a`` for any a
between 0 and 90 degrees. And T tokens need at least T / 32 blocks of 32 tokens, of which a shrink kernel splits the sum
into at least 8.

The constant cost of a step is shared by all requests in it. A step has at most ``max_num_batched_tokens`` tokens and at
most ``max_num_seqs`` requests, and these requests hold no more than the KV cache. So whichever of the three the
constant is shared out by, the requests of a step are together charged the constant at most once. As all charges grow
with the rank, this also holds for mixed ranks, of which the highest sets the constant. A step with more than g tokens,
too many for a CUDA graph, has an extra cost e. With a budget of B tokens, each token can be charged e / (B - g) for it,
if g times that charge is taken off the constant.

Each way to share is a `SharedBy`. Work on one server may only be summed up under a single `SharedBy`.

**Settings that the planner chooses** have a range (`SettingsRange`). Tokens and requests are counted at its widest end,
the KV cache at its leanest, so that the requests of a step of any server in the range are charged the constant at most
once. Tangents lie below the cost wherever they touch it, and chords up to the widest step below that of every smaller
one, so that the other charges hold for every server in the range, too.
"""

import math
from bisect import bisect_left
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.lower_bound.settings_range import SettingsRange
from adaptwin.profile.profile import Profile
from adaptwin.profile.step_cost import SMALLEST_SPLIT, TOKEN_BLOCK, StepCoefficients, step_contents
from adaptwin.twin.server import Server, server_rank
from adaptwin.twin.step_coefficients import step_coefficients
from adaptwin.workload.demand.expected_requests import expected_requests
from adaptwin.workload.demand.length_moments import length_moments
from adaptwin.workload.demand.shared_tokens import Openings, shared_tokens
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Adapter, Workload


class SharedBy(NamedTuple):
    """The quantity by which the constant cost of a step is shared out among its requests."""

    by: Literal["tokens", "seats", "cache"]
    counts_eager: bool  # whether tokens are charged for steps that are too large for a CUDA graph
    tangent_at: Literal["token budget", "seats"] = "token budget"  # tokens where the linear layers' tangent touches


SHARED_BY = (
    SharedBy("tokens", True),
    SharedBy("seats", True),
    SharedBy("seats", True, "seats"),
    SharedBy("seats", False, "seats"),
    SharedBy("cache", True),
    SharedBy("cache", True, "seats"),
    SharedBy("cache", False, "seats"),
)


class Charges(NamedTuple):
    """Seconds that a request is charged for each unit of what it takes."""

    per_token: float  # for each token that it puts into a step
    per_step: float  # for each step in which it is scheduled
    per_held: float  # for each token of KV cache that it holds, in each step
    per_read: float  # for each cached token that a decode reads
    per_pair: float  # for each pair of tokens that the attention of its prompt compares


class MeanRequest(NamedTuple):
    """What a mean request takes, in the units of `Charges`."""

    tokens: float
    steps: float
    held: float
    read: float
    pairs: float


def work_seconds(
    profile: Profile, template: Server | SettingsRange, lengths: Lengths, rank: int, shared_by: SharedBy = SHARED_BY[0]
) -> float:
    """Return a lower bound on the GPU seconds of a mean request of this rank and these lengths on any server.

    Its prompt begins like no other.
    """
    request = mean_request(profile, template, lengths, Openings())
    return float(np.dot(request, charges(profile, template, rank, shared_by)))


def work_of_each(profile: Profile, template: Server | SettingsRange, workload: Workload) -> NDArray[np.float64]:
    """Return the work in GPU seconds of a mean request of each adapter, of shape (adapters,).

    The constant is shared out in the way that gives the whole workload the most work.
    """
    kinds = RequestKinds.of(workload)
    _, work = kinds.measure(profile, template, expected_requests(workload, 0.0, workload.duration))
    return work[kinds.of_adapter]


class RequestKind(NamedTuple):
    """Requests that are alike on average."""

    lengths: Lengths
    rank: int
    openings: Openings


def _kind_between(workload: Workload, adapter: Adapter, start: float, end: float) -> RequestKind:
    lengths, openings = workload.lengths_of(adapter), Openings.of(workload, adapter)
    times = workload.arrivals if adapter.arrivals is None else adapter.arrivals
    if not isinstance(times, str):
        first, last = bisect_left(times, start), bisect_left(times, end)
        if 0 < last - first < len(times):
            openings = openings.between(first, last)
            lengths = lengths.at(range(first, last)) if lengths.belong_to(len(times)) else lengths
    return RequestKind(lengths, adapter.rank, openings)


class RequestKinds(NamedTuple):
    """Kinds of requests, and the kind of each adapter's requests."""

    kinds: list[RequestKind]
    of_adapter: NDArray[np.int64]

    @classmethod
    def of(cls, workload: Workload, start: float = 0.0, end: float = math.inf) -> "RequestKinds":
        """Return the kinds of requests of a workload, those with timestamps as they are from `start` to `end` seconds.

        An adapter without timestamps in this time has its requests of the whole window.
        """
        numbers: dict[RequestKind, int] = {}
        each = [_kind_between(workload, adapter, start, end) for adapter in workload.adapters]
        of_adapter = [numbers.setdefault(kind, len(numbers)) for kind in each]
        return cls(list(numbers), np.array(of_adapter, dtype=np.int64))

    def measure(
        self, profile: Profile, template: Server | SettingsRange, requests: NDArray[np.float64]
    ) -> tuple[SharedBy, NDArray[np.float64]]:
        """Return the way to share by which `requests` of each adapter are most work, and each kind's work by it."""
        asks = np.array([mean_request(profile, template, kind.lengths, kind.openings) for kind in self.kinds]).reshape(
            -1, len(MeanRequest._fields)
        )
        charged = {
            rank: [charges(profile, template, rank, shared_by) for shared_by in SHARED_BY]
            for rank in {kind.rank for kind in self.kinds}
        }
        by_kind = np.array([charged[kind.rank] for kind in self.kinds]).reshape(
            -1, len(SHARED_BY), len(Charges._fields)
        )
        work = np.einsum("ka,kya->yk", asks, by_kind)
        best = int(np.argmax(work @ np.bincount(self.of_adapter, requests, len(self.kinds))))
        return SHARED_BY[best], work[best]


def mean_request(
    profile: Profile, template: Server | SettingsRange, lengths: Lengths, openings: Openings
) -> MeanRequest:
    """Return what a mean request takes, if all that its prompt shares with an earlier one is cached.

    The KV cache is held in whole blocks of b tokens: over b steps, a request holds b (b - 1) / 2 tokens more than it
    has.
    """
    model, settings = profile.model, SettingsRange.of(template).widest
    block, longest = settings.block_size, settings.max_model_len or model.max_model_len
    mean = length_moments(lengths, model.early_stop_share, model.early_stop_reach, longest)
    tokens = mean.prompt + mean.answer - mean.served
    filled_up = (block - 1) / 2 * max(0.0, mean.answer - (block - 1) * mean.served)
    pairs = (mean.prompt_squares + mean.prompt) / 2
    held = mean.context + tokens + filled_up
    if settings.with_defaults(profile).enable_prefix_caching:
        shared = shared_tokens(lengths, openings, longest)
        tokens = max(mean.answer, tokens - shared.tokens)
        pairs = max(0.0, pairs - (shared.squares + shared.tokens) / 2)
        held = max(0.0, held - shared.answers)
    return MeanRequest(tokens, mean.answer, held, mean.context, pairs)


def charges(profile: Profile, template: Server | SettingsRange, rank: int, shared_by: SharedBy) -> Charges:
    """Return what a request of this rank is charged, if the constant is shared out by `shared_by`."""
    widest = SettingsRange.of(template).widest
    cost = step_coefficients(profile, widest.with_slots(min(rank, 1), max_lora_rank=server_rank(rank, profile)))
    scheduler = profile.scheduler_cost
    is_async = widest.with_defaults(profile).async_scheduling
    planned = 0.0 if is_async else 1.0  # asynchronous planning overlaps with the step before
    token_budget, max_num_seqs = widest.budgets(profile)
    touching = math.sqrt(cost.balance) * (token_budget if shared_by.tangent_at == "token budget" else max_num_seqs)
    tangent = cost.weights / math.sqrt(1.0 + touching * touching)
    constant = cost.base + tangent + planned * scheduler.base
    per_token = cost.per_token + tangent * touching * math.sqrt(cost.balance)
    if cost.expert_weights:
        of_step, of_token = experts_tangent(cost, token_budget)
        constant += of_step
        per_token += of_token
    if rank:
        lora = step_contents(cost, 1, 1, 0, 1)  # with the fewest slots in the grid
        constant += cost.lora_base + cost.lora_per_adapter + cost.per_slot * lora.slots
        constant += cost.shrink_work * SMALLEST_SPLIT * (TOKEN_BLOCK - 1)
        per_token += cost.lora_per_token + cost.shrink_work * SMALLEST_SPLIT
        per_token += cost.shrink_grid * lora.slots * SMALLEST_SPLIT / TOKEN_BLOCK
        per_token += (cost.expand_grid * lora.slots + cost.expand_active) / (2 * TOKEN_BLOCK)
    if shared_by.counts_eager and token_budget > cost.graph_tokens:
        eager = min(cost.eager / (token_budget - cost.graph_tokens), constant / max(1, cost.graph_tokens))
        constant -= eager * cost.graph_tokens
        per_token += eager
    by_token, by_seat, by_cache = (constant * (shared_by.by == by) for by in ("tokens", "seats", "cache"))
    return Charges(
        per_token=per_token + by_token / token_budget,
        per_step=cost.per_sequence + planned * scheduler.per_running + by_seat / max_num_seqs,
        per_held=by_cache / most_cached(profile, template, rank),
        per_read=cost.per_context_token,
        per_pair=cost.per_pair,
    )


def experts_tangent(cost: StepCoefficients, token_budget: int) -> tuple[float, float]:
    """Return seconds of a step and of each of its tokens that are together at most those of its experts.

    The tangent touches where the experts' arithmetic takes as long as reading their weights, or at the token budget.
    """
    at = min(token_budget, 1.0 / cost.expert_balance)
    one, most, touching = (1.0 - cost.untouched**tokens for tokens in (1, token_budget, at))
    slope = (most - one) / max(1, token_budget - 1)
    length = math.hypot(touching, cost.expert_balance * at)
    read, compute = cost.expert_weights * touching / length, cost.expert_weights * cost.expert_balance * at / length
    return read * (one - slope), read * slope + compute * cost.expert_balance


def most_cached(profile: Profile, template: Server | SettingsRange, rank: int) -> float:
    """Return the most tokens in the KV cache of a server that serves this rank; infinite if no such server starts."""
    leanest = SettingsRange.of(template).leanest
    server = leanest.with_slots(min(rank, 1), max_lora_rank=server_rank(rank, profile))
    return server.limits(profile).kv_blocks * server.block_size if server.starts_on(profile) else float("inf")
