"""The program called in-process, in a folder with a small fleet."""

from typing import NamedTuple

import pytest

from adaptwin.cli.main import run
from adaptwin.surrogate.compilation import compile_planning

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
FLEET = f"""\
profile: {PROFILE}
duration: 300
adapters:
- {{name: a0, rank: 8, rate: 0.5}}
- {{name: a1, rank: 16, rate: 0.3}}
- {{name: base, rank: 0, rate: 0.2}}
"""


class Outcome(NamedTuple):
    """What a call left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """Compiling says so on stderr, once; here it is done before."""
    compile_planning()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with ``fleet.yaml`` in it."""
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def adaptwin(folder, capsys):
    """Call the program in the folder."""

    def call(*words):
        code = run([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def planned(adaptwin, folder):
    """The folder with ``plan.yaml`` in it, a plan of the fleet."""
    assert adaptwin("plan", "fleet.yaml", "--out", "plan.yaml").code == 0
    return folder
