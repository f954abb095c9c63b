"""Progress: the callback through which long-running work reports how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # stage, units of work done, units of work in total


def silent(_stage: str, _done: int, _total: int) -> None:
    """Report nothing."""


def renamed(progress: Progress, name: str) -> Progress:
    """Return a function that reports every stage under one name."""
    return lambda _stage, done, total: progress(name, done, total)


def of_several(progress: Progress, index: int, count: int) -> Progress:
    """Return a function that reports the stages of one of several works, with its number before them.

    Args:
        progress: Function that reports the stages of all works.
        index: Which of the works this is, from 0.
        count: Number of works; with one, its stages are reported as they are.
    """
    if count == 1:
        return progress

    def report(stage: str, done: int, total: int) -> None:
        progress(f"{index + 1}/{count} {stage}", done, total)

    return report
