"""StepCost: how long one forward pass takes, from what is in it."""

from typing import NamedTuple

from pydantic import ConfigDict, Field

from adaptwin.spec import Spec


class StepCoefficients(NamedTuple):
    """A `StepCost` with the server's slots and padded rank put in: what the inner loop needs."""

    base: float
    per_token: float
    per_prefill_token: float
    per_context_token: float
    lora_base: float
    lora_per_token: float
    lora_per_adapter: float
    lora_per_token_adapter: float


class StepCost(Spec):
    """Seconds of a forward pass; every term is non-negative, so more work never makes a step faster.

    seconds = base + per_token T + per_prefill_token P + per_context_token C
            + [a LoRA request is in the batch] x (1 + per_rank (R - 8)) x (lora_base + lora_per_slot S
            + lora_per_token T + lora_per_token_slot T S + lora_per_adapter U + lora_per_token_adapter T U)

    with T tokens in the step, P of them prefill, C tokens of KV cache read by decodes, U distinct adapters,
    S slots (``max_loras``) and R the padded rank (``max_lora_rank``). The LoRA kernels launch a grid over
    token blocks x adapters in which most blocks exit at once: hence the T U and T S terms.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    base: float = Field(ge=0)
    per_token: float = Field(ge=0)
    per_prefill_token: float = Field(ge=0)
    per_context_token: float = Field(ge=0)
    lora_base: float = Field(ge=0)
    lora_per_slot: float = Field(ge=0)
    lora_per_token: float = Field(ge=0)
    lora_per_token_slot: float = Field(ge=0)
    lora_per_adapter: float = Field(ge=0)
    lora_per_token_adapter: float = Field(ge=0)
    per_rank: float = Field(ge=0)

    def resolve(self, *, max_loras: int, max_lora_rank: int) -> StepCoefficients:
        """Put the server's slots and padded rank in."""
        rank = 1.0 + self.per_rank * max(0, max_lora_rank - 8)
        return StepCoefficients(
            base=self.base,
            per_token=self.per_token,
            per_prefill_token=self.per_prefill_token,
            per_context_token=self.per_context_token,
            lora_base=rank * (self.lora_base + self.lora_per_slot * max_loras),
            lora_per_token=rank * (self.lora_per_token + self.lora_per_token_slot * max_loras),
            lora_per_adapter=rank * self.lora_per_adapter,
            lora_per_token_adapter=rank * self.lora_per_token_adapter,
        )


def step_seconds(cost: StepCoefficients, tokens: int, prefill_tokens: int, context: int, adapters: int) -> float:
    """Seconds of one forward pass. The kernel compiles this very function, the reference calls it as it is."""
    seconds = (
        cost.base + cost.per_token * tokens + cost.per_prefill_token * prefill_tokens + cost.per_context_token * context
    )
    if adapters > 0:
        seconds += (
            cost.lora_base
            + cost.lora_per_token * tokens
            + cost.lora_per_adapter * adapters
            + cost.lora_per_token_adapter * (tokens * adapters)
        )
    return seconds
