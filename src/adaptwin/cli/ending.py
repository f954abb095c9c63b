"""ending_on_signals: Ctrl-C and SIGTERM end the program at once, with one line and nothing half-done.

A handler in Python would wait for compiled code, and an exception can be lost in libraries. Here, a thread waits for
the signal instead: it says what is left behind, removes temporary files, and ends the process. Only where the process
has workers does the main thread get a `KeyboardInterrupt`, so that it ends them in good order.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from adaptwin.interruption import must_unwind, tidy_up, what_is_left
from adaptwin.terminals import can_redraw

_REPORTED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_LONGEST = 5.0  # seconds to tidy up, which usually takes a tenth of a second
_CLEARED_LINE = "\r\x1b[2K\x1b[?25h"  # of a terminal: no progress bar, and the cursor again


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process inside the block, and do nothing after it; a second one always ends it.

    Signals that the process was started to ignore, as by ``nohup`` or in the background of a script, stay ignored.
    """
    if not hasattr(signal, "pthread_kill"):  # Windows: Ctrl-C raises KeyboardInterrupt
        yield
        return
    ending = _Ending()
    ending.listen()
    try:
        yield
    finally:
        ending.leave()


class _Ending:
    """The end of the process, which one of two threads decides on: the main one, or the one that waits for a signal."""

    def __init__(self) -> None:
        self._decided = threading.Lock()  # taken by the thread that decides
        self._signals = 0  # that the main thread has seen
        self._code = 0  # with which the main thread must end, where it has to unwind
        self._raises = False
        self._errors = _own_error_stream()

    def listen(self) -> None:
        """Start the thread that waits for a signal."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        threading.Thread(target=self._wait, args=(reader,), name="signals", daemon=True).start()
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in _REPORTED:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def leave(self) -> None:
        """End the block: the result counts, and not a signal that comes later, unless one has come before."""
        if self._code:
            sys.exit(self._code)
        self._decided.acquire()  # is not granted once a signal has come: the other thread ends the process
        for number in _REPORTED:
            signal.signal(number, signal.SIG_IGN)  # the work is done; only the interpreter has to end

    def _handle(self, number: int, _frame: object) -> None:
        """What Python calls in the main thread; the first signal is the business of the waiting thread."""
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt
        self._signals += 1
        if self._signals > 1:
            _exit(128 + number)

    def _wait(self, reader: int) -> None:
        """Wait for the first signal, and end the process."""
        number = os.read(reader, 1)[0]
        self._decided.acquire()
        last = threading.Timer(_LONGEST, _exit, (128 + number,))
        last.daemon = True
        last.start()
        try:
            _say(f"adaptwin: {_REPORTED[signal.Signals(number)]}{what_is_left()}\n", self._errors)
            _silence()
            tidy_up()
            if must_unwind():
                self._code, self._raises = 128 + number, True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                last.join()
        finally:
            _exit(128 + number)


def _own_error_stream() -> int:
    """Return a descriptor of the error stream that stays while a block has silenced that of the process."""
    try:
        return os.dup(2)
    except OSError:  # there is none
        return os.open(os.devnull, os.O_WRONLY)


def _say(line: str, errors: int) -> None:
    has_bar = os.isatty(errors) and can_redraw(sys.stderr)
    os.write(errors, (_CLEARED_LINE * has_bar + line).encode(errors="backslashreplace"))


def _exit(code: int) -> None:
    """End the process, and the workers that are still there, which would wait for work for minutes."""
    if "multiprocessing.process" in sys.modules:
        for worker in sys.modules["multiprocessing.process"].active_children():
            with suppress(OSError):
                os.kill(worker.pid, signal.SIGKILL)
    os._exit(code)


def _silence() -> None:
    """Let nothing else be printed by what is still running."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
