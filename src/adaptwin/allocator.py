"""Memory allocation: the process keeps memory that it frees, so the next run of the twin can reuse the same pages."""

import ctypes
import sys
from functools import lru_cache

KEPT = 256 << 20  # bytes of freed memory
LARGEST = 32 << 20  # bytes of one block that is kept; glibc allows no more

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MB of freed memory; do nothing with other C libraries.

    A run allocates and frees arrays of some dozens of bytes per request. By default glibc returns blocks of this size
    to the system, and getting them back page by page takes up to a third of the next run's time.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "gnu_get_libc_version"):
            libc.mallopt(_M_TRIM_THRESHOLD, KEPT)
            libc.mallopt(_M_MMAP_THRESHOLD, LARGEST)
