"""Which streams take colours and progress bars, by NO_COLOR, FORCE_COLOR, TERM and whether they are terminals."""

import io

import pytest

from adaptwin.terminals import can_redraw, take_every_character, takes_colours


class Stream(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("variables", "is_terminal", "colours", "redraws"),
    [
        ({}, True, True, True),
        ({}, False, False, False),
        ({"NO_COLOR": "1"}, True, False, False),
        ({"NO_COLOR": ""}, True, True, True),  # https://no-color.org: only a value that is not empty counts
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False, False),
        ({"TERM": "dumb"}, True, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, False, False),
        ({"FORCE_COLOR": "1"}, False, True, False),
        ({"FORCE_COLOR": "1"}, True, True, True),
        ({"FORCE_COLOR": "0"}, False, False, False),
        ({"FORCE_COLOR": ""}, False, False, False),
    ],
)
def test_what_a_stream_takes(variables, is_terminal, colours, redraws, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (takes_colours(Stream(is_terminal)), can_redraw(Stream(is_terminal))) == (colours, redraws)


def test_a_program_without_a_console_has_no_streams():
    assert not takes_colours(None)
    assert not can_redraw(None)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", "× ─".encode()),
        ("utf-8", "× ─".encode()),
        ("latin-1", b"\xd7 \\u2500"),
        ("utf-16-le", "× ─".encode("utf-16-le")),
    ],
)
def test_a_stream_takes_characters_that_its_encoding_lacks(encoding, written):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    take_every_character(stream)
    stream.write("× ─")
    stream.flush()
    assert stream.buffer.getvalue() == written


def test_a_stream_that_is_not_of_bytes_is_left_as_it_is():
    take_every_character(None)
    take_every_character(io.StringIO())
