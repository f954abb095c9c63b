"""LoraKernels: how many kernels, thread blocks and bytes the adapters of a model cost vLLM in one step.

The counts depend on the model and the version of vLLM, the seconds of each (`StepCost`) on the GPU. So constants that
were measured with one model serve for another one on the same GPU.
"""

from collections.abc import Collection
from typing import NamedTuple

from adaptwin.profile.model_shape import LINEAR, LINEAR_LAYERS, MLP, ModelShape
from adaptwin.profile.sharding import CUT_BY_INPUTS, adapter_bytes_of_one_gpu, part_of_one_gpu

RANK_BLOCK = 16  # rows of an adapter's A matrix that a block of the shrink kernel computes: BLOCK_N

_KERNELS_PER_LAYER = 2  # shrink (multiply with A) and expand (multiply with B)
_TOKENS_OF_ADAPTER = 16  # of a step, that a typical adapter has: for the experts whose matrices are read
_EXPAND_COLUMNS = 128  # columns of an adapter's B matrix that a block of the expand kernel computes: BLOCK_N
_FEWEST_COLUMNS = 64
_NARROW_SINCE = (0, 11, 1)  # not known to the version: between 0.8.5 and 0.19
_SKIPS_BASE_ONLY_SINCE = (0, 11, 1)  # vLLM's pull request 25914, merged in October 2025


class LoraKernels(NamedTuple):
    """What the LoRA kernels of one forward pass launch and move, summed over the layers of a model."""

    launches: int  # kernels
    shrink_blocks: int  # blocks of the shrink kernels for each slot, part of the sum, 32 tokens and 16 ranks
    expand_blocks: int  # blocks of the expand kernels for each slot and 64 tokens
    bytes_per_token: float  # activations that the kernels read and write
    bytes_per_rank: float  # of the matrices of an adapter, which a step with a request to it reads
    skip_base_only: bool  # whether steps without an adapter launch no LoRA kernels
    more_exchanges: float = 0.0  # between GPUs of a group in a step with an adapter, over those of the base model


def lora_kernels(
    model: ModelShape,
    version: tuple[int, ...],
    target_modules: Collection[str] = LINEAR,
    *,
    tensor_parallel_size: int = 1,
    fully_sharded_loras: bool = False,
) -> LoraKernels:
    """Return what the LoRA kernels of a model launch on each GPU if adapters change these modules.

    vLLM merges linear layers with the same input: q, k and v are the slices of one layer, gate and up of another. Each
    layer with a target module launches a shrink and an expand kernel (vllm/lora/ops/triton_ops, lora_shrink.py and
    lora_expand.py of 0.8.5). Their grids have a slice for each module of the layer, also for modules that no adapter
    changes, and as many blocks in each slice as the widest of them needs.

    A block of the expand kernel computes 128 columns in 0.8.5. The current version takes
    ``max(64, next_power_of_2(128 // slices))`` (triton_ops/utils.py) unless it has a tuned configuration for the GPU,
    which is not modelled. In which version this began has not been checked; 0.11.1 is assumed. Since about 0.11.1,
    steps without an adapter have CUDA graphs of their own (`cudagraph_specialize_lora`), without LoRA kernels.

    The kernels of experts (fused_moe_lora_op.py) are counted as those of a dense MLP that each token passes
    `active_experts` times; an adapter in a step reads the matrices of the experts that `_TOKENS_OF_ADAPTER` tokens use.
    This is rough. On a group of GPUs, each GPU computes its part of every layer; fully sharded LoRA layers exchange
    what the shrink kernels computed.

    Args:
        model: The whole base model.
        version: The numbers of vLLM's version (`version_numbers`).
        target_modules: Names of the linear layers that adapters change.
        tensor_parallel_size: GPUs of the group.
        fully_sharded_loras: Whether both matrices of a LoRA layer are cut.
    """
    part = part_of_one_gpu(model, tensor_parallel_size)
    widths, chosen = part.module_widths, set(target_modules).intersection(part.lora_modules)
    layers = [layer for layer in LINEAR_LAYERS if chosen.intersection(layer)]
    sharded = tensor_parallel_size if fully_sharded_loras else 1
    launches = shrink_blocks = expand_blocks = values = 0
    for layer in layers:
        passes = part.active_experts if part.experts and layer[0] in MLP else 1
        inputs = widths[layer[0]][0]
        outputs = [widths[module][1] // (sharded if module in CUT_BY_INPUTS else 1) for module in layer]
        columns = _columns_of_block(len(layer), version)
        launches += _KERNELS_PER_LAYER
        shrink_blocks += passes * len(layer)
        expand_blocks += passes * len(layer) * -(-max(outputs) // columns)
        # each shrink kernel reads its input once; each expand kernel reads and writes the output it adds to
        values += passes * (inputs + 2 * sum(outputs))
    return LoraKernels(
        launches=part.layers * launches,
        shrink_blocks=part.layers * shrink_blocks,
        expand_blocks=part.layers * expand_blocks,
        bytes_per_token=float(part.layers * part.bytes_per_value * values),
        bytes_per_rank=_bytes_read(model, chosen, tensor_parallel_size, fully_sharded_loras),
        skip_base_only=version >= _SKIPS_BASE_ONLY_SINCE,
        more_exchanges=part.layers * len(layers) / exchanges(model) if sharded > 1 else 0.0,
    )


def exchanges(model: ModelShape) -> int:
    """Return the all-reduces of a step: after the embedding, and after attention and MLP of each layer."""
    return 2 * model.layers + 1


def _bytes_read(model: ModelShape, modules: Collection[str], gpus: int, fully_sharded_loras: bool) -> float:
    """Return the bytes per unit of rank that each GPU reads of an adapter in a step."""
    mlp = set(modules).intersection(MLP) if model.experts else set()
    dense, of_experts = (
        adapter_bytes_of_one_gpu(model, of, gpus, fully_sharded_loras=fully_sharded_loras)
        for of in (set(modules) - mlp, mlp)
    )
    if not mlp:
        return dense
    return dense + of_experts * (1.0 - (1.0 - model.active_experts / model.experts) ** _TOKENS_OF_ADAPTER)


def _columns_of_block(slices: int, version: tuple[int, ...]) -> int:
    """Return the columns of an adapter's B matrix that a block of the expand kernel computes."""
    if version < _NARROW_SINCE:
        return _EXPAND_COLUMNS
    return max(_FEWEST_COLUMNS, 1 << (_EXPAND_COLUMNS // slices - 1).bit_length())


def rank_blocks(max_lora_rank: int) -> int:
    """Return the number of blocks of 16 that the padded rank fills."""
    return max(1, -(-max_lora_rank // RANK_BLOCK))
