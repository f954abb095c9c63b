"""Numba compilation, one way for the whole project: cached on disk, and free of the interpreter lock."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])

# Packages whose functions are compiled, or called by such.
COMPILED_PACKAGES = ("profile", "steady_state", "surrogate", "twin", "workload")


def compiled(function: F) -> F:
    """Compile `function` on first call; the machine code is kept, so it happens once per installation.

    Without ``fastmath``: a compiled function gives the very bits its Python source gives, which is what lets
    the kernel be compared with the reference twin to the last digit.
    """
    dispatcher: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    if hasattr(dispatcher, "_cache"):  # not with NUMBA_DISABLE_JIT
        # Numba looks at the file of a function only, not at those of what it calls.
        dispatcher._cache._cache_file._source_stamp = _stamp()
    return cast(F, dispatcher)


def is_cached(function: Callable[..., object]) -> bool:
    """Whether machine code for `function` is already on disk, so that a first call needs no compilation."""
    cache = getattr(function, "_cache", None)
    return bool(cache is None or cache._cache_file._load_index())


@lru_cache(maxsize=1)
def _stamp() -> str:
    """A hash of all sources of the packages that compile, those of sub-folders included.

    It tells machine code of these very sources from that of another version.
    """
    sources = hashlib.blake2b(digest_size=16)
    root = Path(__file__).parent
    for package in COMPILED_PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            sources.update(path.relative_to(root).as_posix().encode())
            sources.update(path.read_bytes())
    return sources.hexdigest()
