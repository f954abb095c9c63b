"""longest_request: the most tokens that a request of a workload may have, prompt and answer."""

from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Workload


def longest_request(workload: Workload) -> int:
    """Return the length of the longest possible request of a workload, in tokens; 1 without adapters."""
    lengths = {workload.lengths_of(adapter) for adapter in workload.adapters}
    return max(map(_longest_of, lengths), default=1)


def _longest_of(lengths: Lengths) -> int:
    table = lengths.table()
    if table.joint:
        return int((table.input + table.output).max())
    return int(table.input.max()) + int(table.output.max())
