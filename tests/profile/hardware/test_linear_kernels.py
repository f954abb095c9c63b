"""Linear kernels: those of quantised models, by what a GPU computes with."""

import pytest

from adaptwin import SpecError
from adaptwin.profile.base_costs import LAUNCH, Peaks
from adaptwin.profile.hardware.gpu import load_gpu, shipped_gpus
from adaptwin.profile.hardware.kernel_shares import kernel_shares
from adaptwin.profile.hardware.linear_kernels import cache_share, linear_kernels
from adaptwin.profile.hardware.quantization import QUANTIZATIONS, quantization_named

NEW, OLD = (0, 33, 0), (0, 8, 5)


def of(gpu, method, version=NEW):
    sheet = load_gpu(gpu)
    peaks = Peaks(sheet.memory_bandwidth, sheet.flops.bfloat16)
    return linear_kernels(sheet, method and quantization_named(method), peaks, kernel_shares(sheet), version)


def test_sixteen_bits_are_the_shares_of_the_sheet():
    found = of("h100-sxm", None)
    assert found.kernels == pytest.approx((0.86 * 3.35e12, 0.8 * 989e12, LAUNCH))
    assert not found.is_rough


def test_fp8_is_measured_where_the_gpu_has_it_and_weights_only_where_it_does_not():
    h100, a100 = of("h100-sxm", "fp8"), of("a100-sxm-80gb", "fp8")
    assert h100.kernels[:2] == pytest.approx((0.85 * 3.35e12, 0.52 * 1978e12))
    assert not h100.is_rough
    assert a100.is_rough
    assert a100.words == "FP8, multiplied in 16 bits"
    assert a100.kernels.flops < of("a100-sxm-80gb", None).kernels.flops


def test_fp8_was_slower_in_older_versions():
    assert of("h100-sxm", "fp8", OLD).kernels.launch > 2 * of("h100-sxm", "fp8").kernels.launch
    assert of("h100-sxm", "fp8", OLD).kernels.flops < of("h100-sxm", "fp8").kernels.flops


def test_fp4_is_arithmetic_on_blackwell_and_weights_only_before():
    assert of("b200", "nvfp4").kernels.flops > of("b200", "fp8").kernels.flops
    assert not of("b200", "nvfp4").is_rough
    assert of("h100-sxm", "nvfp4").is_rough


def test_weights_that_are_made_16_bits_in_every_step_are_slower_than_16_bits():
    """Of a weight, 0.53 bytes are read, two are written, and two are read again."""
    width = 0.5 + 2 / 64
    read = of("h100-sxm", None).kernels.bandwidth * width / (width + 4)
    assert of("h100-sxm", "bitsandbytes").kernels.bandwidth == pytest.approx(read)


@pytest.mark.parametrize("method", QUANTIZATIONS)
@pytest.mark.parametrize("gpu", shipped_gpus())
def test_every_method_has_kernels_on_every_gpu(gpu, method):
    if method == "int8" and load_gpu(gpu).architecture == "blackwell":
        with pytest.raises(SpecError, match="quantization: 'int8': vLLM has no kernels for 8-bit integers on "):
            of(gpu, method)
        return
    found = of(gpu, method)
    assert 0 < found.kernels.bandwidth <= load_gpu(gpu).memory_bandwidth
    assert 0 < found.kernels.flops <= found.peak
    assert found.origin


def test_a_cache_in_fp8_is_read_at_its_own_share():
    h200, a10 = load_gpu("h200"), load_gpu("a10")
    assert cache_share(h200, kernel_shares(h200), fp8=True) == 0.68
    assert cache_share(a10, kernel_shares(a10), fp8=True) == pytest.approx(0.9 * kernel_shares(a10).cache)
    assert cache_share(a10, kernel_shares(a10), fp8=False) == kernel_shares(a10).cache
