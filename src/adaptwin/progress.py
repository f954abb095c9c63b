"""Progress: how long work tells what it is doing."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # what is being done, how much of it, out of how much


def silent(_stage: str, _done: int, _total: int) -> None:
    """A progress that shows nothing."""
