"""Errors: what adaptwin raises, and the exit code of each.

AdaptwinError                 every error adaptwin raises on purpose; the CLI prints it in one line
├── SpecError                 the input is wrong; names file, field and value          (exit code 1)
│   └── WrongKind             the file is of another kind than expected (file_kinds)   (exit code 1)
├── Infeasible                there is no solution; names the binding constraint       (exit code 2)
│   └── OutOfMemory           vLLM would refuse to start with these settings           (exit code 2)
└── ServerError               a running server cannot be reached, or does not do what is asked of it (exit code 4)
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from adaptwin.visible import quoted, visible

LONGEST_MESSAGE = 10_000  # characters of a message, which may list dozens of problems
LONGEST_WORD = 300  # characters without a space between them
MOST_COMPARED = 200  # characters of a name that is compared with others
_GAP = " ... "  # in place of the middle of a long text


class AdaptwinError(Exception):
    """Base of every error adaptwin raises on purpose."""

    exit_code = 1


class SpecError(AdaptwinError, ValueError):
    """Wrong input; the message names file and field, the value, and what is allowed.

    Args:
        message: What is wrong, naming the value and what is allowed.
        field: Path of the value, such as ``adapters[3].rank``; empty when the file as a whole is wrong.
        file: The file that holds the value; None for values made in Python.
    """

    def __init__(self, message: str, field: str = "", file: str | Path | None = None) -> None:
        self.message, self.field, self.file = _readable(message), _readable(field), file
        parts = [visible(str(part)) for part in (file, self.field) if part]
        super().__init__(": ".join([*parts, self.message] if self.message else parts))

    def at(self, file: str | Path) -> "SpecError":
        """Return a copy of the error that names this file."""
        return SpecError(self.message, self.field, file)


def _readable(text: str) -> str:
    """Return text without the middle of it, and of its words, where they are too long to be read."""
    text = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: _without_middle(word[0], LONGEST_WORD), text)
    return _without_middle(text, LONGEST_MESSAGE)


def _without_middle(text: str, longest: int) -> str:
    kept = longest - len(_GAP)
    return text if len(text) <= longest else f"{text[: kept - kept // 3]}{_GAP}{text[-(kept // 3) :]}"


class Infeasible(AdaptwinError):
    """A problem without a solution; the message names the binding constraint."""

    exit_code = 2


class OutOfMemory(Infeasible):
    """The server would not start: its KV cache is too small, or no memory is left for it."""


class ServerError(AdaptwinError):
    """A running server cannot be reached, or does not do what is asked of it.

    Args:
        message: What went wrong, in words.
        url: Address of the server.
        status: Status of the answer; None if there was none.
    """

    exit_code = 4

    def __init__(self, message: str, url: str, status: int | None = None) -> None:
        self.message, self.url, self.status = _readable(message), url, status
        super().__init__(f"{visible(url)}: {self.message}")


def not_one_of(value: object, names: Iterable[str]) -> str:
    """Return the message that a value is not among the names allowed, with the nearest of them if one is near."""
    names = list(names)
    return f"{quoted(value)} is not one of {', '.join(names)}{did_you_mean(value, names)}"


def neither_file_nor(value: object, names: Iterable[str]) -> str:
    """Return the message that a value is neither a file nor among the names allowed, with the nearest of them."""
    names = list(names)
    return f"{quoted(str(value))} is neither a file nor one of {', '.join(names)}{did_you_mean(value, names)}"


def did_you_mean(value: object, names: Iterable[str]) -> str:
    """Return ``; did you mean NAME?`` with the name that is nearest to a value, or nothing if none is near."""
    wanted, names = str(value).lower(), [name for name in names if len(name) <= MOST_COMPARED]
    if len(wanted) > MOST_COMPARED:
        return ""
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(wanted, by_lower, n=1) or _with_all_parts(wanted, by_lower)
    near = near or [name for name in by_lower if len(name) == len(wanted) > 2 and _differing(name, wanted) == 1]
    return f"; did you mean {visible(by_lower[near[0]])}?" if near else ""


def _with_all_parts(wanted: str, names: Iterable[str]) -> list[str]:
    """Return the names that have all parts of what was wanted, such as ``h100`` and ``llama``."""
    parts = [part for part in re.split(r"[-_. /]+", wanted) if part]
    return [name for name in names if len(wanted) > 2 and parts and all(part in name for part in parts)]


def _differing(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def require_type(value: object, kind: type, name: str) -> None:
    """Raise `SpecError` that names the argument if its value is of another type."""
    if not isinstance(value, kind):
        raise SpecError(f"{quoted(value)} must be a {kind.__name__}, not a {type(value).__name__}", name)
