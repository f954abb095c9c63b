"""Evidence of derived profiles: where their constants come from, what was compared, and how far to trust them."""

from collections.abc import Iterator, Sequence

from adaptwin.profile.base_costs import Peaks
from adaptwin.profile.carried_costs import OF_BLOCKS, OF_BYTES, OF_HOST, Measured, slower_blocks, slower_bytes
from adaptwin.profile.evidence import NOT_CLAIMED, ROUGH, Evidence, EvidenceGrade
from adaptwin.profile.hardware.communication import exchange
from adaptwin.profile.hardware.gpu import GpuSheet
from adaptwin.profile.hardware.held_out import DerivedErrors, held_out
from adaptwin.profile.hardware.kernel_shares import kernel_shares
from adaptwin.profile.hardware.linear_kernels import KernelChoice, cache_share, linear_kernels
from adaptwin.profile.hardware.model_sheet import ModelSheet
from adaptwin.profile.profile import Profile
from adaptwin.vllm_versions import version_numbers

PAIR = 2  # GPUs of a group, up to which servers with PCIe take about equally long to exchange
OLDEST_VLLM, NEWEST_VLLM = "0.8.0", "0.33.0"  # for which derived profiles are claimed


def with_evidence(profile: Profile, gpu: GpuSheet, model: ModelSheet, measured: Sequence[Measured]) -> Profile:
    """Return a derived profile with its origins, its grade, and the errors of profiles that were derived like it."""
    errors = held_out()
    evidence = Evidence(
        constants=profile.fingerprint,
        grade=_derived_grade(gpu, model, profile.vllm_version, errors),
        origins=_origins(profile, gpu, model, measured),
        machines=errors.gpus,
        unchecked=tuple(_unchecked(profile, gpu, model, errors)),
        unchecked_with_adapters=tuple(_unchecked_with_adapters(profile, gpu, errors)),
        notes=model.notes,
        checked=errors.checked,
    )
    if evidence.grade in (NOT_CLAIMED, ROUGH):
        return profile.model_copy(update={"evidence": evidence})
    return profile.model_copy(update={"error": errors.error, "spread": errors.spread, "evidence": evidence})


def _unchecked(profile: Profile, gpu: GpuSheet, model: ModelSheet, errors: DerivedErrors) -> Iterator[str]:
    """Yield what no real server was compared for; not the GPU, since the errors are those on GPUs without a part."""
    version = version_numbers(profile.vllm_version)
    compared = [version_numbers(version)[:2] for version in errors.versions]
    if version[:2] not in compared:
        yield f"vLLM {profile.vllm_version} (compared: {', '.join(errors.versions)})"
    kernels = _linear_kernels(profile, gpu, model)
    if kernels.is_rough:
        yield f"{kernels.words}: a rough estimate, as no such kernels were compared"
    if profile.tensor_parallel_size > 1 and gpu.link == "pcie":
        reached = f"{exchange(gpu, profile.tensor_parallel_size).bandwidth / 1e9:.3g} GB/s assumed"
        rough = ": a rough estimate, as servers differ by a factor of four to ten"
        pair = profile.tensor_parallel_size <= PAIR
        yield f"a group of {profile.tensor_parallel_size} GPUs over PCIe ({reached}){'' if pair else rough}"
    if profile.model.bytes_per_kv_value < profile.model.bytes_per_value:
        yield "a KV cache in FP8"


def _unchecked_with_adapters(profile: Profile, gpu: GpuSheet, errors: DerivedErrors) -> Iterator[str]:
    """Yield what no real server with adapters was compared for."""
    if gpu.name not in errors.lora_gpus:
        yield f"adapters on {gpu.hardware}"
    if profile.tensor_parallel_size > 1:
        yield "adapters on a group of GPUs"


def _derived_grade(gpu: GpuSheet, model: ModelSheet, vllm_version: str, errors: DerivedErrors) -> EvidenceGrade:
    oldest, newest = version_numbers(OLDEST_VLLM), version_numbers(NEWEST_VLLM)
    if not oldest <= version_numbers(vllm_version) <= newest:
        return NOT_CLAIMED
    return model.at_best or errors.grade_of(gpu.name)


def _linear_kernels(profile: Profile, gpu: GpuSheet, model: ModelSheet) -> KernelChoice:
    peaks = Peaks(gpu.memory_bandwidth, gpu.flops.bfloat16)
    return linear_kernels(gpu, model.quantization, peaks, kernel_shares(gpu), version_numbers(profile.vllm_version))


def _origins(profile: Profile, gpu: GpuSheet, model: ModelSheet, measured: Sequence[Measured]) -> dict[str, str]:
    """Return where constants come from, by name or by section."""
    shares, linear = kernel_shares(gpu), _linear_kernels(profile, gpu, model)
    reached = f"kernels of other GPUs with {gpu.memory_type.upper()}"
    if gpu.kernels:
        reached = f"measured kernels of {f'the {gpu.kernels.measured_on}' if gpu.kernels.measured_on else 'this GPU'}"
    read = f"{gpu.memory_bandwidth / 1e9:,.0f} GB/s"
    compute = f"{gpu.flops.bfloat16 / 1e12:,.0f} TFLOP/s"
    of_weights = linear.origin or reached
    weights = f"data sheet, {linear.kernels.bandwidth / gpu.memory_bandwidth:.0%} of {read} ({of_weights})"
    plain = f"data sheet, {shares.weights:.0%} of {read} ({reached})"
    arithmetic = f"data sheet, {linear.kernels.flops / linear.peak:.0%} of {linear.peak / 1e12:,.0f} TFLOP/s"
    if model.quantization and not model.quantization.attention and model.shape.experts:  # all else is in 16 bits
        dense, balance = plain, f"data sheet, {shares.linear:.0%} of {compute} ({reached})"
    else:
        dense, balance = weights, f"{arithmetic} ({of_weights})"
    cache = cache_share(gpu, shares, fp8=profile.model.bytes_per_kv_value < profile.model.bytes_per_value)
    names = " and ".join(each.profile.name for each in measured)
    blocks = ", ".join(dict.fromkeys(f"{slower_blocks(each.gpu, gpu):.2f}" for each in measured))
    data = ", ".join(dict.fromkeys(f"{slower_bytes(each.gpu, gpu):.2f}" for each in measured))
    data_sheet = {
        "weights": dense,
        "gpu_base": f"{plain}, and launches of kernels",
        "balance_tokens": balance,
        **(_of_experts(profile, weights) if profile.model.experts else {}),
        "per_pair": f"data sheet, {shares.attention:.0%} of {compute} ({reached})",
        "per_context_token": f"data sheet, {cache:.0%} of {read} ({reached})",
        "per_token": f"data sheet, {shares.activations:.0%} of {read} (kernels of other GPUs)",
        "per_sequence": f"data sheet, {shares.linear:.0%} of {compute}, and kernels of other GPUs",
        **dict.fromkeys(("communication", "communication_per_token"), _of_exchanges(profile, gpu)),
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
        **{f"step_cost.{name}": origin for name, origin in step.items() if getattr(profile.step_cost, name)},
        "memory": f"shapes of {profile.model.name} and start-up logs of vLLM",
        "load_cost": f"{names} for copies, {gpu.pcie_bandwidth / 1e9:,.0f} GB/s of PCIe, a disk of 2.3 GB/s (assumed)",
        "scheduler_cost": names,
        "scrape_cost": names,
        "request_latency": "public runs of other servers",
    }


def _of_experts(profile: Profile, weights: str) -> dict[str, str]:
    reading = dict.fromkeys(("expert_weights", "expert_balance_tokens"), f"{weights}; no server was compared")
    return {**reading, "expert_share": f"shapes of {profile.model.name}; experts are equally likely (assumed)"}


def _of_exchanges(profile: Profile, gpu: GpuSheet) -> str:
    if profile.tensor_parallel_size == 1:
        return "one GPU exchanges nothing"
    of = exchange(gpu, profile.tensor_parallel_size)
    if of.is_measured:
        return "measured all-reduces between these GPUs; servers with other links differ"
    rule = "4 and more on PCIe differ by a factor of four to ten" if gpu.link == "pcie" else "within about 20 %"
    return f"all-reduces between other GPUs on {gpu.link.upper()} ({rule})"
