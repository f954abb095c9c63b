"""vllm_defaults: what vLLM does where a setting is not given, which depends on its version and on the GPU."""

from typing import NamedTuple

from adaptwin.vllm_versions import version_numbers

# The first versions with a default; none of them is that of an unknown version, which counts as the oldest.
ASYNC_SINCE = (0, 14)  # release notes; on every GPU without pipeline parallelism
RESERVE_SINCE = (0, 19)  # pull request 37307
MORE_MEMORY_SINCE = (0, 21)  # with CUDA graphs inside the budget; 0.92 stands in logs from then on
PREFIXES_SINCE = (0, 8)  # the first version whose usual engine is V1, which caches prefixes with LoRA and without
UNCACHED_FIRST_SINCE = (0, 23)  # blocks that are not cached are taken before all others
A100_SINCE = (0, 9)  # pull request 17885


class VllmDefaults(NamedTuple):
    """Values of settings that are not given."""

    gpu_memory_utilization: float
    max_num_batched_tokens: int
    max_num_seqs: int
    async_scheduling: bool
    scheduler_reserve_full_isl: bool
    enable_prefix_caching: bool


def vllm_defaults(hardware: str, gpu_gib: float, vllm_version: str) -> VllmDefaults:
    """Return the defaults of the API server (``vllm serve``) of a version, on a GPU with a name and memory in GiB.

    Source: vllm/engine/arg_utils.py, vllm/config/cache.py and vllm/config/scheduler.py.
    """
    version = version_numbers(vllm_version)
    token_budget, max_num_seqs = _budgets(hardware, gpu_gib, version)
    return VllmDefaults(
        gpu_memory_utilization=0.92 if version >= MORE_MEMORY_SINCE else 0.9,
        max_num_batched_tokens=token_budget,
        max_num_seqs=max_num_seqs,
        async_scheduling=version >= ASYNC_SINCE,
        scheduler_reserve_full_isl=version >= RESERVE_SINCE,
        enable_prefix_caching=version >= PREFIXES_SINCE,
    )


def takes_uncached_first(vllm_version: str) -> bool:
    """Whether freed blocks that are not cached go to the front of the queue of free blocks, not to its end."""
    return version_numbers(vllm_version) >= UNCACHED_FIRST_SINCE


def _budgets(hardware: str, gpu_gib: float, version: tuple[int, ...]) -> tuple[int, int]:
    """Return the budgets of tokens and of requests, which vLLM chooses by the memory of the GPU, and by its name."""
    if gpu_gib >= 160:
        return 16384, 1024
    is_a100 = "a100" in hardware.lower() and version >= A100_SINCE
    return (8192, 1024) if gpu_gib >= 70 and not is_a100 else (2048, 256)
