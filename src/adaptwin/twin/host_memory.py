"""host_bytes: the host memory that vLLM fills with adapters, which it pins."""

import heapq
from collections.abc import Iterable

from adaptwin.profile.profile import Profile
from adaptwin.workload.workload import Adapter


def host_bytes(profile: Profile, adapters: Iterable[Adapter], held: int) -> float:
    """Return the bytes of the adapters that a server holds in host memory at most, each at its own rank.

    vLLM pins this memory (vllm/lora/lora_model.py), so it cannot be swapped out. Each GPU of a group has a process of
    its own, which holds whole adapters: they are cut when they are loaded to the GPU.

    Args:
        profile: Profile of the server.
        adapters: The adapters of the server.
        held: How many of them it holds (``max_cpu_loras``): here, the largest.
    """
    model = profile.model
    sizes = (model.loaded_bytes(adapter.rank, adapter.target_modules) for adapter in adapters if adapter.rank)
    return float(profile.tensor_parallel_size * sum(heapq.nlargest(held, sizes)))


def host_bytes_of_each(profile: Profile, adapters: Iterable[Adapter]) -> dict[str, float]:
    """Return the bytes that each adapter alone takes in the host memory of a server, by its name."""
    by_kind: dict[tuple[int, tuple[str, ...] | None], float] = {}
    found = {}
    for adapter in adapters:
        kind = adapter.rank, adapter.target_modules
        if kind not in by_kind:
            by_kind[kind] = host_bytes(profile, [adapter], 1)
        found[adapter.name] = by_kind[kind]
    return found
