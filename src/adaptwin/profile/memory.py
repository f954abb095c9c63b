"""MemoryModel: how many tokens of KV cache a server has, and whether it can start."""

from typing import Self

from pydantic import ConfigDict, Field

from adaptwin.errors import OutOfMemory
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.sharding import part_of_one_gpu, slot_bytes_per_rank
from adaptwin.spec import Spec
from adaptwin.vllm_versions import version_numbers

GIB = 1024**3
USUAL_ACTIVATION = 0.65 * GIB  # of single GPUs: 0.1 GiB of libraries, and the rest of the profiling step
USUAL_GRAPHS = 0.63 * GIB  # of a 7B model, in a start-up log of vLLM 0.24
GRAPHS_COUNT_SINCE = (0, 21)
USUAL_EXCHANGE = 0.35 * GIB  # buffers of NCCL and of vLLM's own all-reduce, on each GPU of a group
MOST_BYTES = 1e15  # a thousand terabytes, more than any group of GPUs has


class MemoryModel(Spec):
    """How a GPU's memory is used, in bytes; of a tensor-parallel group, that of each of its GPUs, which is the same.

    KV tokens = (GPU memory x utilization - weights - activations - CUDA graphs - slots x slot bytes) / KV bytes per
    token. vLLM preallocates every slot at ``max_lora_rank``, so one adapter of rank 64 makes all slots rank-64 slots.
    On the measured H100, memory is linear in slots and in slots x rank to about 0.5 %.

    vLLM measures the activations before it serves, with a step of ``max_num_batched_tokens`` tokens, after which it
    samples for as many requests as may run; the larger of the two counts (vllm/v1/worker/gpu_model_runner.py). CUDA
    graphs count since vLLM 0.21; before, they take memory beside the budget.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    gpu_bytes: float = Field(gt=0, le=MOST_BYTES, description="GPU memory as vLLM sees it, in bytes")
    weights_bytes: float = Field(gt=0, le=MOST_BYTES, description="weights of the base model, in bytes")
    activation_bytes: float = Field(
        ge=0, le=MOST_BYTES, description="what the profiling step and the libraries take at any settings, in bytes"
    )
    activation_bytes_per_token: float = Field(
        default=0.0, ge=0, le=MOST_BYTES, description="of the profiling step, for each of max_num_batched_tokens"
    )
    activation_bytes_per_seq: float = Field(
        default=0.0, ge=0, le=MOST_BYTES, description="of the profiling step, for each request that may run"
    )
    graph_bytes: float = Field(
        default=0.0, ge=0, le=MOST_BYTES, description="CUDA graphs, if they count in the budget, in bytes"
    )
    kv_bytes_per_token: float = Field(
        ge=1, le=MOST_BYTES, description="keys and values of one token in all layers, in bytes"
    )
    slot_bytes: float = Field(ge=0, le=MOST_BYTES, description="one adapter slot, at any rank, in bytes")
    slot_bytes_per_rank: float = Field(
        ge=0, le=MOST_BYTES, description="one adapter slot, in bytes per unit of max_lora_rank"
    )
    max_num_seqs: int = Field(
        default=256, ge=1, description="setting of the servers that were measured, for questions that give none"
    )
    max_num_batched_tokens: int = Field(
        default=2048, ge=1, description="setting of the servers that were measured, for questions that give none"
    )
    estimated: bool = Field(
        default=False, description="whether the constants are derived from the model's shapes, not measured"
    )

    @classmethod
    def from_shapes(
        cls, model: ModelShape, gpu_bytes: float, vllm_version: str = "", tensor_parallel_size: int = 1
    ) -> Self:
        """Estimate the memory use of a model from the shapes of its matrices alone; sets `estimated`.

        What the libraries and CUDA graphs take is that of start-up logs of 7B and 8B models (docs/measured/memory.md).
        The sampler takes about four copies of the logits in 32 bits, which every GPU of a group gathers; the step, the
        inputs and outputs of an MLP, for each expert that a token uses.

        Raises:
            SpecError: vLLM would refuse a group of `tensor_parallel_size` GPUs.
        """
        part = part_of_one_gpu(model, tensor_parallel_size)
        return cls(
            gpu_bytes=gpu_bytes,
            weights_bytes=part.weights_bytes,
            activation_bytes=USUAL_ACTIVATION + (USUAL_EXCHANGE if tensor_parallel_size > 1 else 0.0),
            activation_bytes_per_token=2.0 * (3 * max(1, part.active_experts) * part.intermediate + 2 * part.hidden),
            activation_bytes_per_seq=4 * 4.0 * model.vocabulary,
            graph_bytes=USUAL_GRAPHS if version_numbers(vllm_version) >= GRAPHS_COUNT_SINCE else 0.0,
            kv_bytes_per_token=part.kv_bytes_per_token,
            slot_bytes=0.0,
            slot_bytes_per_rank=slot_bytes_per_rank(model, tensor_parallel_size),
            estimated=True,
        )

    def profiling_bytes(self, *, max_num_seqs: int, max_num_batched_tokens: int) -> float:
        """Return what the profiling step takes beyond `activation_bytes`, in bytes."""
        sampled = min(max_num_seqs, max_num_batched_tokens)
        return max(self.activation_bytes_per_token * max_num_batched_tokens, self.activation_bytes_per_seq * sampled)

    def kv_cache_tokens(
        self,
        *,
        max_loras: int,
        max_lora_rank: int,
        max_num_seqs: int | None = None,
        max_num_batched_tokens: int | None = None,
        gpu_memory_utilization: float = 0.9,
        block_size: int = 16,
        slot_share: float = 1.0,
    ) -> int:
        """Return the tokens of KV cache, rounded down to whole blocks; 0 when no memory is left.

        `max_num_seqs` and `max_num_batched_tokens` are those of the measured servers unless given. `slot_share` is the
        share of a slot's matrices that vLLM allocates, where adapters may change some modules only.
        """
        slots = max_loras * (self.slot_bytes + slot_share * self.slot_bytes_per_rank * max_lora_rank)
        step = self.profiling_bytes(
            max_num_seqs=max_num_seqs or self.max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens or self.max_num_batched_tokens,
        )
        used = self.weights_bytes + self.activation_bytes + step + self.graph_bytes + slots
        free = self.gpu_bytes * gpu_memory_utilization - used
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
