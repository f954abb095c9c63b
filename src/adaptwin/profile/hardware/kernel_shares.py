"""Kernel shares: which part of a GPU's peak figures vLLM's kernels reach.

Of six GPUs, the kernels were measured (docs/measured/step-law.md); their data sheets hold the shares. For other GPUs
the shares are those of the measured ones with the same type of memory. The arithmetic is bounded by the power limit as
well: GPUs of one architecture compute about equally many operations with a joule, so an H100 PCIe with 350 W does half
of what an H100 SXM does with 700 W, although its data sheet promises three quarters.
"""

from adaptwin.profile.base_costs import PeakShares
from adaptwin.profile.hardware.gpu import GpuSheet

_WEIGHTS_READ = {"hbm": 0.85, "gddr": 0.80}  # of the bandwidth
_CACHE_READ = {"hbm": 0.93, "gddr": 0.83}
_LARGE_L2 = 90e6  # bytes, from which activations stay in the L2 cache
_ACTIVATIONS_IN_MEMORY, _ACTIVATIONS_IN_L2 = 0.6, 1.0
_LINEAR = 0.83  # of the arithmetic, where power is no limit
_ATTENTION = 0.83  # of what linear layers reach
_FLOP_PER_JOULE = {"ampere": 0.66e12, "ada": 0.72e12, "hopper": 1.12e12, "blackwell": 1.6e12}


def kernel_shares(gpu: GpuSheet) -> PeakShares:
    """Return the shares of the peak figures that kernels reach on a GPU, measured or by rule."""
    activations = _ACTIVATIONS_IN_L2 if gpu.l2_bytes >= _LARGE_L2 else _ACTIVATIONS_IN_MEMORY
    if gpu.kernels:
        return PeakShares(
            weights=gpu.kernels.weights,
            cache=gpu.kernels.cache,
            activations=activations,
            linear=gpu.kernels.linear,
            attention=gpu.kernels.attention,
        )
    linear = min(_LINEAR, _FLOP_PER_JOULE[gpu.architecture] * gpu.power_watts / gpu.flops.bfloat16)
    return PeakShares(
        weights=_WEIGHTS_READ[gpu.memory_type],
        cache=_CACHE_READ[gpu.memory_type],
        activations=activations,
        linear=linear,
        attention=_ATTENTION * linear,
    )
