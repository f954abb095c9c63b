"""MemoryModel: how many tokens of KV cache a server has, and whether it can start."""

from typing import Self

from pydantic import ConfigDict, Field

from adaptwin.errors import OutOfMemory
from adaptwin.profile.model_shape import ModelShape
from adaptwin.spec import Spec

GIB = 1024**3
MOST_BYTES = 1e15  # a thousand terabytes, more than any group of GPUs has


class MemoryModel(Spec):
    """How a GPU's memory is used, in bytes.

    KV tokens = (GPU memory x utilization - weights - activations - slots x slot bytes) / KV bytes per token.
    vLLM preallocates every slot at ``max_lora_rank``, so one adapter of rank 64 makes all slots rank-64 slots.
    On the measured H100, memory is linear in slots and in slots x rank to about 0.5 %.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    gpu_bytes: float = Field(gt=0, le=MOST_BYTES, description="GPU memory as vLLM sees it, in bytes")
    weights_bytes: float = Field(gt=0, le=MOST_BYTES, description="weights of the base model, in bytes")
    activation_bytes: float = Field(
        ge=0, le=MOST_BYTES, description="peak of the profiling step, CUDA graphs, and all else, in bytes"
    )
    kv_bytes_per_token: float = Field(
        ge=1, le=MOST_BYTES, description="keys and values of one token in all layers, in bytes"
    )
    slot_bytes: float = Field(ge=0, le=MOST_BYTES, description="one adapter slot, at any rank, in bytes")
    slot_bytes_per_rank: float = Field(
        ge=0, le=MOST_BYTES, description="one adapter slot, in bytes per unit of max_lora_rank"
    )
    estimated: bool = Field(
        default=False, description="whether the constants are derived from the model's shapes, not measured"
    )

    @classmethod
    def from_shapes(cls, model: ModelShape, gpu_bytes: float, activation_bytes: float = 4.5 * GIB) -> Self:
        """Estimate the memory use of a model from the shapes of its matrices alone; sets `estimated`."""
        return cls(
            gpu_bytes=gpu_bytes,
            weights_bytes=model.weights_bytes,
            activation_bytes=activation_bytes,
            kv_bytes_per_token=model.kv_bytes_per_token,
            slot_bytes=0.0,
            slot_bytes_per_rank=model.adapter_bytes_per_rank,
            estimated=True,
        )

    def kv_cache_tokens(
        self, *, max_loras: int, max_lora_rank: int, gpu_memory_utilization: float = 0.9, block_size: int = 16
    ) -> int:
        """Return the tokens of KV cache, rounded down to whole blocks; 0 when no memory is left."""
        slots = max_loras * (self.slot_bytes + self.slot_bytes_per_rank * max_lora_rank)
        free = self.gpu_bytes * gpu_memory_utilization - self.weights_bytes - self.activation_bytes - slots
        return max(0, int(free / (self.kv_bytes_per_token * block_size))) * block_size

    def require_startable(self, kv_cache_tokens: int, *, max_model_len: int, block_size: int, what: str) -> None:
        """Raise `OutOfMemory` if vLLM would refuse to start: one request of full length must fit in the KV cache.

        The rule is that of vLLM (``check_enough_kv_cache_memory`` in vllm/v1/core/kv_cache_utils.py).
        """
        if kv_cache_tokens < 2 * block_size:  # one block is vLLM's null block
            raise OutOfMemory(f"{what}: no memory is left for the KV cache")
        if kv_cache_tokens < max_model_len:
            raise OutOfMemory(
                f"{what}: the KV cache holds {kv_cache_tokens:,} tokens, fewer than one request of "
                f"max_model_len {max_model_len:,}; lower max_loras, max_lora_rank or max_model_len"
            )
