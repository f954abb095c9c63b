"""derive_profile: a profile of a GPU and a model that were not measured, from a data sheet and the model's shapes."""

import re
from collections.abc import Sequence
from pathlib import Path

from adaptwin.errors import SpecError, not_one_of, require_type
from adaptwin.profile.base_costs import Peaks, base_costs, sixteen_bits
from adaptwin.profile.carried_costs import (
    Measured,
    load_costs,
    lora_costs,
    scheduler_costs,
    scrape_costs,
)
from adaptwin.profile.derived_evidence import NEWEST_VLLM, with_evidence
from adaptwin.profile.hardware.communication import communication
from adaptwin.profile.hardware.gpu import GpuSheet, load_gpu
from adaptwin.profile.hardware.host_costs import HOST_BASE, REQUEST_LATENCY, attention_calls, request_seconds
from adaptwin.profile.hardware.kernel_shares import kernel_shares
from adaptwin.profile.hardware.linear_kernels import cache_share, linear_kernels
from adaptwin.profile.hardware.model_config import read_model
from adaptwin.profile.hardware.model_sheet import ModelSheet
from adaptwin.profile.hardware.quantization import ONLINE, require_whole_blocks, words_of_methods
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.profile import Profile, load_profile, shipped_profiles
from adaptwin.profile.sharding import part_of_one_gpu
from adaptwin.profile.step_cost import StepCost
from adaptwin.rounding import rounded
from adaptwin.visible import quoted
from adaptwin.vllm_versions import version_numbers

VERSION = re.compile(r"v?[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,6})?([.+-]?[a-z][a-z0-9.+-]*)?")
LONGEST_VERSION = 40  # characters
MEASURED_GPU = "h100-64gb"  # of the shipped profiles
KV_CACHE_DTYPES = ("auto", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2")
_FP8_CACHE_SINCE = (0, 12)  # by itself, where a model asks for it; not known to the version


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
        model: Name of a shipped model (`shipped_models`) or of a copy of it in fewer bits, or the path of a Hugging
            Face configuration or of its folder.
        tensor_parallel_size: GPUs of a server, up to 8, which share every layer of the model.
        quantization: Method by which the weights are quantised: ``fp8``, ``int8``, ``awq``, ``gptq``,
            ``bitsandbytes``, ``nvfp4`` or ``mxfp4``; None: as the configuration of the model says, else 16 bits.
        kv_cache_dtype: Type of the KV cache: ``auto``, for 16 bits unless the files of the model ask for FP8;
            ``bfloat16``; or ``fp8``.
        vllm_version: Version of vLLM that serves the model.
        price_per_hour: Price of one GPU; None: none.
        name: Name of the profile; None: that of the GPU and of the model.

    Raises:
        SpecError: A name is not known or means several, the model is of another kind, vLLM would refuse a group of this
            size, or the weights are not stored as `quantization` says.
    """
    require_type(tensor_parallel_size, int, "tensor_parallel_size")
    if tensor_parallel_size < 1 or isinstance(tensor_parallel_size, bool):
        raise SpecError(f"{tensor_parallel_size} is not a whole number of 1 or more", "tensor_parallel_size")
    _require_version(vllm_version)
    sheet, described = load_gpu(gpu), read_model(model, vllm_version, quantization)
    described = _with_cache(described, kv_cache_dtype, vllm_version)
    measured = measured_profiles()
    try:
        profile = derived(sheet, described, measured, vllm_version, tensor_parallel_size)
    except SpecError as error:  # a constant that no server has, from shapes that no model has
        if error.field in ("tensor_parallel_size", "quantization"):
            raise
        raise SpecError(f"{quoted(str(model))} gives {error}", "model") from None
    online = quantization in ONLINE and not described.is_stored
    chosen = {"quantization": quantization if online else None, "kv_cache_dtype": kv_cache_dtype}
    profile = with_evidence(profile.model_copy(update=chosen), sheet, described, measured)
    update = {"price_per_hour": price_per_hour, **({} if name is None else {"name": name})}
    return Profile.parse({**profile.model_dump(), **update})


def _with_cache(model: ModelSheet, kv_cache_dtype: str, vllm_version: str) -> ModelSheet:
    """Return the sheet of a model with a KV cache of this type; raises `SpecError` for another one."""
    if kv_cache_dtype not in KV_CACHE_DTYPES:
        raise SpecError(not_one_of(kv_cache_dtype, KV_CACHE_DTYPES), "kv_cache_dtype")
    asked = model.quantization is not None and model.quantization.fp8_cache
    is_fp8 = kv_cache_dtype.startswith("fp8") or (
        kv_cache_dtype == "auto" and asked and version_numbers(vllm_version) >= _FP8_CACHE_SINCE
    )
    if not is_fp8:
        return model
    return model._replace(shape=model.shape.model_copy(update={"bytes_per_kv_value": 1.0}))


def measured_profiles() -> list[Measured]:
    """Return the shipped profiles, all of which were measured with LoRA, and the data sheet of their GPU."""
    return [Measured(load_profile(name), load_gpu(MEASURED_GPU)) for name in shipped_profiles()]


def derived(
    gpu: GpuSheet,
    model: ModelSheet,
    measured: Sequence[Measured],
    vllm_version: str,
    tensor_parallel_size: int = 1,
) -> Profile:
    """Derive a profile from a data sheet and a model's shapes, with the LoRA part of these measured profiles."""
    shape, gpus = model.shape, tensor_parallel_size
    part = part_of_one_gpu(shape, gpus)
    if model.quantization:
        require_whole_blocks(part, model.quantization, gpus)
    peaks, shares = Peaks(gpu.memory_bandwidth, gpu.flops.bfloat16), kernel_shares(gpu)
    shares = shares._replace(cache=cache_share(gpu, shares, fp8=shape.bytes_per_kv_value < shape.bytes_per_value))
    mlp = linear_kernels(gpu, model.quantization, peaks, shares, version_numbers(vllm_version)).kernels
    attention = sixteen_bits(peaks, shares) if model.quantization and not model.quantization.attention else mlp
    base = base_costs(part, peaks, shares, attention, mlp)
    base["gpu_base"] = rounded(base["gpu_base"] + attention_calls(part), 5)
    exchanged = communication(gpu, shape, gpus)
    return Profile(
        name=_name(gpu, model, gpus),
        hardware=gpu.hardware,
        model=shape,
        vllm_version=vllm_version,
        tensor_parallel_size=gpus,
        source=f"derived from the data sheet of {gpu.hardware} and the shapes of {shape.name}, not measured",
        request_latency=REQUEST_LATENCY,
        memory=MemoryModel.from_shapes(shape, gpu.memory_gib * GIB, vllm_version, gpus),
        step_cost=StepCost(
            **base,
            host_base=HOST_BASE,
            per_sequence=rounded(request_seconds(part, shape.vocabulary, peaks, shares) + exchanged.per_sequence, 5),
            communication=rounded(exchanged.of_step, 5),
            communication_per_token=rounded(exchanged.per_token, 5),
            **lora_costs(measured, gpu),
        ),
        load_cost=load_costs(measured, gpu, shape, gpus),
        scheduler_cost=scheduler_costs(measured),
        scrape_cost=scrape_costs(measured),
    )


def _name(gpu: GpuSheet, model: ModelSheet, tensor_parallel_size: int) -> str:
    """Return a name for the profile that no shipped one has."""
    name = f"{gpu.name}-{model.shape.name.rpartition('/')[2].lower()}"
    if model.quantization and not words_of_methods(name):
        name += f"-{model.quantization.method}"
    if model.shape.bytes_per_kv_value < model.shape.bytes_per_value:
        name += "-fp8-cache"
    if tensor_parallel_size > 1:
        name += f"-tp{tensor_parallel_size}"
    return f"{name}-derived" if name in shipped_profiles() else name


def _require_version(vllm_version: str) -> None:
    """Raise `SpecError` for what is no version."""
    require_type(vllm_version, str, "vllm_version")
    if len(vllm_version) > LONGEST_VERSION or not VERSION.fullmatch(vllm_version):
        raise SpecError(f"{quoted(vllm_version)} is not a version, such as {NEWEST_VLLM}", "vllm_version")
