"""StartUpFacts: what vLLM says when it starts."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StartUpFacts:
    """Facts from one start of a vLLM server, in bytes and tokens; None where the log does not say."""

    vllm_version: str | None = None
    model: str | None = None
    gpu: str | None = None
    tensor_parallel_size: int | None = None
    quantization: str | None = None
    kv_cache_dtype: str | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    enable_lora: bool | None = None
    max_loras: int | None = None
    max_lora_rank: int | None = None
    fully_sharded_loras: bool | None = None
    enforce_eager: bool | None = None
    block_size: int | None = None  # tokens of a KV block
    total_gpu_bytes: float | None = None
    weights_bytes: float | None = None  # of the model, with its LoRA slots, on one GPU
    graph_bytes: float | None = None  # CUDA graphs, as estimated before the KV cache is made
    kv_cache_bytes: float | None = None  # that the KV cache may take
    kv_cache_tokens: int | None = None
    kv_blocks: int | None = None
    starts: int = 1  # in the log, of which the last is described

    @property
    def slots(self) -> int:
        """Slots for adapters, with vLLM's default of one where LoRA is on."""
        has_lora = self.enable_lora if self.enable_lora is not None else bool(self.max_loras)
        return (self.max_loras or 1) if has_lora else 0
