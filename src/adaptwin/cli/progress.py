"""Progress on stderr: a bar on a terminal, a line for each stage on one without escape codes, nothing elsewhere."""

import sys
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
from adaptwin.progress import silent
from adaptwin.report.style.terminal import console
from adaptwin.terminals import can_redraw
from adaptwin.visible import visible


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A function to report progress with: what is being done, how much of it, out of how much."""
    if not can_redraw(sys.stderr):
        yield _line_for_each_stage() if sys.stderr is not None and sys.stderr.isatty() else silent
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:24}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:>4.0f}/{task.total:.0f}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
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


def _line_for_each_stage() -> Report:
    """Return a function that prints a line when a stage begins, for terminals on which nothing can be drawn again."""
    begun: set[str] = set()

    def report(stage: str, _done: int, _total: int) -> None:
        if stage not in begun:
            begun.add(stage)
            print(f"{visible(stage)} ...", file=sys.stderr, flush=True)

    return report
