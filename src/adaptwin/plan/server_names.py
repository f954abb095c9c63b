"""Names of servers: ``gpu-0``, ``gpu-1`` and so on, or those that adapters are pinned to."""

import itertools
from collections.abc import Iterable, Mapping, Sequence


def server_names(servers: Sequence[Iterable[str]], pinned: Mapping[str, str]) -> list[str]:
    """A name for each server, given its adapters; the one that an adapter of it is pinned to, if any is."""
    width = len(str(len(servers) - 1))
    given = [next((pinned[name] for name in adapters if name in pinned), None) for adapters in servers]
    free = (name for i in itertools.count() if (name := f"gpu-{i:0{width}}") not in given)
    return [name or next(free) for name in given]


def new_name(taken: Iterable[str]) -> str:
    """A name for a new server: ``gpu-7``, written as wide as those that are there."""
    names = set(taken)
    width = max((len(name) - len("gpu-") for name in names if name.startswith("gpu-")), default=1)
    return next(name for i in range(len(names) + 1) if (name := f"gpu-{i:0{width}}") not in names)
