"""Flags of ``vllm serve`` that fix every setting that the twin assumed, so that no default of vLLM replaces one."""

from collections.abc import Iterator

from adaptwin.export.shell import word
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.vllm_versions import version_numbers

# Settings whose flags do not exist in every version of vLLM, with the first version that has the flag.
# vllm/engine/arg_utils.py; pull requests 19970 (async_scheduling), 37307 (scheduler_reserve_full_isl, on by default)
# and 44594 (watermark). Before these versions, vLLM behaves as if the setting were off.
FLAG_SINCE = {
    "async_scheduling": (0, 10),
    "scheduler_reserve_full_isl": (0, 19),
    "watermark": (0, 24),
}
LORA_FLAG_SINCE = {"specialize_active_lora": (0, 15), "lora_target_modules": (0, 17)}  # pull requests 32005, 34984


def setting_flags(profile: Profile, server: Server) -> list[str]:
    """Return the flags of a server besides those of LoRA, with vLLM's defaults for the profile filled in.

    A setting that the profile's version of vLLM does not know has no flag; see `settings_without_flag`.
    """
    used, gpus = server.with_defaults(profile), profile.tensor_parallel_size
    return [
        *([f"--tensor-parallel-size {gpus}"] if gpus > 1 else []),
        *([f"--quantization {word(profile.quantization)}"] if profile.quantization else []),
        *([f"--kv-cache-dtype {word(profile.kv_cache_dtype)}"] if profile.kv_cache_dtype != "auto" else []),
        f"--gpu-memory-utilization {used.gpu_memory_utilization:g}",
        f"--max-model-len {used.max_model_len}",
        f"--max-num-seqs {used.max_num_seqs}",
        f"--max-num-batched-tokens {used.max_num_batched_tokens}",
        f"--block-size {used.block_size}",
        "--enable-chunked-prefill",
        *(_flag(name, getattr(used, name)) for name in FLAG_SINCE if _has_flag(profile, name)),
    ]


def lora_flags(profile: Profile, server: Server) -> list[str]:
    """Return the flags that enable LoRA, with the slots as planned."""
    modules = " ".join(server.lora_target_modules or ())
    more = {
        "specialize_active_lora": ["--specialize-active-lora"] if server.specialize_active_lora else [],
        "lora_target_modules": [f"--lora-target-modules {modules}"] if modules else [],
    }
    return [
        "--enable-lora",
        f"--max-loras {server.max_loras}",
        f"--max-lora-rank {server.max_lora_rank}",
        f"--max-cpu-loras {server.max_loras if server.max_cpu_loras is None else server.max_cpu_loras}",
        *(["--fully-sharded-loras"] if server.fully_sharded_loras else []),
        *(flag for name, flags in more.items() if _has_flag(profile, name) for flag in flags),
    ]


def settings_without_flag(profile: Profile, server: Server) -> Iterator[str]:
    """Yield the settings that the twin assumed although the profile's version of vLLM has no flag for them."""
    for name in (*FLAG_SINCE, *LORA_FLAG_SINCE):
        value = getattr(server.with_defaults(profile), name)
        if value and not _has_flag(profile, name):
            yield f"{name} {', '.join(value) if isinstance(value, tuple) else str(value).lower()}"


def _has_flag(profile: Profile, setting: str) -> bool:
    return version_numbers(profile.vllm_version) >= {**FLAG_SINCE, **LORA_FLAG_SINCE}[setting]


def _flag(setting: str, value: bool | float) -> str:
    name = setting.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value:g}"
