"""Lengths of a running plan, for the adapters of a new fleet that gives none."""

from adaptwin.workload.workload import Workload


def with_known_lengths(workload: Workload, running: Workload) -> Workload:
    """Return the workload with the lengths of the running one where it does not give any.

    A workload with lengths of its own, and an adapter with lengths of its own, keep them.
    """
    if not workload.lengths.assumed:
        return workload
    known = {adapter.name: adapter.lengths for adapter in running.adapters}
    adapters = tuple(
        adapter if adapter.lengths else adapter.model_copy(update={"lengths": known.get(adapter.name)})
        for adapter in workload.adapters
    )
    return workload.model_copy(update={"adapters": adapters, "lengths": running.lengths})
