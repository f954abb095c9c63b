"""Base costs: the constants of a step without adapters that follow from a GPU's peak figures and a model's shapes."""

from typing import NamedTuple

from adaptwin.profile.model_shape import ModelShape
from adaptwin.rounding import rounded

CONSTANT_DIGITS = 5  # significant ones, of constants that are derived
LAUNCH = 4e-6  # seconds until a linear layer in 16 bits has started and is at full speed
ROUTING = 30e-6  # seconds of a layer to choose the experts of each token and to sort the tokens by them


class Peaks(NamedTuple):
    """Peak figures of a GPU, as on its data sheet."""

    bandwidth: float  # bytes/s of its memory
    flops: float  # FLOP/s, dense, in 16 bits


class PeakShares(NamedTuple):
    """The parts of a GPU's peak figures that vLLM's kernels reach."""

    weights: float  # of the bandwidth, reading the weights of linear layers
    cache: float  # of the bandwidth, reading the KV cache
    activations: float  # of the bandwidth, reading and writing activations; above 1 where they stay in a large L2 cache
    linear: float  # of the arithmetic, in linear layers
    attention: float  # of the arithmetic, in the attention of prompts


class LinearKernels(NamedTuple):
    """What the kernels of a kind of linear layers reach on a GPU."""

    bandwidth: float  # bytes/s of the weights that they read
    flops: float  # FLOP/s
    launch: float  # seconds until a layer has started and is at full speed, quantising its input included


def sixteen_bits(peaks: Peaks, shares: PeakShares) -> LinearKernels:
    """Return what the kernels of linear layers in 16 bits reach."""
    return LinearKernels(peaks.bandwidth * shares.weights, peaks.flops * shares.linear, LAUNCH)


def base_costs(
    model: ModelShape, peaks: Peaks, shares: PeakShares, attention: LinearKernels, mlp: LinearKernels
) -> dict[str, float]:
    """Return constants of `StepCost` by name: `gpu_base`, `weights`, `balance_tokens`, `per_token` and the attention's.

    Norms, rotary embeddings, the activation function and residual additions read and write 8 hidden + 2 (q + k) +
    3 intermediate values per layer and token. Attention makes 4 operations for each pair of tokens and value of a
    query. The output matrix, which is in 16 bits, is read in every step. Of a layer with experts, `expert_weights`,
    `expert_share` and `expert_balance_tokens` are returned as well; a token passes `active_experts` of its experts.

    Args:
        model: What one GPU holds of the model.
        peaks: Peak figures of the GPU.
        shares: Shares of them that its kernels reach.
        attention: Kernels of the linear layers of the attention.
        mlp: Kernels of those of the MLP, or of the experts.
    """
    query, key = model.heads * model.head_dim, model.kv_heads * model.head_dim
    output = float(model.vocabulary * model.hidden * model.bytes_per_value)
    dense = attention if model.experts else mlp
    weights = model.linear_bytes / dense.bandwidth
    passes = max(1, model.active_experts)
    values = 8 * model.hidden + 2 * (query + key) + 3 * passes * model.intermediate
    launches = 2 * attention.launch + 2 * mlp.launch + (ROUTING if model.experts else 0.0)
    constants = {
        "gpu_base": launches * model.layers + output / (peaks.bandwidth * shares.weights),
        "weights": weights,
        "balance_tokens": weights * dense.flops / (2 * model.linear_weights),
        "per_token": model.layers * model.bytes_per_value * values / (peaks.bandwidth * shares.activations),
        "per_pair": 4 * query * model.layers / (peaks.flops * shares.attention),
        "per_context_token": model.kv_bytes_per_token / (peaks.bandwidth * shares.cache),
        **(_expert_costs(model, mlp) if model.experts else {}),
    }
    return {name: rounded(value, CONSTANT_DIGITS) for name, value in constants.items()}


def _expert_costs(model: ModelShape, kernels: LinearKernels) -> dict[str, float]:
    read = model.expert_bytes / kernels.bandwidth
    share = model.active_experts / model.experts
    return {
        "expert_weights": read,
        "expert_share": share,
        "expert_balance_tokens": read * kernels.flops / (2 * model.expert_weights * share),
    }
