"""Start memory: the memory of a profile, corrected with what vLLM says when it starts.

The KV cache is what is left of the budget: GPU memory x utilization - weights - slots - activations - CUDA graphs. So
its size tells the sum of the others, and the law of the shapes says how the sum is divided. vLLM's line on loading the
model counts the LoRA slots, which it allocates with the weights (``load_model`` in vllm/v1/worker/gpu_model_runner.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

from adaptwin.calibration.residuals import Residual
from adaptwin.errors import SpecError
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.model_shape import ModelShape

SAME_TOKEN_BYTES = 0.02  # relative error of the bytes of a KV token, which follow from the shapes
LIGHTEST_WEIGHTS, HEAVIEST_WEIGHTS = 0.97, 1.1  # of those of the shapes: norms, biases and padding come on top
SAME_GPU = 0.05  # relative difference of the GPU memory in a log from that of the data sheet
MOST_BESIDE = 4.0 * GIB  # of the profiling step and of libraries, that the law of the shapes may leave out
BLOCK_SIZES = (1, 8, 16, 32, 64, 128, 256)  # tokens of a block in a model with attention only


class ServerStart(NamedTuple):
    """What one start of a server says of its memory, with the settings it had; None: not said."""

    name: str  # of the file
    max_loras: int
    max_lora_rank: int
    max_num_seqs: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    slot_share: float = 1.0  # of a slot's matrices, that each GPU holds with these settings
    kv_cache_tokens: int | None = None
    kv_cache_bytes: float | None = None
    kv_blocks: int | None = None
    weights_bytes: float | None = None  # with the slots
    total_gpu_bytes: float | None = None
    graph_bytes: float | None = None  # None: those of the law
    is_eager: bool = False


class StartMemory(NamedTuple):
    """The corrected memory, and how far it was off before and is now."""

    memory: MemoryModel
    corrected: tuple[str, ...]  # names of the constants
    residuals: tuple[tuple[Residual, Residual], ...]  # before and after, for each start
    said: tuple[str, ...]  # in clauses


def corrected_memory(model: ModelShape, memory: MemoryModel, starts: Sequence[ServerStart]) -> StartMemory:
    """Correct the memory of a derived profile; raises `SpecError` if a start contradicts GPU, model or itself."""
    first = memory
    for start in starts:
        _require_same_model(model, memory, start)
    update: dict[str, float] = {}
    totals = [start.total_gpu_bytes for start in starts if start.total_gpu_bytes]
    if totals:
        update["gpu_bytes"] = _same_gpu(memory, totals, starts[0].name)
    weights = [_weights_without_slots(model, memory, start) for start in starts if start.weights_bytes]
    if weights:
        update["weights_bytes"] = sum(weights) / len(weights)
    graphs = [0.0 if start.is_eager else start.graph_bytes for start in starts]
    known = [each for each in graphs if each is not None]
    if known and memory.graph_bytes:
        update["graph_bytes"] = sum(known) / len(known)
    memory = memory.model_copy(update=update)
    sized = [start for start in starts if _tokens_of_start(start, memory)]
    if sized:
        beside = [_beside(memory, start) for start in sized]
        left = sum(beside) / len(beside)
        update["activation_bytes"] = max(0.0, left)
        if left < 0:  # the log does not say what the graphs take
            update["graph_bytes"] = memory.graph_bytes + left
        settings = {"max_num_seqs": starts[0].max_num_seqs, "max_num_batched_tokens": starts[0].max_num_batched_tokens}
        update |= settings
        memory = memory.model_copy(update={**update, "estimated": False})
    residuals = tuple((_residual(first, start), _residual(memory, start)) for start in sized)
    names = tuple(name for name in update if name.endswith("_bytes"))
    return StartMemory(memory, names, residuals, tuple(_sentences(first, memory, names)))


def _tokens_of_start(start: ServerStart, memory: MemoryModel) -> float | None:
    """Return the tokens of KV cache that a start says, in tokens or in bytes."""
    if start.kv_cache_tokens:
        return float(start.kv_cache_tokens)
    if start.kv_cache_bytes and start.kv_cache_bytes > 0:
        return start.kv_cache_bytes / memory.kv_bytes_per_token
    return None


def _require_same_model(model: ModelShape, memory: MemoryModel, start: ServerStart) -> None:
    """Raise `SpecError` if the size of a KV token or of a block is not that of the model."""
    if start.kv_cache_bytes is not None and start.kv_cache_bytes <= 0:
        raise SpecError("no memory was left for the KV cache, so the server did not start", "KV cache")
    if start.kv_cache_tokens and start.kv_blocks:
        block = start.kv_cache_tokens / start.kv_blocks
        if all(abs(block - size) > 0.02 * size for size in BLOCK_SIZES):
            raise SpecError(
                f"{start.kv_cache_tokens:,} tokens in {start.kv_blocks:,} blocks are {block:,.0f} tokens a block: a "
                "model with other layers than attention, which is not modelled",
                "KV cache",
            )
    if start.kv_cache_tokens and start.kv_cache_bytes:
        logged, expected = start.kv_cache_bytes / start.kv_cache_tokens, memory.kv_bytes_per_token
        if abs(logged / expected - 1) > SAME_TOKEN_BYTES:
            raise SpecError(
                f"{start.kv_cache_bytes / GIB:.2f} GiB for {start.kv_cache_tokens:,} tokens are {logged:,.0f} bytes a "
                f"token; a token of {model.name} takes {expected:,.0f}: another model, another type of KV cache, or "
                "several GPUs",
                "KV cache",
            )


def _same_gpu(memory: MemoryModel, totals: Sequence[float], name: str) -> float:
    total = sum(totals) / len(totals)
    if abs(total / memory.gpu_bytes - 1) > SAME_GPU:
        raise SpecError(
            f"the GPU has {total / GIB:.2f} GiB ({name}), and that of --gpu {memory.gpu_bytes / GIB:.2f} GiB", "--gpu"
        )
    return total


def _weights_without_slots(model: ModelShape, memory: MemoryModel, start: ServerStart) -> float:
    """Return the bytes of the base model's weights, without the slots that were loaded with them."""
    assert start.weights_bytes is not None
    weights = start.weights_bytes - _slots(memory, start)
    ratio = weights / memory.weights_bytes
    if not LIGHTEST_WEIGHTS <= ratio <= HEAVIEST_WEIGHTS:
        slots = f" less {start.max_loras} slots of rank {start.max_lora_rank}" if start.max_loras else ""
        raise SpecError(
            f"the model took {start.weights_bytes / GIB:.2f} GiB{slots}, and the weights of {model.name} take "
            f"{memory.weights_bytes / GIB:.2f} GiB: another model, quantised weights, or several GPUs",
            "weights",
        )
    return weights


def _slots(memory: MemoryModel, start: ServerStart) -> float:
    return start.max_loras * (memory.slot_bytes + start.slot_share * memory.slot_bytes_per_rank * start.max_lora_rank)


def _beside(memory: MemoryModel, start: ServerStart) -> float:
    """Return what the profiling step and libraries take at any settings, so that the KV cache has the size it has.

    It is negative if the CUDA graphs, where the start does not say what they take, take less than by the law.
    """
    tokens = _tokens_of_start(start, memory)
    assert tokens is not None
    step = memory.profiling_bytes(max_num_seqs=start.max_num_seqs, max_num_batched_tokens=start.max_num_batched_tokens)
    budget = memory.gpu_bytes * start.gpu_memory_utilization
    others = memory.weights_bytes + step + memory.graph_bytes + _slots(memory, start)
    left = budget - others - tokens * memory.kv_bytes_per_token
    least = -memory.graph_bytes if start.graph_bytes is None else 0.0
    most = memory.activation_bytes + MOST_BESIDE
    if not least <= left <= most:
        raise SpecError(
            f"{tokens:,.0f} KV tokens leave {left / GIB:+.2f} GiB of the {budget / GIB:.2f} GiB that vLLM may use "
            f"({start.gpu_memory_utilization:g} of {memory.gpu_bytes / GIB:.2f}) beside weights, slots, the profiling "
            f"step and graphs ({others / GIB:.2f} GiB); expected {least / GIB:.2f} to {most / GIB:.2f} GiB: check "
            "--gpu, gpu_memory_utilization, and what else used the GPU",
            "KV cache",
        )
    return left


def _residual(memory: MemoryModel, start: ServerStart) -> Residual:
    tokens = _tokens_of_start(start, memory)
    assert tokens is not None
    by_law = memory.kv_cache_tokens(
        max_loras=start.max_loras,
        max_lora_rank=start.max_lora_rank,
        max_num_seqs=start.max_num_seqs,
        max_num_batched_tokens=start.max_num_batched_tokens,
        gpu_memory_utilization=start.gpu_memory_utilization,
        slot_share=start.slot_share,
    )
    error = 100 * (by_law / tokens - 1)
    return Residual(f"KV tokens of {start.name}", 1, error, error)


def _sentences(first: MemoryModel, memory: MemoryModel, names: Sequence[str]) -> list[str]:
    return [
        f"memory.{name} {getattr(first, name) / GIB:.2f} -> {getattr(memory, name) / GIB:.2f} GiB" for name in names
    ]
