"""Interruption: Ctrl-C is held back while compiled code runs, and a process that is told to end leaves nothing behind.

Python calls the handler of a signal between any two of its instructions. Numba and LLVM call Python from C code, which
loses an exception that is raised there, or turns it into a `SystemError`. `held_back` therefore keeps Ctrl-C for the
moment after such a call. Nothing here installs a handler for longer than a call.
"""

import _signal  # type: ignore[import-not-found]  # signal.signal makes enums of its arguments, which takes longer than many a compiled call
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

Result = TypeVar("Result")
Entry = TypeVar("Entry")

_NO_LEAKS = "ignore:resource_tracker:UserWarning"  # of the process that removes what others have left behind
_NAMED = 3  # files that are named in the line about an interruption

_held: list[tuple[Any, Any]] = []  # the arguments of the handler, for each Ctrl-C that is held back
_tidying: list[Callable[[], None]] = []
_saving: list[Callable[[], None]] = []
_keeping: list[Callable[[], str]] = []
_unwinding: list[None] = []


def held_back(function: Callable[..., Result], *values: Any, **named: Any) -> Result:
    """Call a function, and let Ctrl-C take effect only after it has returned or raised.

    Ctrl-C then calls the handler that was there before, which usually raises `KeyboardInterrupt`. The function can call
    `let_through` where an exception does no harm. Threads other than the main one never see Ctrl-C, so there is nothing
    to hold back in them.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*values, **named)
    handler = _signal.getsignal(signal.SIGINT)
    if not callable(handler):
        return function(*values, **named)
    _signal.signal(signal.SIGINT, _hold)
    try:
        return function(*values, **named)
    finally:
        _signal.signal(signal.SIGINT, handler)
        if _held and handler is not _hold:
            arguments = _held[0]
            _held.clear()
            handler(*arguments)


def let_through() -> None:
    """Raise `KeyboardInterrupt` if a Ctrl-C is held back; do nothing in threads other than the main one."""
    if _held and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


def _hold(number: Any, frame: Any) -> None:
    _held.append((number, frame))


@contextmanager
def deaf_children() -> Iterator[None]:
    """Let processes that are started inside the block not see Ctrl-C, which is for this process; it must end them.

    What this process leaves behind when it is told to end is removed without a word.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # inside the block, its start would let children hear Ctrl-C again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.warnoptions.append(_NO_LEAKS)  # children get the same options
    try:
        yield
    finally:
        sys.warnoptions.remove(_NO_LEAKS)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Outputs:
    """The files that this process writes: those that are finished, and the temporary ones beside them."""

    def __init__(self) -> None:
        self.taking_place = threading.Lock()  # held while a file takes its place and is noted here
        self.temporary: set[str] = set()
        self._first: list[str] = []
        self._count = 0

    def note(self, path: str) -> None:
        """Note that a file has been written."""
        self._count += 1
        if path not in self._first and len(self._first) < _NAMED:
            self._first.append(path)

    def clear(self) -> None:
        """Forget what has been written: another command begins."""
        self._first.clear()
        self._count = 0

    def __str__(self) -> str:
        if not self._count:
            return ", nothing written"
        more = self._count - len(self._first)
        return f"; written: {', '.join(self._first)}{f' and {more} more' if more > 0 else ''}"


outputs = Outputs()


@contextmanager
def _entered(entries: list[Entry], entry: Entry) -> Iterator[None]:
    """Keep an entry in a list inside the block."""
    entries.append(entry)
    try:
        yield
    finally:
        entries.remove(entry)


def tidied_by(tidy: Callable[[], None]) -> AbstractContextManager[None]:
    """Call `tidy` if the process is told to end inside the block; it is called from another thread than the block's."""
    return _entered(_tidying, tidy)


def unwound() -> AbstractContextManager[None]:
    """Have a `KeyboardInterrupt` raised inside the block if the process is told to end there: it ends workers itself.

    The block must wait in Python, not in compiled code.
    """
    return _entered(_unwinding, None)


def must_unwind() -> bool:
    """Whether the main thread is inside a block that must be left by an exception."""
    return bool(_unwinding)


def saved_by(save: Callable[[], None]) -> AbstractContextManager[None]:
    """Call `save`, which may write files, if the process is told to end inside the block; it has some seconds."""
    return _entered(_saving, save)


def keeping(kept: Callable[[], str]) -> AbstractContextManager[None]:
    """Say `kept()`, what is kept and how to go on, if the process is told to end inside the block."""
    return _entered(_keeping, kept)


def what_is_left() -> str:
    """Save what blocks have asked for with `saved_by`, and return what the line about an interruption says of it.

    From now on, no file takes its place.
    """
    for save in _saving:
        with suppress(Exception):
            save()
    outputs.taking_place.acquire(timeout=1.0)
    return f"; {_keeping[-1]()}" if _keeping else str(outputs)


def tidy_up() -> None:
    """Remove temporary files and do what blocks have asked for with `tidied_by`; the process must end afterwards."""
    for path in list(outputs.temporary):
        with suppress(OSError):
            os.unlink(path)
    for tidy in reversed(_tidying):
        with suppress(Exception):
            tidy()
