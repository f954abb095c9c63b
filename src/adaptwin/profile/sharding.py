"""Sharding: what each GPU of a tensor-parallel group holds of a model and of its LoRA slots.

vLLM cuts linear layers as Megatron-LM does: q, k, v, gate and up by their outputs, o and down by their inputs
(vllm/model_executor/layers/linear.py). Embedding and output matrix are cut by tokens of the vocabulary. Where a group
has more GPUs than the model has heads of keys and values, several GPUs hold the same head.

A LoRA layer is cut like the layer it belongs to, so one of its two matrices is cut and the other is on every GPU:
B of a layer that is cut by its outputs, A of one that is cut by its inputs. With ``fully_sharded_loras`` the other
matrix is cut as well, A by ranks and B by outputs. LoRA on the embedding and the output matrix is on every GPU as a
whole (vllm/lora/layers of 0.32.0: column_parallel_linear.py, row_parallel_linear.py, fused_moe.py,
vocab_parallel_embedding.py, logits_processor.py).
"""

from collections.abc import Iterable

from adaptwin.errors import SpecError
from adaptwin.profile.model_shape import ModelShape, merged_modules

CUT_BY_INPUTS = ("o_proj", "down_proj")


def require_divisible(model: ModelShape, tensor_parallel_size: int) -> None:
    """Raise `SpecError` if vLLM would refuse to cut a model for a group of so many GPUs."""
    gpus, field = tensor_parallel_size, "tensor_parallel_size"
    if model.heads % gpus:
        raise SpecError(f"{gpus} does not divide the {model.heads} attention heads of {model.name}", field)
    if model.kv_heads % gpus and gpus % model.kv_heads:
        raise SpecError(f"{gpus} neither divides nor is a multiple of {model.kv_heads} heads of keys and values", field)
    if model.intermediate % gpus:
        raise SpecError(f"{gpus} does not divide the width {model.intermediate} of the MLP of {model.name}", field)


def part_of_one_gpu(model: ModelShape, tensor_parallel_size: int) -> ModelShape:
    """Return the shape of what each GPU of a group holds; it is `model` for a group of one.

    Raises:
        SpecError: vLLM would refuse a group of this size.
    """
    gpus = tensor_parallel_size
    if gpus == 1:
        return model
    require_divisible(model, gpus)
    return model.model_copy(
        update={
            "heads": model.heads // gpus,
            "kv_heads": max(1, model.kv_heads // gpus),
            "intermediate": model.intermediate // gpus,
            "vocabulary": -(-model.vocabulary // gpus),
        }
    )


def adapter_bytes_of_one_gpu(
    model: ModelShape, modules: Iterable[str], tensor_parallel_size: int, *, fully_sharded_loras: bool
) -> float:
    """Return the bytes per unit of rank that each GPU of a group holds of an adapter's matrices for some modules."""
    widths = part_of_one_gpu(model, tensor_parallel_size).module_widths
    values = 0.0
    for module in modules:
        inputs, outputs = (float(width) for width in widths[module])
        if fully_sharded_loras and module in CUT_BY_INPUTS:
            outputs /= tensor_parallel_size
        elif fully_sharded_loras:
            inputs /= tensor_parallel_size
        values += model.copies(module) * (inputs + outputs)
    return model.layers * values * model.bytes_per_value


def slot_bytes_per_rank(
    model: ModelShape,
    tensor_parallel_size: int = 1,
    *,
    fully_sharded_loras: bool = False,
    modules: Iterable[str] | None = None,
) -> float:
    """Return the bytes of a slot on each GPU of a group, per unit of ``max_lora_rank``.

    Args:
        model: The whole model.
        tensor_parallel_size: GPUs of the group.
        fully_sharded_loras: Whether both matrices of a LoRA layer are cut.
        modules: Modules that adapters may change, which vLLM widens to whole merged layers; None: all, with embedding
            and output matrix where vLLM has slots for these.
    """
    every = set(model.lora_modules)
    chosen = every if modules is None else every & merged_modules(modules)
    layers = adapter_bytes_of_one_gpu(model, chosen, tensor_parallel_size, fully_sharded_loras=fully_sharded_loras)
    return layers + (model.embedding_adapter_bytes if modules is None else 0.0)


def slot_share(
    model: ModelShape, tensor_parallel_size: int, *, fully_sharded_loras: bool, modules: Iterable[str] | None
) -> float:
    """Return the bytes of a slot with these settings over those with vLLM's defaults."""
    if modules is None and not fully_sharded_loras:
        return 1.0
    usual = slot_bytes_per_rank(model, tensor_parallel_size)
    return (
        slot_bytes_per_rank(model, tensor_parallel_size, fully_sharded_loras=fully_sharded_loras, modules=modules)
        / usual
    )
