"""derive_profile: a profile of a GPU and a model that were not measured, from a data sheet and the model's shapes."""

from collections.abc import Sequence
from pathlib import Path

from adaptwin.errors import SpecError, require_type
from adaptwin.profile.base_costs import Peaks, base_costs
from adaptwin.profile.carried_costs import Measured, load_costs, lora_costs, scheduler_costs, scrape_costs
from adaptwin.profile.evidence import Evidence
from adaptwin.profile.hardware.gpu import GpuSheet, load_gpu
from adaptwin.profile.hardware.host_costs import HOST_BASE, REQUEST_LATENCY, attention_calls, request_seconds
from adaptwin.profile.hardware.kernel_shares import kernel_shares
from adaptwin.profile.hardware.model_config import ModelSheet, read_model
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.profile import Profile, load_profile, shipped_profiles
from adaptwin.profile.step_cost import StepCost
from adaptwin.rounding import rounded
from adaptwin.visible import quoted

MEASURED_GPU = "h100-64gb"  # of the shipped profiles
NEWEST_VLLM = "0.33.0"


def derive_profile(
    *,
    gpu: str,
    model: str | Path,
    tensor_parallel_size: int = 1,
    quantization: str | None = None,
    kv_cache_dtype: str = "auto",
    vllm_version: str = NEWEST_VLLM,
    price_per_hour: float | None = None,
    name: str | None = None,
) -> Profile:
    """Derive a profile from the data sheet of a GPU and the shapes of a model.

    The base model's part of a step follows from the peak figures of the GPU and the shares of them that vLLM's kernels
    reach; the LoRA part is that of the measured profiles, scaled by thread blocks, multiprocessors, clock and
    bandwidth. `Profile.evidence` says where each constant comes from, and `Profile.spread` how far derived profiles
    were from real servers that had no part in them.

    Args:
        gpu: Name of a data sheet (`shipped_gpus`), or the start of one that no other has.
        model: Name of a shipped model (`shipped_models`), or the path of a Hugging Face configuration or of its folder.
        tensor_parallel_size: GPUs of a server; only 1 is supported yet.
        quantization: Of the weights; only None, for 16 bits, is supported yet.
        kv_cache_dtype: Type of the KV cache; only ``auto``, for 16 bits, is supported yet.
        vllm_version: Version of vLLM that serves the model.
        price_per_hour: Price of the GPU; None: none.
        name: Name of the profile; None: that of the GPU and of the model.

    Raises:
        SpecError: A name is not known or means several, the model is of another kind, or an option is not supported.
    """
    _require_supported(tensor_parallel_size, quantization, kv_cache_dtype)
    sheet, described = load_gpu(gpu), read_model(model, vllm_version)
    profile = derived(sheet, described, measured_profiles(), vllm_version)
    update = {"price_per_hour": price_per_hour, **({"name": name} if name else {})}
    return Profile.parse({**profile.model_dump(), **update})


def measured_profiles() -> list[Measured]:
    """Return the shipped profiles, all of which were measured with LoRA, and the data sheet of their GPU."""
    return [Measured(load_profile(name), load_gpu(MEASURED_GPU)) for name in shipped_profiles()]


def derived(gpu: GpuSheet, model: ModelSheet, measured: Sequence[Measured], vllm_version: str) -> Profile:
    """Derive a profile from a data sheet and a model's shapes, with the LoRA part of these measured profiles."""
    shape = model.shape
    peaks, shares = Peaks(gpu.memory_bandwidth, gpu.flops.bfloat16), kernel_shares(gpu)
    base = base_costs(shape, peaks, shares)
    base["gpu_base"] = rounded(base["gpu_base"] + attention_calls(shape), 5)
    profile = Profile(
        name=f"{gpu.name}-{shape.name.rpartition('/')[2].lower()}",
        hardware=gpu.hardware,
        model=shape,
        vllm_version=vllm_version,
        source=f"derived from the data sheet of {gpu.hardware} and the shapes of {shape.name}, not measured",
        request_latency=REQUEST_LATENCY,
        memory=MemoryModel.from_shapes(shape, gpu.memory_gib * GIB, vllm_version),
        step_cost=StepCost(
            **base,
            host_base=HOST_BASE,
            per_sequence=rounded(request_seconds(shape, peaks, shares), 5),
            **lora_costs(measured, gpu),
        ),
        load_cost=load_costs(measured, gpu, shape),
        scheduler_cost=scheduler_costs(measured),
        scrape_cost=scrape_costs(measured),
    )
    return profile


def _require_supported(tensor_parallel_size: int, quantization: str | None, kv_cache_dtype: str) -> None:
    """Raise `SpecError` for servers that cannot be derived yet."""
    require_type(tensor_parallel_size, int, "tensor_parallel_size")
    if tensor_parallel_size != 1:
        raise SpecError(f"{tensor_parallel_size} is not supported yet (allowed: 1)", "tensor_parallel_size")
    if quantization is not None:
        raise SpecError(f"{quoted(quantization)} is not supported yet (allowed: none, for 16 bits)", "quantization")
    if kv_cache_dtype != "auto":
        raise SpecError(f"{quoted(kv_cache_dtype)} is not supported yet (allowed: auto, for 16 bits)", "kv_cache_dtype")
