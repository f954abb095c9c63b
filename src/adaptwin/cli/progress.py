"""A progress bar on stderr, and none when stderr is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from adaptwin.progress import Progress as Report


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A function to report progress with: what is being done, how much of it, out of how much."""
    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:24}"),
        BarColumn(),
        TextColumn("{task.completed:>4.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    tasks: dict[str, int] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            for other in bar.tasks:
                bar.update(other.id, visible=False)
            tasks[stage] = int(bar.add_task(stage, total=total))
        bar.update(bar.task_ids[list(tasks).index(stage)], completed=done, total=total)

    with bar:
        yield report
