"""Memory: what the process frees it keeps, so that the next run of the twin need not fetch the same pages again."""

import ctypes
import sys
from functools import lru_cache

KEPT = 256 << 20  # bytes
LARGEST = 32 << 20  # bytes of one block that is kept; glibc allows no more

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Have glibc keep up to 256 MB that were freed; with other C libraries nothing happens.

    A run allocates and frees some dozens of bytes per request. By default glibc hands blocks of this size back to the
    system, and fetching them page by page again takes up to a third of the next run's time.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "gnu_get_libc_version"):
            libc.mallopt(_M_TRIM_THRESHOLD, KEPT)
            libc.mallopt(_M_MMAP_THRESHOLD, LARGEST)
