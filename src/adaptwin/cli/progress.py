"""A progress bar on stderr, and none when stderr is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from adaptwin.progress import Progress as Report
from adaptwin.report.style.terminal import console
from adaptwin.visible import visible


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A function to report progress with: what is being done, how much of it, out of how much."""
    terminal = console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:24}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:>4.0f}/{task.total:.0f}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=terminal,
        transient=True,
        disable=not terminal.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(visible(stage), total=total)
        for task in bar.tasks:
            bar.update(task.id, visible=task.id == tasks[stage])
        bar.update(tasks[stage], completed=done, total=total)

    with bar:
        yield report
