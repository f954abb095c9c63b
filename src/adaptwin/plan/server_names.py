"""Names of servers: ``gpu-0``, ``gpu-1`` and so on."""

from collections.abc import Iterable


def new_name(taken: Iterable[str]) -> str:
    """A name for a new server: ``gpu-7``, written as wide as those that are there."""
    names = set(taken)
    width = max((len(name) - len("gpu-") for name in names if name.startswith("gpu-")), default=1)
    return next(name for i in range(len(names) + 1) if (name := f"gpu-{i:0{width}}") not in names)
