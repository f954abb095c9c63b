"""Carried costs: the seconds of LoRA kernels, of loads and of the host, carried from measured GPUs to another one.

The counts of what a step launches and moves follow from the model (`lora_kernels.py`), so a GPU has one cost for each
of them, whatever the model. Thread blocks take the longer, the fewer multiprocessors share them and the lower their
clock; bytes take the longer, the smaller the bandwidth. What the host does takes equally long everywhere.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adaptwin.profile.base_costs import CONSTANT_DIGITS
from adaptwin.profile.hardware.gpu import GpuSheet
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.model_shape import LINEAR, ModelShape
from adaptwin.profile.profile import Profile
from adaptwin.profile.scheduler_cost import SchedulerCost
from adaptwin.profile.scrape_cost import ScrapeCost
from adaptwin.profile.sharding import slot_bytes_per_rank
from adaptwin.rounding import rounded
from adaptwin.spec import Spec

OF_BLOCKS = ("launched_block", "shrink_block", "expand_block", "active_block")  # scale with multiprocessors and clock
OF_BYTES = ("lora_byte", "adapter_byte")  # scale with the bandwidth
OF_HOST = ("slot_launch", "lora_launch", "per_listed_adapter")  # are the same on every GPU

_LINK_SHARE = 0.8  # of the bandwidth of PCIe, that copies from pinned memory reach
_MATRICES = 2 * len(LINEAR)  # of an adapter in a layer, each copied by itself
_DISK_SECONDS = 0.03  # to open and parse the files of an adapter
_DISK_BANDWIDTH = 2.3e9  # bytes/s of a disk whose pages are not cached


class Measured(NamedTuple):
    """A profile that was measured with LoRA, and the data sheet of its GPU."""

    profile: Profile
    gpu: GpuSheet


def slower_blocks(measured: GpuSheet, gpu: GpuSheet) -> float:
    """Return how many times as long thread blocks take on a GPU as on a measured one."""
    return measured.sms * measured.clock_hz / (gpu.sms * gpu.clock_hz)


def slower_bytes(measured: GpuSheet, gpu: GpuSheet) -> float:
    """Return how many times as long bytes of its memory take on a GPU as on a measured one."""
    return measured.memory_bandwidth / gpu.memory_bandwidth


def lora_costs(measured: Sequence[Measured], gpu: GpuSheet) -> dict[str, float]:
    """Return the LoRA constants of `StepCost` by name for a GPU: means over the measured profiles, scaled to it."""

    def carried(name: str, scale: Iterable[float]) -> float:
        costs = (getattr(each.profile.step_cost, name) for each in measured)
        return _mean_constant(cost * by for cost, by in zip(costs, scale, strict=True))

    of_blocks = [slower_blocks(each.gpu, gpu) for each in measured]
    of_bytes = [slower_bytes(each.gpu, gpu) for each in measured]
    same = [1.0 for _ in measured]
    return {
        **{name: carried(name, of_blocks) for name in OF_BLOCKS},
        **{name: carried(name, of_bytes) for name in OF_BYTES},
        **{name: carried(name, same) for name in OF_HOST},
    }


def load_costs(measured: Sequence[Measured], gpu: GpuSheet, model: ModelShape, gpus: int = 1) -> LoadCost:
    """Return the cost of loads: one copy for each matrix of an adapter, and its bytes over the GPU's link.

    The seconds of a copy are those of the measured profiles, on which the bytes did not matter. Of a group of GPUs,
    each loads its part over a link of its own. Adapters on experts have one matrix for all experts of a layer.
    """
    per_copy = statistics.mean(
        each.profile.load_cost.gpu_base / (_MATRICES * each.profile.model.layers) for each in measured
    )
    on_gpu, in_files = slot_bytes_per_rank(model, gpus), model.adapter_bytes_per_rank
    return LoadCost(
        gpu_base=rounded(per_copy * _MATRICES * model.layers, CONSTANT_DIGITS),
        gpu_per_rank=rounded(on_gpu / (gpu.pcie_bandwidth * _LINK_SHARE), CONSTANT_DIGITS),
        gpu_per_padding=0.0,
        disk_base=_DISK_SECONDS,
        disk_per_rank=rounded(in_files / _DISK_BANDWIDTH, CONSTANT_DIGITS),
    )


def scheduler_costs(measured: Sequence[Measured]) -> SchedulerCost:
    """Return the cost of planning: the means of the measured profiles."""
    return SchedulerCost(
        **_mean_constants([each.profile.scheduler_cost for each in measured], SchedulerCost.model_fields)
    )


def scrape_costs(measured: Sequence[Measured]) -> ScrapeCost:
    """Return the cost of scrapes: the means of the measured profiles."""
    return ScrapeCost(**_mean_constants([each.profile.scrape_cost for each in measured], ScrapeCost.model_fields))


def _mean_constants(costs: Sequence[Spec], names: Iterable[str]) -> dict[str, float]:
    """Return the mean of each of these constants by name."""
    return {name: _mean_constant(getattr(cost, name) for cost in costs) for name in names}


def _mean_constant(costs: Iterable[float]) -> float:
    return rounded(statistics.mean(costs), CONSTANT_DIGITS)
