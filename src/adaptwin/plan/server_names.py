"""Names of servers: ``gpu-0``, ``gpu-1`` and so on, or the names to which adapters are pinned."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

_DIGITS = str.maketrans("oil", "011")  # letters that look like digits
_MISTYPED = "gpu|gup|pgu|gp|gu|pu|gpi|gpy|g[a-z]pu|gp[a-z]u|gpu[a-z]"  # a letter too few or too many, or two swapped


def server_names(servers: Sequence[Iterable[str]], pinned: Mapping[str, str], taken: Iterable[str] = ()) -> list[str]:
    """Return a name for each server: the one to which any of its adapters is pinned, or else the next free number.

    Numbers of the names in `taken`, which other servers of the fleet have, are not free; others are padded like them.
    """
    numbers = [found[1] for name in taken if (found := re.fullmatch(r"gpu-(\d+)", name, re.ASCII))]
    used, width = {int(text) for text in numbers}, max(map(len, numbers), default=len(str(len(servers) - 1)))
    given = [next((pinned[name] for name in adapters if name in pinned), None) for adapters in servers]
    free = (name for i in itertools.count() if i not in used and (name := f"gpu-{i:0{width}}") not in given)
    return [name or next(free) for name in given]


def server_meant(name: str) -> str:
    """Return a name as it is, or ``gpu-0`` for what is nearly such a name, as are ``gpu-O``, ``GPU_0`` and ``gpuu``."""
    if re.fullmatch(r"gpu-\d+", name, re.ASCII):
        return name
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    found = re.fullmatch(r"(?:gpu|gpus)([0-9oil]*)", plain) or re.fullmatch(rf"(?:{_MISTYPED})([0-9oil]*)", plain)
    if not found or (not found[1] and re.fullmatch(r"gpu[-_. ][a-z]", name.lower())):  # gpu-a is a name of its own
        return name
    return f"gpu-{found[1].translate(_DIGITS) or 0}"


def new_name(taken: Iterable[str]) -> str:
    """Return a free name for a new server, such as ``gpu-7``, padded with zeros like the names already taken."""
    names = set(taken)
    width = max((len(name) - len("gpu-") for name in names if name.startswith("gpu-")), default=1)
    return next(name for i in range(len(names) + 1) if (name := f"gpu-{i:0{width}}") not in names)
