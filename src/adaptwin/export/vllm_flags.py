"""Flags of ``vllm serve`` that fix every setting that the twin assumed, so that no default of vLLM replaces one."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.vllm_versions import version_numbers

# Settings whose flags do not exist in every version of vLLM, with the first version that has the flag.
# vllm/engine/arg_utils.py; pull requests 19970 (async_scheduling), 37307 (scheduler_reserve_full_isl, on by default)
# and 44594 (watermark). Before these versions, vLLM behaves as if the setting were off.
FLAG_SINCE = {
    "enable_prefix_caching": (0, 8),  # older engines have the flag as well, but other rules
    "async_scheduling": (0, 10),
    "scheduler_reserve_full_isl": (0, 19),
    "watermark": (0, 24),
    "max_num_queued_reqs": (0, 29),
}
_NUMBERS = ("gpu_memory_utilization", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "block_size")
LORA_FLAG_SINCE = {"specialize_active_lora": (0, 15), "lora_target_modules": (0, 17)}  # pull requests 32005, 34984


class Flag(NamedTuple):
    """A flag with its values: ``--max-loras 8``, ``--enable-lora``."""

    name: str  # without hyphens in front
    values: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The flag and its values as words of a command."""
        return [f"--{self.name}", *self.values]

    @property
    def joined(self) -> list[str]:
        """The flag as one word with its value, ``--max-loras=8``, unless it has several."""
        return self.words if len(self.values) != 1 else [f"--{self.name}={self.values[0]}"]


def joined_words(flags: Iterable[Flag]) -> list[str]:
    """Return flags as words of a command, each with its value in one word where it has one."""
    return [word for flag in flags for word in flag.joined]


def setting_flags(profile: Profile, server: Server) -> list[Flag]:
    """Return the flags of a server besides those of LoRA, with vLLM's defaults for the profile filled in.

    A setting that the profile's version of vLLM does not know has no flag; see `settings_without_flag`.
    """
    used, gpus = server.with_defaults(profile), profile.tensor_parallel_size
    return [
        *([_flag("tensor_parallel_size", gpus)] if gpus > 1 else []),
        *([Flag("quantization", (profile.quantization,))] if profile.quantization else []),
        *([Flag("kv-cache-dtype", (profile.kv_cache_dtype,))] if profile.kv_cache_dtype != "auto" else []),
        *(_flag(name, getattr(used, name)) for name in _NUMBERS),
        Flag("enable-chunked-prefill"),
        *(
            _flag(name, value)
            for name in FLAG_SINCE
            if (value := getattr(used, name)) is not None and _has_flag(profile, name)
        ),
    ]


def lora_flags(profile: Profile, server: Server) -> list[Flag]:
    """Return the flags that enable LoRA, with the slots as planned."""
    flags = [
        Flag("enable-lora"),
        _flag("max_loras", server.max_loras),
        _flag("max_lora_rank", server.max_lora_rank),
        _flag("max_cpu_loras", server.max_loras if server.max_cpu_loras is None else server.max_cpu_loras),
    ]
    if server.fully_sharded_loras:
        flags.append(Flag("fully-sharded-loras"))
    if server.specialize_active_lora and _has_flag(profile, "specialize_active_lora"):
        flags.append(Flag("specialize-active-lora"))
    if server.lora_target_modules and _has_flag(profile, "lora_target_modules"):
        flags.append(Flag("lora-target-modules", tuple(server.lora_target_modules)))
    return flags


def settings_without_flag(profile: Profile, server: Server) -> Iterator[str]:
    """Yield the settings that the twin assumed although the profile's version of vLLM has no flag for them."""
    for name in (*FLAG_SINCE, *LORA_FLAG_SINCE):
        value = getattr(server.with_defaults(profile), name)
        if value and not _has_flag(profile, name):
            yield f"{name} {', '.join(value) if isinstance(value, tuple) else str(value).lower()}"


def _has_flag(profile: Profile, setting: str) -> bool:
    return version_numbers(profile.vllm_version) >= {**FLAG_SINCE, **LORA_FLAG_SINCE}[setting]


def _flag(setting: str, value: bool | float) -> Flag:
    name = setting.replace("_", "-")
    if isinstance(value, bool):
        return Flag(name if value else f"no-{name}")
    return Flag(name, (f"{value:g}" if isinstance(value, float) else str(value),))
