"""Base costs: constants of a step from peak figures and shapes, worked out by hand for a tiny model."""

import pytest

from adaptwin.profile.base_costs import LAUNCH, ROUTING, LinearKernels, Peaks, PeakShares, base_costs, sixteen_bits
from adaptwin.profile.model_shape import ModelShape

TINY = ModelShape(
    name="tiny",
    hidden=64,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=16,
    intermediate=128,
    vocabulary=1000,
    max_model_len=512,
)
# A layer's linear layers: q of 64 x 64, k and v of 64 x 32 each, o of 64 x 64, gate, up and down of 64 x 128 each.
PRODUCTS = 2 * (64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 128)  # 73,728 for each token
PEAKS = Peaks(bandwidth=1e9, flops=1e12)
SHARES = PeakShares(weights=0.5, cache=0.8, activations=0.25, linear=0.6, attention=0.4)


def of_tiny(**shares):
    changed = SHARES._replace(**shares)
    kernels = sixteen_bits(PEAKS, changed)
    return base_costs(TINY, PEAKS, changed, kernels, kernels)


def test_the_constants_of_a_tiny_model():
    costs = of_tiny()
    assert costs == {
        "gpu_base": pytest.approx(4 * 2 * LAUNCH + 1000 * 64 * 2 / 0.5e9),  # 4 launches a layer; the output matrix
        "weights": pytest.approx(2 * PRODUCTS / 0.5e9, rel=1e-4),  # 147,456 bytes
        # at the balance, 2 T operations for each weight take as long as reading its 2 bytes
        "balance_tokens": pytest.approx(0.6e12 / 0.5e9, rel=1e-4),
        # a layer's activations: 8 x 64 + 2 x (64 + 32) + 3 x 128 values of 2 bytes
        "per_token": pytest.approx(2 * 2 * (512 + 192 + 384) / 0.25e9, rel=1e-4),
        "per_pair": pytest.approx(4 * 64 * 2 / 0.4e12, rel=1e-4),
        "per_context_token": pytest.approx(2 * 2 * 2 * 2 * 16 / 0.8e9, rel=1e-4),  # keys and values of two heads
    }


@pytest.mark.parametrize(
    ("share", "changed"),
    [
        ("weights", {"gpu_base", "weights", "balance_tokens"}),
        ("cache", {"per_context_token"}),
        ("activations", {"per_token"}),
        ("linear", {"balance_tokens"}),
        ("attention", {"per_pair"}),
    ],
)
def test_a_share_changes_what_it_says_and_nothing_else(share, changed):
    before, after = of_tiny(), of_tiny(**{share: 2 * getattr(SHARES, share)})
    assert {name for name in before if before[name] != after[name]} == changed


def test_arithmetic_takes_as_long_whatever_the_bandwidth():
    for costs in (of_tiny(weights=0.25), of_tiny(weights=0.5)):
        assert costs["weights"] / costs["balance_tokens"] == pytest.approx(2 * PRODUCTS / 0.6e12, rel=1e-4)


def test_linear_layers_of_fewer_bits_have_kernels_of_their_own():
    """The MLP's kernels count for all layers but those of the attention of a model with experts."""
    plain = sixteen_bits(PEAKS, SHARES)
    eight_bits = TINY.model_copy(update={"bytes_per_weight": 1})
    costs = base_costs(eight_bits, PEAKS, SHARES, plain, LinearKernels(bandwidth=1e9, flops=2e12, launch=1e-6))
    assert costs["weights"] == pytest.approx(PRODUCTS / 1e9, rel=1e-4)
    assert costs["weights"] / costs["balance_tokens"] == pytest.approx(2 * PRODUCTS / 2e12, rel=1e-4)
    assert costs["gpu_base"] == pytest.approx(2 * (2 * LAUNCH + 2 * 1e-6) + 1000 * 64 * 2 / 0.5e9)


def test_experts_are_apart_from_what_all_tokens_use():
    """Four experts of width 128, of which a token uses two."""
    moe = TINY.model_copy(update={"experts": 4, "active_experts": 2})
    kernels = sixteen_bits(PEAKS, SHARES)
    costs = base_costs(moe, PEAKS, SHARES, kernels, kernels)
    of_expert = 2 * 3 * 64 * 128
    assert costs["weights"] == pytest.approx(2 * (PRODUCTS - of_expert) / 0.5e9, rel=1e-4)
    assert costs["expert_weights"] == pytest.approx(2 * 4 * of_expert / 0.5e9, rel=1e-4)
    assert costs["expert_share"] == 0.5
    # a token makes 2 operations for each weight of two experts
    assert costs["expert_weights"] / costs["expert_balance_tokens"] == pytest.approx(
        2 * 2 * of_expert / 0.6e12, rel=1e-4
    )
    assert costs["gpu_base"] == pytest.approx(2 * (4 * LAUNCH + ROUTING) + 1000 * 64 * 2 / 0.5e9)
