"""Numba compilation, done the same way everywhere: cached on disk, and without the global interpreter lock."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])

_njit: Any = numba.njit  # takes more options than its types say
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_BORROWING: dict[str, Any] = {"_nrt": False}  # Numba compiles loops of its own so: numba/misc/mergesort.py
_NO_CFUNC: dict[str, Any] = {"no_cfunc_wrapper": True}  # C code never calls the functions: less to compile
_PART: dict[str, Any] = {"no_cpython_wrapper": True, **_NO_CFUNC}

# Packages whose functions are compiled, or called by such.
COMPILED_PACKAGES = ("profile", "steady_state", "surrogate", "twin", "workload")


def compiled(function: F) -> F:
    """Compile `function` on its first call and cache the machine code on disk, so this happens once per installation.

    ``fastmath`` is off: a compiled function returns exactly the bits that its Python source returns, so the kernel can
    be compared with the reference twin to the last digit.
    """
    return cast(F, _kept(_njit(cache=True, **_NO_CFUNC, **_OPTIONS)(function)))


def borrowing(function: F) -> F:
    """Compile a function that creates no arrays, so that its array arguments need no reference counting.

    Reference counting takes longer than most of the work on the arrays. Compiled functions to which it passes arrays
    must be `inlined` or `called`.
    """
    return cast(F, _kept(_njit(cache=True, **_NO_CFUNC, **_OPTIONS, **_BORROWING)(function)))


def inlined(function: F) -> F:
    """Compile a function into each `borrowing` function that calls it, however long it is; Python cannot call it.

    A call that is not inlined passes every field of every array in a tuple, which takes longer than most of the work in
    a step. Use this for functions that are called in every step.
    """
    return cast(F, _njit(forceinline=True, **_PART, **_OPTIONS, **_BORROWING)(function))


def called(function: F) -> F:
    """Compile a function for `borrowing` functions to call; LLVM decides whether to inline it."""
    return cast(F, _njit(**_PART, **_OPTIONS, **_BORROWING)(function))


def _kept(dispatcher: Any) -> Any:
    """Tie the cached machine code of a compiled function to the current sources."""
    if hasattr(dispatcher, "_cache"):  # not with NUMBA_DISABLE_JIT
        # Numba looks at the file of a function only, not at those of what it calls. It compares the version before it
        # reads anything else, which may name types that these sources do not have.
        kept = dispatcher._cache._cache_file
        kept._source_stamp = _stamp()
        kept._version = f"{numba.__version__} {_stamp()}"
    return dispatcher


def is_cached(function: Callable[..., object]) -> bool:
    """Whether machine code for `function` and this processor is on disk, so that a first call needs no compilation."""
    cache = getattr(function, "_cache", None)
    if cache is None:  # with NUMBA_DISABLE_JIT
        return True
    processor = function.targetctx.codegen().magic_tuple()  # type: ignore[attr-defined]
    return any(key[1] == processor for key in cache._cache_file._load_index())


@lru_cache(maxsize=1)
def _stamp() -> str:
    """Hash this file and all source files of the packages that compile, including those in sub-folders.

    The hash distinguishes machine code of the current sources from that of other versions.
    """
    sources = hashlib.blake2b(digest_size=16)
    root = Path(__file__).parent
    sources.update(Path(__file__).read_bytes())
    for package in COMPILED_PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            sources.update(path.relative_to(root).as_posix().encode())
            sources.update(path.read_bytes())
    return sources.hexdigest()
