"""derive_profile: a profile of a GPU and a model that were not measured, from a data sheet and the model's shapes."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from adaptwin.errors import SpecError, require_type
from adaptwin.profile.base_costs import Peaks, base_costs
from adaptwin.profile.carried_costs import (
    OF_BLOCKS,
    OF_BYTES,
    OF_HOST,
    Measured,
    load_costs,
    lora_costs,
    scheduler_costs,
    scrape_costs,
    slower_blocks,
    slower_bytes,
)
from adaptwin.profile.evidence import NOT_CLAIMED, Evidence, EvidenceGrade
from adaptwin.profile.hardware.gpu import GpuSheet, load_gpu
from adaptwin.profile.hardware.held_out import DerivedErrors, held_out
from adaptwin.profile.hardware.host_costs import HOST_BASE, REQUEST_LATENCY, attention_calls, request_seconds
from adaptwin.profile.hardware.kernel_shares import kernel_shares
from adaptwin.profile.hardware.model_config import read_model
from adaptwin.profile.hardware.model_sheet import ModelSheet
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.profile import Profile, load_profile, shipped_profiles
from adaptwin.profile.step_cost import StepCost
from adaptwin.rounding import rounded
from adaptwin.visible import quoted
from adaptwin.vllm_versions import version_numbers

VERSION = re.compile(r"v?[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,6})?([.+-]?[a-z][a-z0-9.+-]*)?")
LONGEST_VERSION = 40  # characters
MEASURED_GPU = "h100-64gb"  # of the shipped profiles
OLDEST_VLLM, NEWEST_VLLM = "0.8.0", "0.33.0"  # for which derived profiles are claimed


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
    _require_version(vllm_version)
    sheet, described = load_gpu(gpu), read_model(model, vllm_version)
    measured = measured_profiles()
    try:
        profile = derived(sheet, described, measured, vllm_version)
    except SpecError as error:  # a constant that no server has, from shapes that no model has
        raise SpecError(f"{quoted(str(model))} gives {error}", "model") from None
    profile = with_evidence(profile, sheet, described, measured)
    update = {"price_per_hour": price_per_hour, **({} if name is None else {"name": name})}
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
    return Profile(
        name=_name(gpu, shape),
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


def _name(gpu: GpuSheet, model: ModelShape) -> str:
    """Return a name for the profile that no shipped one has."""
    name = f"{gpu.name}-{model.name.rpartition('/')[2].lower()}"
    return f"{name}-derived" if name in shipped_profiles() else name


def with_evidence(profile: Profile, gpu: GpuSheet, model: ModelSheet, measured: Sequence[Measured]) -> Profile:
    """Return a derived profile with its origins, its grade, and the errors of profiles that were derived like it."""
    errors = held_out()
    evidence = Evidence(
        constants=profile.fingerprint,
        grade=_derived_grade(gpu, model, profile.vllm_version, errors),
        origins=_origins(gpu, profile.model, measured),
        machines=errors.gpus,
        unchecked=tuple(_unchecked(profile.vllm_version, errors)),
        unchecked_with_adapters=() if gpu.name in errors.lora_gpus else (f"adapters on {gpu.hardware}",),
        notes=model.notes,
        checked=errors.checked,
    )
    if evidence.grade == NOT_CLAIMED:
        return profile.model_copy(update={"evidence": evidence})
    return profile.model_copy(update={"error": errors.error, "spread": errors.spread, "evidence": evidence})


def _unchecked(vllm_version: str, errors: DerivedErrors) -> Iterator[str]:
    """Yield what no real server was compared for; not the GPU, since the errors are those on GPUs without a part."""
    compared = [version_numbers(version)[:2] for version in errors.versions]
    if version_numbers(vllm_version)[:2] not in compared:
        yield f"vLLM {vllm_version} (compared: {', '.join(errors.versions)})"


def _derived_grade(gpu: GpuSheet, model: ModelSheet, vllm_version: str, errors: DerivedErrors) -> EvidenceGrade:
    oldest, newest = version_numbers(OLDEST_VLLM), version_numbers(NEWEST_VLLM)
    if not model.is_described or not oldest <= version_numbers(vllm_version) <= newest:
        return NOT_CLAIMED
    return errors.grade_of(gpu.name)


def _origins(gpu: GpuSheet, model: ModelShape, measured: Sequence[Measured]) -> dict[str, str]:
    """Return where constants come from, by name or by section."""
    shares = kernel_shares(gpu)
    reached = f"kernels of other GPUs with {gpu.memory_type.upper()}"
    if gpu.kernels:
        reached = f"measured kernels of {f'the {gpu.kernels.measured_on}' if gpu.kernels.measured_on else 'this GPU'}"
    read = f"{gpu.memory_bandwidth / 1e9:,.0f} GB/s"
    compute = f"{gpu.flops.bfloat16 / 1e12:,.0f} TFLOP/s"
    names = " and ".join(each.profile.name for each in measured)
    blocks = ", ".join(dict.fromkeys(f"{slower_blocks(each.gpu, gpu):.2f}" for each in measured))
    data = ", ".join(dict.fromkeys(f"{slower_bytes(each.gpu, gpu):.2f}" for each in measured))
    data_sheet = {
        "weights": f"data sheet, {shares.weights:.0%} of {read} ({reached})",
        "gpu_base": f"data sheet, {shares.weights:.0%} of {read} ({reached}), and launches of kernels",
        "balance_tokens": f"data sheet, {shares.linear:.0%} of {compute} ({reached})",
        "per_pair": f"data sheet, {shares.attention:.0%} of {compute} ({reached})",
        "per_context_token": f"data sheet, {shares.cache:.0%} of {read} ({reached})",
        "per_token": f"data sheet, {shares.activations:.0%} of {read} (kernels of other GPUs)",
        "per_sequence": f"data sheet, {shares.linear:.0%} of {compute}, and kernels of other GPUs",
        "host_base": "public runs of other servers; the host of yours may differ",
    }
    step = {
        **data_sheet,
        **dict.fromkeys(OF_BLOCKS, f"{names}, times {blocks} for multiprocessors and clock"),
        **dict.fromkeys(OF_BYTES, f"{names}, times {data} for the bandwidth"),
        **dict.fromkeys(OF_HOST, names),
        **dict.fromkeys(("graph_tokens", "split_tokens"), "source of vLLM"),
    }
    return {
        **{f"step_cost.{name}": origin for name, origin in step.items()},
        "memory": f"shapes of {model.name} and start-up logs of vLLM",
        "load_cost": f"{names} for copies, {gpu.pcie_bandwidth / 1e9:,.0f} GB/s of PCIe, a disk of 2.3 GB/s (assumed)",
        "scheduler_cost": names,
        "scrape_cost": names,
        "request_latency": "public runs of other servers",
    }


def _require_supported(tensor_parallel_size: int, quantization: str | None, kv_cache_dtype: str) -> None:
    """Raise `SpecError` for servers that cannot be derived yet."""
    require_type(tensor_parallel_size, int, "tensor_parallel_size")
    if tensor_parallel_size != 1:
        raise SpecError(f"{tensor_parallel_size} is not supported yet (allowed: 1)", "tensor_parallel_size")
    if quantization is not None:
        raise SpecError(f"{quoted(quantization)} is not supported yet (allowed: none, for 16 bits)", "quantization")
    if kv_cache_dtype != "auto":
        raise SpecError(f"{quoted(kv_cache_dtype)} is not supported yet (allowed: auto, for 16 bits)", "kv_cache_dtype")


def _require_version(vllm_version: str) -> None:
    """Raise `SpecError` for what is no version."""
    require_type(vllm_version, str, "vllm_version")
    if len(vllm_version) > LONGEST_VERSION or not VERSION.fullmatch(vllm_version):
        raise SpecError(f"{quoted(vllm_version)} is not a version, such as {NEWEST_VLLM}", "vllm_version")
