"""Base costs: constants of a step from peak figures and shapes, worked out by hand for a tiny model."""

import pytest

from adaptwin.profile.base_costs import Peaks, PeakShares, base_costs
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
SHARES = PeakShares(weights=0.5, cache=0.8, activations=0.25, linear=0.6, attention=0.4, launch=1e-6)


def of_tiny(**shares):
    return base_costs(TINY, PEAKS, SHARES._replace(**shares))


def test_the_constants_of_a_tiny_model():
    costs = of_tiny()
    assert costs == {
        "gpu_base": pytest.approx(4 * 2 * 1e-6 + 1000 * 64 * 2 / 0.5e9),  # 4 launches a layer; the output matrix
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
        ("launch", {"gpu_base"}),
    ],
)
def test_a_share_changes_what_it_says_and_nothing_else(share, changed):
    before, after = of_tiny(), of_tiny(**{share: 2 * getattr(SHARES, share)})
    assert {name for name in before if before[name] != after[name]} == changed


def test_arithmetic_takes_as_long_whatever_the_bandwidth():
    for costs in (of_tiny(weights=0.25), of_tiny(weights=0.5)):
        assert costs["weights"] / costs["balance_tokens"] == pytest.approx(2 * PRODUCTS / 0.6e12, rel=1e-4)
