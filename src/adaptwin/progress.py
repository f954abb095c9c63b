"""Progress: the callback through which long-running work reports how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # stage, units of work done, units of work in total


def silent(_stage: str, _done: int, _total: int) -> None:
    """Report nothing."""
