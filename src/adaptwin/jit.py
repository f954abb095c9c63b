"""Numba compilation, done the same way everywhere: cached on disk, and without the global interpreter lock."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import event, registry

from adaptwin.interruption import held_back, let_through
from adaptwin.machine_code import MachineCode

F = TypeVar("F", bound=Callable[..., object])

_CPUDispatcher: Any = registry.CPUDispatcher
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
    return cast(F, _kept(_njit(**_NO_CFUNC, **_OPTIONS)(function)))


def borrowing(function: F) -> F:
    """Compile a function that creates no arrays, so that its array arguments need no reference counting.

    Reference counting takes longer than most of the work on the arrays. Compiled functions to which it passes arrays
    must be `inlined` or `called`.
    """
    return cast(F, _kept(_njit(**_NO_CFUNC, **_OPTIONS, **_BORROWING)(function)))


def inlined(function: F) -> F:
    """Compile a function into each `borrowing` function that calls it, however long it is; Python cannot call it.

    A call that is not inlined passes every field of every array in a tuple, which takes longer than most of the work in
    a step. Use this for functions that are called in every step.
    """
    return cast(F, _njit(forceinline=True, **_PART, **_OPTIONS, **_BORROWING)(function))


def called(function: F) -> F:
    """Compile a function for `borrowing` functions to call; LLVM decides whether to inline it."""
    return cast(F, _njit(**_PART, **_OPTIONS, **_BORROWING)(function))


class _Dispatcher(_CPUDispatcher):  # type: ignore[misc]
    """A compiled function, as Python calls it: the one door to compiled code.

    Ctrl-C takes effect after the call, or between two passes of the compiler, which are short.
    """

    __slots__ = ()

    def __call__(self, *values: Any) -> Any:
        return held_back(super().__call__, *values)

    def _compile_for_args(self, *values: Any, **named: Any) -> Any:
        with event.install_listener("numba:run_pass", _LetThrough()):
            return super()._compile_for_args(*values, **named)


class _LetThrough(event.Listener):
    """Lets a Ctrl-C through when a pass of the compiler begins."""

    def on_start(self, event: Any) -> None:  # noqa: ARG002 (Numba's signature)
        """Raise `KeyboardInterrupt` if a Ctrl-C is held back."""
        let_through()

    def on_end(self, event: Any) -> None:
        """A pass has ended."""


def _kept(dispatcher: Any) -> Any:
    """Make a dispatcher of Numba the door to its function, and keep the machine code on disk."""
    if isinstance(dispatcher, _CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        dispatcher.__class__ = _Dispatcher
        dispatcher._cache = MachineCode(dispatcher.py_func, _stamp())
    return dispatcher


def is_cached(function: Callable[..., object]) -> bool:
    """Whether machine code for `function` and this processor is on disk, so that a first call needs no compilation."""
    if not isinstance(function, _CPUDispatcher):  # with NUMBA_DISABLE_JIT
        return True
    dispatcher: Any = function
    return bool(dispatcher._cache.is_kept_for(dispatcher.targetctx.codegen()))


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
