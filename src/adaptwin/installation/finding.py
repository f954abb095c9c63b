"""InstallationFinding: what was found of one part of the installation, and what to do where it is wrong."""

from collections.abc import Callable
from typing import Literal, NamedTuple

FindingState = Literal["ok", "note", "wrong"]  # a note is about something that can be had, but need not


class InstallationFinding(NamedTuple):
    """What was found of one thing; `remedy` says what to do if something is wrong or could be had."""

    name: str
    state: FindingState
    says: str
    remedy: str = ""


def found(name: str, look: Callable[[], InstallationFinding], remedy: str) -> InstallationFinding:
    """Return what `look` finds; if it fails, whatever the reason, that is wrong and has this remedy."""
    try:
        return look()
    except Exception as error:  # what is broken here may raise anything
        return InstallationFinding(name, "wrong", f"{type(error).__name__}: {error}", remedy)
