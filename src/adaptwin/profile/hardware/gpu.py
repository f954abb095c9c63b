"""GpuSheet: the data sheet of a GPU, from which its step times and its room for the KV cache are estimated."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from adaptwin.errors import SpecError, not_one_of, require_type
from adaptwin.profile.hardware.shipped_names import names_meant, several_meant
from adaptwin.shipped_files import shipped_files
from adaptwin.spec import Line, Name, Spec

FlopRate = Annotated[float, Field(ge=1e9, le=1e19, allow_inf_nan=False)]
ByteRate = Annotated[float, Field(ge=1e6, le=1e16, allow_inf_nan=False)]


class DenseFlops(Spec):
    """Peak arithmetic of a GPU's tensor cores by type of number: dense, with sums in 32 bits."""

    bfloat16: FlopRate = Field(description="FLOP/s in bfloat16")
    float16: FlopRate = Field(description="FLOP/s in float16")
    fp8: FlopRate | None = Field(default=None, description="FLOP/s in FP8; None: the GPU has no FP8")
    fp4: FlopRate | None = Field(default=None, description="FLOP/s in FP4; None: the GPU has no FP4")
    int8: FlopRate | None = Field(
        default=None, description="operations per second on integers of 8 bits; None: vLLM has no kernels for them"
    )


ShareOfPeak = Annotated[float, Field(gt=0, le=1.2, allow_inf_nan=False)]


class QuantisedShares(Spec):
    """The parts of a GPU's peak figures that the linear layers of a quantised model reach."""

    weights: ShareOfPeak = Field(description="share of the bandwidth with which linear layers read their weights")
    linear: ShareOfPeak = Field(description="share of the arithmetic in the precision of the weights")


class AllReduce(Spec):
    """The time of an all-reduce between the GPUs of a group: a constant, and the bytes over a bandwidth."""

    gpus: int = Field(ge=2, le=8, description="GPUs of the group")
    seconds: float = Field(ge=0, le=1, allow_inf_nan=False, description="seconds of the smallest message")
    bandwidth: ByteRate = Field(description="bytes of a message per second")


class KernelShares(Spec):
    """The parts of a GPU's peak figures that vLLM's kernels reach, measured on it (docs/measured/step-law.md)."""

    weights: ShareOfPeak = Field(description="share of the bandwidth with which linear layers read their weights")
    linear: ShareOfPeak = Field(description="share of the arithmetic in bfloat16 that linear layers reach")
    attention: ShareOfPeak = Field(
        description="share of the arithmetic in bfloat16 that the attention of prompts reaches"
    )
    cache: ShareOfPeak = Field(description="share of the bandwidth with which decodes read the KV cache")
    fp8: QuantisedShares | None = Field(default=None, description="shares of linear layers in FP8; None: not measured")
    fp4: QuantisedShares | None = Field(default=None, description="shares of linear layers in FP4; None: not measured")
    fp8_cache: ShareOfPeak | None = Field(
        default=None, description="share of the bandwidth with which decodes read a KV cache in FP8; None: not measured"
    )
    measured_on: Line | None = Field(default=None, description="the GPU that was measured; None: this one")


class GpuSheet(Spec):
    """The data sheet of one GPU."""

    name: Name = Field(description="name of the sheet")
    hardware: Line = Field(description="the GPU, as nvidia-smi names it")
    architecture: Literal["ampere", "ada", "hopper", "blackwell"] = Field(description="architecture of the GPU")
    memory_gib: float = Field(
        gt=0, le=100_000, allow_inf_nan=False, description="memory in GiB that PyTorch, and so vLLM, reports"
    )
    memory_type: Literal["hbm", "gddr"] = Field(description="type of the memory")
    memory_bandwidth: ByteRate = Field(description="bytes per second that the memory delivers at most")
    flops: DenseFlops = Field(description="peak arithmetic of the tensor cores")
    sms: int = Field(gt=0, le=100_000, description="streaming multiprocessors")
    clock_hz: float = Field(ge=1e8, le=1e11, allow_inf_nan=False, description="boost clock in Hz")
    power_watts: float = Field(gt=0, le=1e5, allow_inf_nan=False, description="power limit in watts")
    l2_bytes: int = Field(gt=0, le=1 << 40, description="bytes of the L2 cache")
    kernels: KernelShares | None = Field(
        default=None, description="shares of the peak figures that kernels reach; None: not measured on this GPU"
    )
    link: Literal["nvlink", "pcie"] = Field(description="what joins the GPUs of a server")
    link_bandwidth: ByteRate = Field(description="bytes per second in each direction between GPUs of a server")
    all_reduce: tuple[AllReduce, ...] = Field(default=(), description="measured all-reduces; empty: not measured")
    pcie_bandwidth: ByteRate = Field(description="bytes per second in each direction between host and GPU")
    price_per_hour: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="a typical price of one GPU per hour on demand, in US dollars, to be replaced by yours; None: not "
        "for rent",
    )
    source: str = Field(description="where the figures come from, and which of them are assumed")


def shipped_gpus() -> list[str]:
    """Return the names of the data sheets that come with adaptwin."""
    return list(_gpu_files())


def load_gpu(name: str) -> GpuSheet:
    """Load a shipped data sheet by its name, or by the start of it that no other name has.

    Case, spaces, hyphens and underscores do not matter. Raises `SpecError` if no name, or several, are meant.
    """
    require_type(name, str, "gpu")
    files = _gpu_files()
    found = names_meant(name, files)
    if len(found) > 1:
        raise several_meant(name, found, "gpu")
    if not found:
        raise SpecError(not_one_of(name, files), "gpu")
    return GpuSheet.read(files[found[0]])


def typical_price(hardware: str) -> float | None:
    """Return the price per hour on the data sheet of a GPU, as nvidia-smi names it; None if it has none."""
    sheets = map(load_gpu, shipped_gpus())
    return next((sheet.price_per_hour for sheet in sheets if sheet.hardware == hardware), None)


def _gpu_files() -> dict[str, Path]:
    return shipped_files("adaptwin.profile.hardware", ".yaml", "gpus")
