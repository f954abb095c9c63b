"""Escape codes: none with NO_COLOR or TERM=dumb, none where there is no terminal, colours only with FORCE_COLOR."""

import json
import sys

import pytest

from adaptwin.cli.commands import COMMANDS, load_command

ESCAPE_CODE = "\x1b"
CURSOR_CODES = ("\x1b[?25", "\x1b[2K", "\x1b[1A", "\r")
GROUPS = {name: load_command(name) for name in COMMANDS}
ALL = [
    *(["--help"], []),
    *([name, "--help"] for name in COMMANDS),
    *([name, sub, "--help"] for name, group in GROUPS.items() for sub in getattr(group, "commands", ())),
]
CALLS = [
    *(["plan", "fleet.yaml"], ["simulate", "fleet.yaml", "--max-loras", "2"], ["profiles"], ["pln"]),
    *(["plan", "fleet.yaml", "--json"], ["derive", "--gpu", "l40s", "--model", "Qwen/Qwen2.5-7B-Instruct"]),
    *(["plan"], ["plan", "fleet.yaml", "--gpus", "two"], ["verify", "fleet.yaml"]),
]


@pytest.fixture
def on_a_terminal(adaptwin, monkeypatch):
    """Call the program with stdout and stderr that are terminals as far as it can see."""
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def call(*words):
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        return adaptwin(*words)

    return call


def test_a_terminal_gets_colours_and_a_progress_bar(on_a_terminal):
    done = on_a_terminal("plan", "fleet.yaml")
    assert ESCAPE_CODE in done.out
    assert all(code in done.err for code in CURSOR_CODES)
    assert ESCAPE_CODE in on_a_terminal("--help").out


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
@pytest.mark.parametrize("words", [*ALL, *CALLS], ids=" ".join)
def test_plain_terminals_get_no_code_at_all(words, variables, on_a_terminal, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = on_a_terminal(*words)
    assert ESCAPE_CODE not in done.out + done.err
    assert done.out + done.err


@pytest.mark.parametrize("words", [["--help"], ["plan", "--help"], *CALLS], ids=" ".join)
def test_a_pipe_gets_no_code_at_all_not_even_from_builds(words, adaptwin, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = adaptwin(*words)
    assert ESCAPE_CODE not in done.out + done.err


def test_forced_colours_go_into_a_pipe_without_a_progress_bar(adaptwin, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    done = adaptwin("plan", "fleet.yaml")
    assert ESCAPE_CODE in done.out
    assert not any(code in done.out + done.err for code in CURSOR_CODES)
    assert ESCAPE_CODE not in json.dumps(json.loads(adaptwin("plan", "fleet.yaml", "--json").out), ensure_ascii=False)
