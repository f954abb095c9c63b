"""Linear kernels: how fast vLLM multiplies by the weights of a quantised model on a GPU.

The shares for FP8 and FP4 were measured on some GPUs (docs/measured/step-law.md), whose data sheets hold them; other
GPUs get the typical ones. For other methods there are no tables: what is said of them is rough.
"""

from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.profile.base_costs import LinearKernels, Peaks, PeakShares, sixteen_bits
from adaptwin.profile.hardware.gpu import GpuSheet, QuantisedShares
from adaptwin.profile.hardware.quantization import Quantization
from adaptwin.vllm_versions import Version

LAUNCHES = {"fp8": 7e-6, "fp8 blocks": 10e-6, "int8": 7e-6, "fp4": 10e-6, "weights only": 5e-6}  # seconds
_FASTER_FP8_SINCE = (0, 19)  # not known to the version: between 0.14 and 0.19
_OLDER_FP8_LAUNCH, _OLDER_FP8_ARITHMETIC = 15e-6, 0.75  # seconds, and a factor; inputs were quantised by own kernels
# Of what layers in 16 bits reach, as shares of the bandwidth and of the arithmetic in the own precision.
_FP8_OF_SIXTEEN = QuantisedShares(weights=0.97, linear=0.68)
_FP4_OF_SIXTEEN = QuantisedShares(weights=0.77, linear=0.67)
_WEIGHTS_ONLY_OF_SIXTEEN = QuantisedShares(weights=0.9, linear=0.85)  # Marlin's kernels; not measured
_BLOCKS_OF_FP8 = 0.9  # of the bandwidth, with scales of blocks
_NOT_MEASURED = "assumed: no such kernels were measured"
_UNPACKED_BYTES = 4.0  # of a weight that is written in 16 bits and read again


class KernelChoice(NamedTuple):
    """Kernels for the linear layers of a quantised model, and what they are, in words."""

    kernels: LinearKernels
    words: str
    peak: float  # FLOP/s of the data sheet, in the precision of the arithmetic
    is_rough: bool = False  # whether no table of such kernels was compared with the law
    origin: str = ""  # where the shares of the peak figures come from; empty where it is as in 16 bits


def linear_kernels(
    gpu: GpuSheet, quantization: Quantization | None, peaks: Peaks, shares: PeakShares, version: Version
) -> KernelChoice:
    """Return the kernels of the linear layers, which are those of weights alone where a GPU lacks the arithmetic."""
    usual = sixteen_bits(peaks, shares)
    if quantization is None:
        return KernelChoice(usual, "16 bits", gpu.flops.bfloat16)
    kernel, words = quantization.kernel, quantization.words
    native = {"fp8": gpu.flops.fp8, "fp8 blocks": gpu.flops.fp8, "int8": gpu.flops.int8, "fp4": gpu.flops.fp4}
    if kernel == "dequantised first":
        width = quantization.bytes_per_weight
        bandwidth = usual.bandwidth * width / (width + _UNPACKED_BYTES)
        words = f"{words}, made 16 bits in every step"
        kernels = usual._replace(bandwidth=bandwidth)
        return KernelChoice(kernels, words, gpu.flops.bfloat16, is_rough=True, origin=_NOT_MEASURED)
    if kernel == "int8" and gpu.flops.int8 is None:
        raise SpecError(f"'int8': vLLM has no kernels for 8-bit integers on {gpu.hardware}", "quantization")
    if (flops := native.get(kernel)) is None:
        of = _WEIGHTS_ONLY_OF_SIXTEEN
        kernels = LinearKernels(usual.bandwidth * of.weights, usual.flops * of.linear, LAUNCHES["weights only"])
        words = f"{words}, multiplied in 16 bits"
        return KernelChoice(kernels, words, gpu.flops.bfloat16, is_rough=True, origin=_NOT_MEASURED)
    reached = _reached(gpu, kernel, shares)
    bandwidth = gpu.memory_bandwidth * reached.weights * (_BLOCKS_OF_FP8 if kernel == "fp8 blocks" else 1.0)
    kernels = LinearKernels(bandwidth, flops * reached.linear, LAUNCHES[kernel])
    if kernel.startswith("fp8") and version < _FASTER_FP8_SINCE:
        kernels = kernels._replace(launch=_OLDER_FP8_LAUNCH, flops=kernels.flops * _OLDER_FP8_ARITHMETIC)
    origin = _NOT_MEASURED if quantization.is_rough else "measured kernels in this precision"
    return KernelChoice(kernels, words, flops, quantization.is_rough, origin)


def _reached(gpu: GpuSheet, kernel: str, shares: PeakShares) -> QuantisedShares:
    """Return the shares of bandwidth and arithmetic, as measured on the GPU or typical."""
    of = _FP4_OF_SIXTEEN if kernel == "fp4" else _FP8_OF_SIXTEEN
    measured = gpu.kernels and (gpu.kernels.fp4 if kernel == "fp4" else gpu.kernels.fp8)
    return measured or QuantisedShares(weights=of.weights * shares.weights, linear=of.linear * shares.linear)


def cache_share(gpu: GpuSheet, shares: PeakShares, *, fp8: bool) -> float:
    """Return the share of the bandwidth with which decodes read the KV cache in 16 bits or in FP8."""
    if not fp8:
        return shares.cache
    measured = gpu.kernels.fp8_cache if gpu.kernels else None
    return _FP8_CACHE * shares.cache if measured is None else measured


_FP8_CACHE = 0.9  # of what a cache in 16 bits reaches; 0.7 to 1 were measured
