"""The progress bar shows the stage that was reported last."""

import io
import sys

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
            super().__init__(*columns, **{**settings, "console": Console(file=io.StringIO())})
            bars.append(self)

    monkeypatch.setattr(progress, "Progress", Watched)
    monkeypatch.setattr(progress, "can_redraw", lambda _stream: True)
    return lambda: [(task.description, task.completed, task.total) for task in bars[0].tasks if task.visible]


def test_a_stage_that_comes_back_is_shown_again(shown):
    with progress.progress_bar() as report:
        report("sweeping", 1, 5)
        report("compiling", 3, 100)
        assert shown() == [("compiling", 3, 100)]
        report("sweeping", 2, 5)
        assert shown() == [("sweeping", 2, 5)]


@pytest.mark.parametrize(("is_terminal", "said"), [(True, "sweeping ...\ncompiling ...\n"), (False, "")])
def test_a_stage_is_one_line_where_no_bar_can_be_drawn(is_terminal, said, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with progress.progress_bar() as report:
        for stage, done in (("sweeping", 1), ("sweeping", 2), ("compiling", 0), ("sweeping", 3)):
            report(stage, done, 5)
    assert capsys.readouterr() == ("", said)
