"""Stage: a part of a measurement that runs in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from options import Options
from surroundings import surroundings

SCRIPT = Path(__file__).resolve().with_name("measure.py")
LOOK_EVERY = 0.25  # seconds
ENDS_WITHIN = 5.0  # seconds after each signal
TAIL, ERRORS, WIDTH = 25, 8, 220  # lines and columns of a log that are shown


class Stage:
    """A process with its log. Whatever it started is in its process group, and ends with it."""

    def __init__(self, options: Options, name: str, words: Sequence[str]) -> None:
        logs = options.state / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        number = len(list(logs.iterdir()))
        self.log = logs / f"{number:02d}-{name.replace(':', '-').replace('+', '-')}.log"
        command = [sys.executable, str(SCRIPT), *words, "--state", str(options.state), "--out", str(options.out)]
        for flag in ("cpu", "rehearse", "tiny"):
            command += [f"--{flag}"] * getattr(options, flag)
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=surroundings(options.state),
                start_new_session=True,
            )

    def wait(self, until: float, meanwhile: Callable[[], None] = lambda: None) -> int | None:
        """Its exit code; None where it had to be ended at that time of day."""
        while self.process.poll() is None and time.time() < until:
            meanwhile()
            time.sleep(LOOK_EVERY)
        code = self.process.poll()
        self.end()
        return code

    def end(self) -> None:
        """End the process and all that it started, and no other."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDS_WITHIN)

    @property
    def text(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    @property
    def tail(self) -> str:
        """Lines about errors, and the last ones."""
        lines = self.text.splitlines()
        errors = [line for line in lines if "Traceback" in line or "Error" in line or "error" in line]
        shown = [*errors[-ERRORS:], "...", *lines[-TAIL:]]
        return "\n".join("   | " + line[:WIDTH] for line in shown)
