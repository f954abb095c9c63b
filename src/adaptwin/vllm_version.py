"""Versions of vLLM as numbers, so that they can be compared."""

import re

Version = tuple[int, ...]
OLDEST: Version = (0,)


def version_numbers(text: str | None) -> Version:
    """Return the numbers of a version, such as (0, 8, 5); a version that is not known counts as the oldest."""
    found = re.search(r"\d+(\.\d+)*", text or "")
    return tuple(map(int, found[0].split("."))) if found else OLDEST
