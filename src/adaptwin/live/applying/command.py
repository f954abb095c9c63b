"""run_command: a program of the people who run the fleet, without a shell and with a limit on its time."""

import subprocess
from collections.abc import Sequence

from adaptwin.errors import AdaptwinError
from adaptwin.live.connection import without_keys
from adaptwin.visible import visible

_SHOWN = 300  # characters of what a failing command said


class CommandError(AdaptwinError):
    """A command failed; the message says how."""

    exit_code = 4


def run_command(words: Sequence[str], timeout: float) -> None:
    """Run a command to its end; raises `CommandError` if it cannot be run, fails, or takes longer than `timeout`."""
    try:
        done = subprocess.run(  # noqa: S603 - given by the user, and run without a shell
            list(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        limit = f"{timeout:g} s (--command-timeout)"
        raise CommandError(f"{words[0]}: did not end within {limit} and was stopped") from None
    except OSError as error:
        raise CommandError(f"{words[0]}: cannot be run: {error.strerror}") from None
    if done.returncode:
        said = visible(" ".join(without_keys(done.stderr or done.stdout).split())[-_SHOWN:])
        raise CommandError(f"{words[0]}: ended with {done.returncode}{said and f': {said}'}")
