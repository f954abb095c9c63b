"""Base costs: the constants of a step without adapters that follow from a GPU's peak figures and a model's shapes."""

from typing import NamedTuple

from adaptwin.profile.model_shape import LINEAR_LAYERS, ModelShape
from adaptwin.rounding import rounded

CONSTANT_DIGITS = 5  # significant ones, of constants that are derived


class Peaks(NamedTuple):
    """Peak figures of a GPU, as on its data sheet."""

    bandwidth: float  # bytes/s of its memory
    flops: float  # FLOP/s, dense, in the precision of the linear layers


class PeakShares(NamedTuple):
    """The parts of a GPU's peak figures that vLLM's kernels reach."""

    weights: float  # of the bandwidth, reading the weights of linear layers
    cache: float  # of the bandwidth, reading the KV cache
    activations: float  # of the bandwidth, reading and writing activations; above 1 where they stay in a large L2 cache
    linear: float  # of the arithmetic, in linear layers
    attention: float  # of the arithmetic, in the attention of prompts
    launch: float = 4e-6  # seconds until a linear layer has started and is at full speed


def base_costs(model: ModelShape, peaks: Peaks, shares: PeakShares) -> dict[str, float]:
    """Return constants of `StepCost` by name: `gpu_base`, `weights`, `balance_tokens`, `per_token` and the attention's.

    Norms, rotary embeddings, the activation function and residual additions read and write 8 hidden + 2 (q + k) +
    3 intermediate values per layer and token. Attention makes 4 operations for each pair of tokens and value of a
    query. The output matrix is read in every step.
    """
    query, key = model.heads * model.head_dim, model.kv_heads * model.head_dim
    output = float(model.vocabulary * model.hidden * model.bytes_per_value)
    linear = model.linear_bytes
    weights = linear / (peaks.bandwidth * shares.weights)
    values = 8 * model.hidden + 2 * (query + key) + 3 * model.intermediate
    constants = {
        "gpu_base": shares.launch * len(LINEAR_LAYERS) * model.layers + output / (peaks.bandwidth * shares.weights),
        "weights": weights,
        "balance_tokens": weights * peaks.flops * shares.linear / (2 * linear / model.bytes_per_weight),
        "per_token": model.layers * model.bytes_per_value * values / (peaks.bandwidth * shares.activations),
        "per_pair": 4 * query * model.layers / (peaks.flops * shares.attention),
        "per_context_token": model.kv_bytes_per_token / (peaks.bandwidth * shares.cache),
    }
    return {name: rounded(value, CONSTANT_DIGITS) for name, value in constants.items()}
