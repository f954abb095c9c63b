"""The progress bar shows the stage that was reported last."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from adaptwin.cli import progress


@pytest.fixture
def shown(monkeypatch):
    """Return what the bar shows: the visible stages with how much of them is done."""
    bars = []

    class Watched(Progress):
        def __init__(self, *columns, **settings):
            super().__init__(*columns, **{**settings, "console": Console(file=io.StringIO()), "disable": False})
            bars.append(self)

    monkeypatch.setattr(progress, "Progress", Watched)
    return lambda: [(task.description, task.completed, task.total) for task in bars[0].tasks if task.visible]


def test_a_stage_that_comes_back_is_shown_again(shown):
    with progress.progress_bar() as report:
        report("sweeping", 1, 5)
        report("compiling", 3, 100)
        assert shown() == [("compiling", 3, 100)]
        report("sweeping", 2, 5)
        assert shown() == [("sweeping", 2, 5)]
