"""Alike: large fleets have servers of the same kind, of which one stands for all in what takes long."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import joblib

from adaptwin.placement.packing.problem import Assignment

Found = TypeVar("Found")


def stand_ins(servers: Sequence[Assignment]) -> list[int]:
    """Return, for each server, the position of the server that stands for it: the first of its kind, or itself."""
    first: dict[int, int] = {}
    return [
        index if server.kind is None else first.setdefault(server.kind, index) for index, server in enumerate(servers)
    ]


def of_each_kind(servers: Sequence[Assignment], answer: Callable[[int], Found]) -> list[Found]:
    """Return an answer for each server, given its position; it is found once for each kind, on all cores."""
    standing = stand_ins(servers)
    distinct = list(dict.fromkeys(standing))
    calls = (joblib.delayed(answer)(index) for index in distinct)
    found = dict(zip(distinct, joblib.Parallel(n_jobs=-1, require="sharedmem")(calls), strict=True))
    return [found[index] for index in standing]
