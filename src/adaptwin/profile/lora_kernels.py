"""LoraKernels: how many kernels, thread blocks and bytes the adapters of a model cost vLLM in one step.

The counts depend on the model and the version of vLLM, the seconds of each (`StepCost`) on the GPU. So constants that
were measured with one model serve for another one on the same GPU.
"""

from collections.abc import Collection
from typing import NamedTuple

from adaptwin.profile.model_shape import LINEAR, LINEAR_LAYERS, ModelShape

RANK_BLOCK = 16  # rows of an adapter's A matrix that a block of the shrink kernel computes: BLOCK_N

_KERNELS_PER_LAYER = 2  # shrink (multiply with A) and expand (multiply with B)
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


def lora_kernels(model: ModelShape, version: tuple[int, ...], target_modules: Collection[str] = LINEAR) -> LoraKernels:
    """Return what the LoRA kernels of a model launch if adapters change these modules; vLLM's default is all of them.

    vLLM merges linear layers with the same input: q, k and v are the slices of one layer, gate and up of another. Each
    layer with a target module launches a shrink and an expand kernel (vllm/lora/ops/triton_ops, lora_shrink.py and
    lora_expand.py of 0.8.5). Their grids have a slice for each module of the layer, also for modules that no adapter
    changes, and as many blocks in each slice as the widest of them needs.

    A block of the expand kernel computes 128 columns in 0.8.5. The current version takes
    ``max(64, next_power_of_2(128 // slices))`` (triton_ops/utils.py) unless it has a tuned configuration for the GPU,
    which is not modelled. In which version this began has not been checked; 0.11.1 is assumed. Since about 0.11.1,
    steps without an adapter have CUDA graphs of their own (`cudagraph_specialize_lora`), without LoRA kernels.

    Args:
        model: The base model.
        version: The numbers of vLLM's version (`version_numbers`).
        target_modules: Names of the linear layers that adapters change.
    """
    widths, chosen = model.module_widths, set(target_modules)
    layers = [layer for layer in LINEAR_LAYERS if chosen.intersection(layer)]
    columns = {len(layer): _columns_of_block(len(layer), version) for layer in layers}
    modules = [widths[module] for layer in layers for module in layer]
    adapted = [widths[module] for layer in layers for module in layer if module in chosen]
    inputs = [widths[layer[0]][0] for layer in layers]
    return LoraKernels(
        launches=model.layers * _KERNELS_PER_LAYER * len(layers),
        shrink_blocks=model.layers * len(modules),
        expand_blocks=model.layers
        * sum(len(layer) * -(-max(widths[m][1] for m in layer) // columns[len(layer)]) for layer in layers),
        # each shrink kernel reads its input once; each expand kernel reads and writes the output it adds to
        bytes_per_token=float(
            model.layers * model.bytes_per_value * (sum(inputs) + 2 * sum(outputs for _, outputs in modules))
        ),
        bytes_per_rank=float(model.layers * model.bytes_per_value * sum(i + o for i, o in adapted)),
        skip_base_only=version >= _SKIPS_BASE_ONLY_SINCE,
    )


def _columns_of_block(slices: int, version: tuple[int, ...]) -> int:
    """Return the columns of an adapter's B matrix that a block of the expand kernel computes."""
    if version < _NARROW_SINCE:
        return _EXPAND_COLUMNS
    return max(_FEWEST_COLUMNS, 1 << (_EXPAND_COLUMNS // slices - 1).bit_length())


def rank_blocks(max_lora_rank: int) -> int:
    """Return the number of blocks of 16 that the padded rank fills."""
    return max(1, -(-max_lora_rank // RANK_BLOCK))
