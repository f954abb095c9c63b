"""machine: the operating system, processor, cores and memory on which adaptwin runs."""

import os
import platform
from contextlib import suppress
from pathlib import Path

from adaptwin.installation.finding import InstallationFinding

LEAST_MEMORY_GIB = 1.0  # planning a large fleet takes half of it
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


def machine() -> list[InstallationFinding]:
    """Return the operating system, the processor, the usable cores, and the memory that this process may use."""
    system = InstallationFinding("platform", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")
    cores = InstallationFinding("cores", "ok", f"{usable_cores()} of {os.cpu_count() or 1} usable")
    return [system, InstallationFinding("processor", "ok", _processor()), cores, *_usable_memory()]


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Return the name by which the compiler knows the processor; machine code is valid for this type only."""
    try:
        from llvmlite.binding import get_host_cpu_name
    except ImportError:
        return platform.processor() or "unknown"
    return str(get_host_cpu_name())


def _usable_memory() -> list[InstallationFinding]:
    sizes = list(_memory_bytes())
    if not sizes:
        return []
    gib = min(sizes) / 2**30
    says = f"{gib:.1f} GiB{', limited by the container' if min(sizes) < sizes[0] else ''}"
    if gib >= LEAST_MEMORY_GIB:
        return [InstallationFinding("memory", "ok", says)]
    remedy = f"give adaptwin {LEAST_MEMORY_GIB:g} GiB, or plan smaller fleets"
    return [InstallationFinding("memory", "note", says, remedy)]


def _memory_bytes() -> list[int]:
    """Return the memory of the machine, and the limit of the container if it has one."""
    sizes = []
    if hasattr(os, "sysconf"):
        with suppress(OSError, ValueError):
            sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            sizes.append(int(Path(limit).read_text(encoding="ascii")))
    return sizes
