"""StepCost: the time of one forward pass, given what it computes."""

from typing import NamedTuple

from pydantic import Field

from adaptwin.profile.model_shape import LONGEST_CONTEXT
from adaptwin.profile.seconds import Seconds
from adaptwin.spec import Spec

RANK_BLOCK = 16  # rows of an adapter's A matrix that one thread block computes: BLOCK_N of vLLM's shrink kernel


class StepCoefficients(NamedTuple):
    """A `StepCost` for given slots and padded rank, as the inner loop needs it; seconds and tokens."""

    base: float
    per_token: float
    per_context_token: float
    eager: float
    graph_tokens: int
    lora_base: float
    lora_per_token: float
    lora_per_adapter: float
    lora_per_token_adapter: float
    split_tokens: int
    split_per_token: float
    split_per_adapter: float


class StepCost(Spec):
    """Seconds that a forward pass takes; every term is non-negative.

        seconds = base + per_token T + per_context_token C + per_slot S + per_token_slot T S
                + [T > graph_tokens] eager
                + [a LoRA request is in the batch] (lora_base + lora_per_token T + lora_per_adapter U
                  + lora_per_token_adapter T U)
                + [T <= split_tokens] (split_per_token_slot T S + split_per_adapter U)

    with T tokens in the step (prefill and decode alike), C tokens of KV cache read by decodes, U distinct adapters and
    S slots (``max_loras``). Constants ending in ``_block`` are added once for every block of 16 beyond the first that
    the padded rank (``max_lora_rank``) fills: ranks 8 and 16 cost the same, rank 32 adds one block.

    The form follows vLLM's kernels (vllm/lora/ops/triton_ops). They launch a grid over token blocks x slots, so a slot
    costs time although most of its blocks exit at once, and each adapter in the batch adds blocks that do work. Below
    128 tokens the shrink kernel splits its sum into 64 parts instead of 8, each in thread blocks of its own. This makes
    eight times as many blocks, which is why a step of 127 tokens can take longer than one of 128. A step with more
    tokens than the largest captured CUDA graph runs eagerly.
    """

    base: Seconds = Field(description="seconds of every step")
    per_token: Seconds = Field(description="seconds per token in the step")
    per_context_token: Seconds = Field(description="seconds per token of KV cache that decodes read")
    eager: Seconds = Field(default=0.0, description="seconds added to a step that is too large for a CUDA graph")
    graph_tokens: int = Field(
        default=512, ge=0, le=LONGEST_CONTEXT, description="tokens of the largest captured CUDA graph"
    )
    per_slot: Seconds = Field(default=0.0, description="seconds per slot, used or not")
    per_slot_block: Seconds = Field(
        default=0.0, description="seconds per slot and block of 16 of the padded rank, the first not counted"
    )
    per_token_slot: Seconds = Field(default=0.0, description="seconds per token and slot")
    lora_base: Seconds = Field(default=0.0, description="seconds added to a step with a LoRA request")
    lora_per_token: Seconds = Field(default=0.0, description="seconds per token of a step with a LoRA request")
    lora_per_adapter: Seconds = Field(default=0.0, description="seconds per distinct adapter in the step")
    lora_per_adapter_block: Seconds = Field(
        default=0.0,
        description="seconds per distinct adapter and block of 16 of the padded rank, the first not counted",
    )
    lora_per_token_adapter: Seconds = Field(
        default=0.0, description="seconds per token and distinct adapter in the step"
    )
    split_tokens: int = Field(
        default=127,
        ge=0,
        le=LONGEST_CONTEXT,
        description="most tokens of a step for which the shrink kernel splits its sum",
    )
    split_per_token_slot: Seconds = Field(
        default=0.0, description="seconds per token and slot in a step of up to split_tokens tokens"
    )
    split_per_adapter: Seconds = Field(
        default=0.0, description="seconds per distinct adapter in a step of up to split_tokens tokens"
    )
    split_per_adapter_block: Seconds = Field(
        default=0.0,
        description="seconds per distinct adapter and block of 16 of the padded rank, the first not counted, in a "
        "step of up to split_tokens tokens",
    )

    def resolve(self, *, max_loras: int, max_lora_rank: int) -> StepCoefficients:
        """Return the coefficients for a server with these slots and this padded rank."""
        further = further_blocks(max_lora_rank)
        return StepCoefficients(
            base=self.base + max_loras * (self.per_slot + self.per_slot_block * further),
            per_token=self.per_token + max_loras * self.per_token_slot,
            per_context_token=self.per_context_token,
            eager=self.eager,
            graph_tokens=self.graph_tokens,
            lora_base=self.lora_base,
            lora_per_token=self.lora_per_token,
            lora_per_adapter=self.lora_per_adapter + self.lora_per_adapter_block * further,
            lora_per_token_adapter=self.lora_per_token_adapter,
            split_tokens=self.split_tokens,
            split_per_token=max_loras * self.split_per_token_slot,
            split_per_adapter=self.split_per_adapter + self.split_per_adapter_block * further,
        )


def further_blocks(max_lora_rank: int) -> int:
    """Return the number of blocks of 16 that the padded rank fills beyond the first."""
    return max(0, -(-max_lora_rank // RANK_BLOCK) - 1)


def step_seconds(cost: StepCoefficients, tokens: int, context: int, adapters: int) -> float:
    """Return the seconds of one forward pass; the kernel compiles this function, the reference twin calls it."""
    seconds = cost.base + cost.per_token * tokens + cost.per_context_token * context
    if tokens > cost.graph_tokens:
        seconds += cost.eager
    if adapters > 0:
        seconds += (
            cost.lora_base
            + cost.lora_per_token * tokens
            + cost.lora_per_adapter * adapters
            + cost.lora_per_token_adapter * (tokens * adapters)
        )
    if tokens <= cost.split_tokens:
        seconds += cost.split_per_token * tokens + cost.split_per_adapter * adapters
    return seconds
