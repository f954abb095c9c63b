"""Kernel shares: measured ones first; else by the type of memory, and no more arithmetic than the power allows."""

import pytest

from adaptwin.profile.hardware.gpu import KernelShares, load_gpu, shipped_gpus
from adaptwin.profile.hardware.kernel_shares import kernel_shares

PCIE = load_gpu("h100-pcie")


def by_rule(gpu):
    return kernel_shares(gpu.model_copy(update={"kernels": None}))


def test_an_h100_pcie_is_limited_by_its_power():
    assert PCIE.kernels is None
    limited = kernel_shares(PCIE)
    assert limited.linear == pytest.approx(1.12e12 * 350 / 756.5e12)  # 1.12 TFLOP per joule, 350 W
    assert kernel_shares(PCIE.model_copy(update={"power_watts": 700})).linear == 0.83
    assert limited.attention == pytest.approx(0.83 * limited.linear)


def test_half_the_power_of_an_h100_sxm_does_half_the_arithmetic():
    sxm = load_gpu("h100-sxm")
    reached = [gpu.flops.bfloat16 * by_rule(gpu).linear for gpu in (PCIE, sxm)]
    assert reached[0] / reached[1] == pytest.approx(PCIE.power_watts / sxm.power_watts)


def test_measured_shares_go_first():
    measured = KernelShares(weights=0.71, linear=0.62, attention=0.53, cache=0.94)
    shares = kernel_shares(PCIE.model_copy(update={"kernels": measured}))
    assert (shares.weights, shares.linear, shares.attention, shares.cache) == (0.71, 0.62, 0.53, 0.94)


def test_activations_stay_in_a_large_cache():
    assert kernel_shares(load_gpu("rtx-pro-6000")).activations > kernel_shares(PCIE).activations


@pytest.mark.parametrize("name", [name for name in shipped_gpus() if load_gpu(name).kernels])
def test_the_rule_is_near_the_shares_that_were_measured(name):
    gpu = load_gpu(name)
    measured, rule = kernel_shares(gpu), by_rule(gpu)
    assert rule.linear == pytest.approx(measured.linear, rel=0.1)
    assert rule.weights == pytest.approx(measured.weights, rel=0.2)
    assert rule.cache == pytest.approx(measured.cache, rel=0.15)
