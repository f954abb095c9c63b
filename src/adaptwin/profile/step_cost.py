"""StepCost: the time of one forward pass, given what it computes."""

import math
from typing import NamedTuple

from pydantic import Field

from adaptwin.profile.lora_kernels import RANK_BLOCK, LoraKernels, rank_blocks
from adaptwin.profile.model_shape import LONGEST_CONTEXT
from adaptwin.profile.seconds import Seconds
from adaptwin.spec import Spec

SMALLEST_SPLIT, LARGEST_SPLIT = 8, 64  # parts into which the shrink kernel splits its sum: SPLIT_K
TOKEN_BLOCK = 32  # tokens that a block of the shrink kernel computes: BLOCK_M; a block of the expand kernel has twice


class StepCoefficients(NamedTuple):
    """A `StepCost` for a server with given slots and padded rank, as the inner loop needs it; seconds and tokens."""

    base: float
    weights: float
    balance: float  # 1 / balance_tokens, squared
    expert_weights: float
    untouched: float  # share of the experts of a layer that one token does not use
    expert_balance: float  # 1 / expert_balance_tokens
    per_token: float
    per_pair: float
    per_context_token: float
    per_sequence: float
    eager: float
    graph_tokens: int
    split_tokens: int
    slots_without_lora: int  # slots in the grid of the LoRA kernels, in a step without an adapter
    slots_with_lora: int  # the most slots in the grid
    slots_as_needed: bool  # whether the grid has only as many as the adapters of a step need, rounded up
    per_slot: float  # of each slot in the grid
    shrink_grid: float  # of each slot in the grid, part of the sum and 32 tokens
    expand_grid: float  # of each slot in the grid and 64 tokens
    lora_base: float
    lora_per_token: float
    shrink_work: float  # of each part of the sum and 32 tokens of an adapter, counted in 32nds
    lora_per_adapter: float
    expand_active: float  # of each adapter in the step and 64 tokens
    per_listed_adapter: float  # of each adapter in the step and adapter in host memory

    def with_listed(self, listed: int) -> "StepCoefficients":
        """Return the coefficients of a server that holds so many adapters in host memory."""
        return self._replace(
            lora_per_adapter=self.lora_per_adapter + self.per_listed_adapter * listed, per_listed_adapter=0.0
        )


class StepContents(NamedTuple):
    """What one step computes, in the terms of `StepCost`, but for the KV cache that decodes read."""

    tokens: int
    sequences: int  # requests; each has a token sampled
    pairs: int  # of query and key in the attention of prompts
    bend: float  # seconds of the linear layers, over those of reading their weights
    expert_bend: float  # seconds of the experts, over those of reading the weights of all; 0 without experts
    eager: int  # 1 if the step is too large for a CUDA graph
    slots: int  # in the grid of the LoRA kernels
    shrink_grid: int  # slots x parts of the sum x blocks of 32 tokens
    expand_grid: int  # slots x blocks of 64 tokens
    lora: int  # 1 if the step has an adapter
    lora_tokens: int  # tokens of a step with an adapter
    adapters: int
    shrink_work: int  # parts of the sum x blocks of 32 tokens that have work, in 32nds
    expand_active: int  # adapters x blocks of 64 tokens


class StepCost(Spec):
    """Seconds that a forward pass takes; every term is non-negative.

        seconds = host_base + gpu_base + weights sqrt(1 + (T / balance_tokens)^2) + per_token T + per_sequence N
                + expert_weights sqrt((1 - (1 - expert_share)^T)^2 + (T / expert_balance_tokens)^2)
                + per_pair P + per_context_token C + [T > graph_tokens] eager
                + communication + communication_per_token T
                + slot_launch K G + launched_block G (A b split ceil(T/32) + B ceil(T/64))
                + [U > 0] (lora_launch K + lora_byte M T + adapter_byte R U + shrink_block A b split (U + (T - U)/32)
                           + B U (expand_block + active_block ceil(T/64)) + per_listed_adapter U H)

    A step has T tokens (prefill and decode alike) of N requests and U distinct adapters. Its decodes read C tokens of
    KV cache, and its prefills compare P pairs of tokens: q tokens of a prompt of which c are cached make
    ``q c + q (q + 1) / 2``, so a whole prompt makes the same pairs in any number of chunks.

    **The base model.** A linear layer takes the time of reading its weights for few tokens and that of its arithmetic
    for many; ``sqrt(1 + x^2)`` with the balance of both at x = 1 is within 2 to 6 % of the measured kernels of most
    GPUs (docs/measured/step-law.md). Attention of prompts is quadratic. `per_token` is for what moves activations
    between these layers, `per_sequence` for the arithmetic of the output matrix and for the sampler. A step with more
    tokens than the largest captured CUDA graph runs eagerly.

    **Experts.** A token uses `expert_share` of the experts of each layer. If every expert is equally likely, T tokens
    use ``1 - (1 - expert_share)^T`` of them, whose weights are read; the arithmetic of T tokens takes as long as
    reading all weights once at `expert_balance_tokens`.

    **Groups of GPUs.** The GPUs of a tensor-parallel group sum up their parts of the activations after the embedding,
    the attention and the MLP of each layer (all-reduce): `communication` is what these exchanges take at any size.

    **LoRA.** The K kernels of a step (`lora_kernels.py`) are launched on a grid over tokens x slots. In 0.8.5 the grid
    has ``G = S + 1`` slots for S = ``max_loras``, however few adapters the step has, and most of its blocks exit at
    once. Newer versions launch none if no adapter is in the step; with ``specialize_active_lora`` (pull request 32005),
    the grid has as many slots as adapters, rounded up to a power of two or to S + 1 (`get_captured_lora_counts`,
    vllm/lora/utils.py). A and B are the blocks of a slot of the shrink and expand kernels, M the bytes of activations
    per token, and R the bytes of an adapter at the padded rank (``max_lora_rank``), which fills b blocks of 16. Up to
    `split_tokens` tokens the shrink kernel splits its sum into 64 parts instead of 8 (`split`), each in blocks of its
    own. So a step of 127 tokens can take longer than one of 128. Where U adapters have T tokens, at most ``U + (T - U)
    / 32`` of an adapter's blocks of 32 tokens have work. Before each step, vLLM's worker lists the H adapters in host
    memory once for each adapter in the step (`LRUCacheWorkerLoRAManager.add_adapter`, vllm/lora/worker_manager.py, of
    0.8.5 as of 0.32.0).
    """

    host_base: Seconds = Field(description="seconds of every step in which the GPU waits for the host")
    gpu_base: Seconds = Field(
        default=0.0, description="seconds of every step for starting kernels and reading the output matrix"
    )
    weights: Seconds = Field(description="seconds to read the weights of the linear layers once")
    balance_tokens: float = Field(
        default=512.0,
        ge=1,
        le=LONGEST_CONTEXT,
        allow_inf_nan=False,
        description="tokens for which the arithmetic of the linear layers takes as long as reading their weights",
    )
    expert_weights: Seconds = Field(default=0.0, description="seconds to read the weights of all experts once")
    expert_share: float = Field(
        default=0.0, ge=0, le=1, allow_inf_nan=False, description="share of the experts of a layer that a token uses"
    )
    expert_balance_tokens: float = Field(
        default=512.0,
        ge=1,
        le=LONGEST_CONTEXT,
        allow_inf_nan=False,
        description="tokens for which the arithmetic of the experts takes as long as reading the weights of all",
    )
    per_token: Seconds = Field(description="seconds per token in the step, for all that moves activations")
    per_pair: Seconds = Field(
        default=0.0, description="seconds per pair of tokens that the attention of prompts compares, in all layers"
    )
    per_context_token: Seconds = Field(description="seconds per token of KV cache that decodes read")
    per_sequence: Seconds = Field(default=0.0, description="seconds per request in the step, for sampling its token")
    eager: Seconds = Field(default=0.0, description="seconds added to a step that is too large for a CUDA graph")
    graph_tokens: int = Field(
        default=512, ge=0, le=LONGEST_CONTEXT, description="tokens of the largest captured CUDA graph"
    )
    communication: Seconds = Field(
        default=0.0, description="seconds of every step for exchanges between the GPUs of a group"
    )
    communication_per_token: Seconds = Field(
        default=0.0, description="seconds per token in the step for exchanges between the GPUs of a group"
    )
    slot_launch: Seconds = Field(default=0.0, description="seconds per LoRA kernel and slot of its grid")
    launched_block: Seconds = Field(
        default=0.0, description="seconds per thread block in the grids of the LoRA kernels, with or without work"
    )
    lora_launch: Seconds = Field(default=0.0, description="seconds per LoRA kernel in a step with a LoRA request")
    lora_byte: Seconds = Field(
        default=0.0, description="seconds per byte of activations that the LoRA kernels read and write"
    )
    adapter_byte: Seconds = Field(
        default=0.0, description="seconds per byte, at the padded rank, of the adapters in the step"
    )
    shrink_block: Seconds = Field(default=0.0, description="seconds per thread block of a shrink kernel that has work")
    expand_block: Seconds = Field(
        default=0.0, description="seconds per adapter in the step and thread block of an expand kernel for its tokens"
    )
    active_block: Seconds = Field(
        default=0.0,
        description="seconds per adapter in the step and thread block of an expand kernel for all tokens of the step",
    )
    per_listed_adapter: Seconds = Field(
        default=0.0, description="seconds per adapter in the step and adapter in host memory, which the worker lists"
    )
    split_tokens: int = Field(
        default=127,
        ge=0,
        le=LONGEST_CONTEXT,
        description="most tokens of a step for which the shrink kernel splits its sum into 64 parts, not 8",
    )

    def resolve(
        self, kernels: LoraKernels, *, max_loras: int, max_lora_rank: int, specialize_active_lora: bool = False
    ) -> StepCoefficients:
        """Return the coefficients for a server with these LoRA kernels, slots and padded rank, before any adapter."""
        blocks = rank_blocks(max_lora_rank)
        slots = max_loras + 1 if max_loras else 0
        return StepCoefficients(
            base=self.host_base + self.gpu_base + self.communication,
            weights=self.weights,
            balance=1.0 / (self.balance_tokens * self.balance_tokens),
            expert_weights=self.expert_weights,
            untouched=1.0 - self.expert_share,
            expert_balance=1.0 / self.expert_balance_tokens,
            per_token=self.per_token + self.communication_per_token,
            per_pair=self.per_pair,
            per_context_token=self.per_context_token,
            per_sequence=self.per_sequence,
            eager=self.eager,
            graph_tokens=self.graph_tokens,
            split_tokens=self.split_tokens,
            slots_without_lora=0 if kernels.skip_base_only else slots,
            slots_with_lora=slots,
            slots_as_needed=specialize_active_lora,
            per_slot=self.slot_launch * kernels.launches,
            shrink_grid=self.launched_block * kernels.shrink_blocks * blocks,
            expand_grid=self.launched_block * kernels.expand_blocks,
            lora_base=self.lora_launch * kernels.launches + self.communication * kernels.more_exchanges,
            lora_per_token=self.lora_byte * kernels.bytes_per_token,
            shrink_work=self.shrink_block * kernels.shrink_blocks * blocks / TOKEN_BLOCK,
            lora_per_adapter=self.expand_block * kernels.expand_blocks
            + self.adapter_byte * kernels.bytes_per_rank * RANK_BLOCK * blocks,
            expand_active=self.active_block * kernels.expand_blocks,
            per_listed_adapter=self.per_listed_adapter,
        )


def step_contents(  # noqa: C901 (Numba compiles it, and cannot compile functions that it calls)
    cost: StepCoefficients, tokens: int, sequences: int, pairs: int, adapters: int
) -> StepContents:
    """Return the contents of a step; the kernel compiles this function, the reference twin calls it."""
    slots = cost.slots_without_lora
    if adapters > 0:
        slots = cost.slots_with_lora
        if cost.slots_as_needed:
            needed = 1
            while needed < adapters:
                needed *= 2
            if needed < slots:
                slots = needed
    parts = LARGEST_SPLIT if tokens <= cost.split_tokens else SMALLEST_SPLIT
    wide = (tokens + 63) >> 6
    eager = 1 if tokens > cost.graph_tokens else 0
    expert_bend = 0.0
    if cost.expert_weights > 0.0:
        # A power by squaring is the same to the last bit, interpreted and compiled.
        unused, squared, exponent = 1.0, cost.untouched, tokens
        while exponent > 0:
            if exponent & 1:
                unused *= squared
            squared *= squared
            exponent >>= 1
        used, arithmetic = 1.0 - unused, cost.expert_balance * tokens
        expert_bend = math.sqrt(used * used + arithmetic * arithmetic)
    lora, lora_tokens, shrink_work = 0, 0, 0
    if adapters > 0:
        lora, lora_tokens, shrink_work = 1, tokens, parts * ((TOKEN_BLOCK - 1) * adapters + tokens)
    return StepContents(
        tokens=tokens,
        sequences=sequences,
        pairs=pairs,
        bend=math.sqrt(1.0 + cost.balance * (float(tokens) * float(tokens))),
        expert_bend=expert_bend,
        eager=eager,
        slots=slots,
        shrink_grid=slots * parts * ((tokens + 31) >> 5),
        expand_grid=slots * wide,
        lora=lora,
        lora_tokens=lora_tokens,
        adapters=adapters,
        shrink_work=shrink_work,
        expand_active=adapters * wide,
    )


def seconds_besides_cache(cost: StepCoefficients, contents: StepContents) -> float:
    """Return the seconds of a step whose decodes read no cache; the kernel compiles it, the reference twin calls it.

    The terms are summed up in groups, as a long chain of additions takes longer than all else.
    """
    model = (cost.base + cost.weights * contents.bend) + (
        cost.per_token * contents.tokens + cost.per_sequence * contents.sequences
    )
    prompts = cost.per_pair * contents.pairs + cost.eager * contents.eager
    experts = cost.expert_weights * contents.expert_bend
    grid = (cost.per_slot * contents.slots + cost.shrink_grid * contents.shrink_grid) + (
        cost.expand_grid * contents.expand_grid + cost.lora_base * contents.lora
    )
    adapters = (cost.lora_per_token * contents.lora_tokens + cost.lora_per_adapter * contents.adapters) + (
        cost.shrink_work * contents.shrink_work + cost.expand_active * contents.expand_active
    )
    return (model + prompts + experts) + (grid + adapters)


def step_seconds(
    cost: StepCoefficients, *, tokens: int, sequences: int, adapters: int, context: int = 0, pairs: int = 0
) -> float:
    """Return the seconds of one forward pass.

    Args:
        cost: The step cost of the server.
        tokens: Tokens in the step.
        sequences: Requests in the step.
        adapters: Distinct adapters in the step.
        context: Tokens of KV cache that decodes read.
        pairs: Pairs of tokens that the attention of prompts compares (`pairs_of_chunk`).
    """
    contents = step_contents(cost, tokens, sequences, pairs, adapters)
    return seconds_besides_cache(cost, contents) + cost.per_context_token * context


def pairs_of_chunk(tokens: int, cached: int) -> int:
    """Return the pairs that the attention compares for some tokens of a prompt, of which others are cached already.

    The kernel compiles this function, the reference twin calls it.
    """
    return tokens * cached + tokens * (tokens + 1) // 2
