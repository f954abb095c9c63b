"""The distributions of lengths that a workload has, each with the adapters whose requests follow it."""

from typing import NamedTuple

from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Workload


class SharedLengths(NamedTuple):
    """A distribution of lengths, and the adapters whose requests follow it, as indices in ascending order."""

    lengths: Lengths
    adapters: list[int]


def distinct_lengths(workload: Workload) -> list[SharedLengths]:
    """Return the distributions of a workload's adapters, in order of their first adapter.

    Two adapters share a distribution if they hold the same object: comparing long tables for each adapter would take
    seconds.
    """
    found: dict[int, SharedLengths] = {}
    for index, adapter in enumerate(workload.adapters):
        lengths = workload.lengths_of(adapter)
        found.setdefault(id(lengths), SharedLengths(lengths, [])).adapters.append(index)
    return list(found.values())
