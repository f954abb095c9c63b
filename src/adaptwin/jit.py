"""Numba compilation, one way for the whole project: cached on disk, and free of the interpreter lock."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` on first call; the machine code is kept, so it happens once per installation.

    Without ``fastmath``: a compiled function gives the very bits its Python source gives, which is what lets
    the kernel be compared with the reference twin to the last digit.
    """
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def is_cached(function: Callable[..., object]) -> bool:
    """Whether machine code for `function` is already on disk, so that a first call needs no compilation."""
    cache = getattr(function, "_cache", None)
    return bool(cache is None or cache._cache_file._load_index())
