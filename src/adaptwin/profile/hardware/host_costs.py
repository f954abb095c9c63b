"""Host costs: constants of a server that no data sheet gives, from runs on other people's servers.

They are those with which derived profiles come closest to the public runs (docs/measured/hardware.md); each model's
error there is that with constants chosen on the other models.
"""

from adaptwin.profile.base_costs import Peaks, PeakShares
from adaptwin.profile.model_shape import ModelShape

HOST_BASE = 1.5e-3  # seconds of every step; 1 to 3.5 ms were seen, and 7 ms on a slow host
REQUEST_LATENCY = 5e-3  # seconds that API server, tokenizer and client add to a request
ATTENTION_CALL = 11e-6  # seconds that the attention of a layer takes for any number of decodes
ATTENTION_REQUEST = 80e-9  # seconds for each request and layer
_SAMPLED_TOKEN = 0.02e-9  # seconds for each request and token of the vocabulary


def attention_calls(model: ModelShape) -> float:
    """Return the seconds of a step for calling attention in all layers."""
    return ATTENTION_CALL * model.layers


def request_seconds(model: ModelShape, vocabulary: int, peaks: Peaks, shares: PeakShares) -> float:
    """Return the seconds of a step for each of its requests: attention, the output matrix and the sampler.

    `model` is what one GPU holds; the sampler of each GPU passes over the whole `vocabulary`.
    """
    output = 2.0 * model.vocabulary * model.hidden / (peaks.flops * shares.linear)
    return ATTENTION_REQUEST * model.layers + output + _SAMPLED_TOKEN * vocabulary
