"""Numba compilation, one way for the whole project: cached on disk, and free of the interpreter lock."""

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
    """Compile `function` on first call; the machine code is kept, so it happens once per installation.

    Without ``fastmath``: a compiled function gives the very bits its Python source gives, which is what lets
    the kernel be compared with the reference twin to the last digit.
    """
    return cast(F, _kept(_njit(cache=True, **_NO_CFUNC, **_OPTIONS)(function)))


def borrowing(function: F) -> F:
    """Compile a function that makes no arrays, so that the arrays it is given need no counting of references.

    Counting costs more than most of what is done with the arrays. Compiled functions that it calls with arrays must be
    `inlined` or `called`.
    """
    return cast(F, _kept(_njit(cache=True, **_NO_CFUNC, **_OPTIONS, **_BORROWING)(function)))


def inlined(function: F) -> F:
    """Compile a function into the `borrowing` ones that call it, however long it is; Python cannot call it.

    A call that is not inlined passes every field of every array in a tuple, which takes longer than most of what is
    done in a step. So this is for what is called in every step.
    """
    return cast(F, _njit(forceinline=True, **_PART, **_OPTIONS, **_BORROWING)(function))


def called(function: F) -> F:
    """Compile a function that the `borrowing` ones call; LLVM inlines it where it thinks this worthwhile."""
    return cast(F, _njit(**_PART, **_OPTIONS, **_BORROWING)(function))


def _kept(dispatcher: Any) -> Any:
    """The compiled function, whose machine code on disk belongs to these very sources."""
    if hasattr(dispatcher, "_cache"):  # not with NUMBA_DISABLE_JIT
        # Numba looks at the file of a function only, not at those of what it calls. It compares the version before it
        # reads anything else, which may name types that these sources do not have.
        kept = dispatcher._cache._cache_file
        kept._source_stamp = _stamp()
        kept._version = f"{numba.__version__} {_stamp()}"
    return dispatcher


def is_cached(function: Callable[..., object]) -> bool:
    """Whether machine code for `function` is already on disk, so that a first call needs no compilation."""
    cache = getattr(function, "_cache", None)
    return bool(cache is None or cache._cache_file._load_index())


@lru_cache(maxsize=1)
def _stamp() -> str:
    """A hash of this file and of all sources of the packages that compile, those of sub-folders included.

    It tells machine code of these very sources from that of another version.
    """
    sources = hashlib.blake2b(digest_size=16)
    root = Path(__file__).parent
    sources.update(Path(__file__).read_bytes())
    for package in COMPILED_PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            sources.update(path.relative_to(root).as_posix().encode())
            sources.update(path.read_bytes())
    return sources.hexdigest()
