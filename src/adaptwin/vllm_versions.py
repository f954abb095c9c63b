"""Versions of vLLM, as numbers that can be compared."""

import re
from collections.abc import Iterable

Version = tuple[int, int, int]
_UNKNOWN: Version = (0, 0, 0)


def version_numbers(text: str | None) -> Version:
    """Return the numbers of a version: ``v0.8.5.post1`` is (0, 8, 5). A version that is not known is the oldest."""
    found = re.search(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", text or "")
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else _UNKNOWN


def oldest(versions: Iterable[str]) -> str:
    """Return the oldest of some versions."""
    return min(versions, key=version_numbers)
