"""Stand-in servers on 127.0.0.1, and the program called in-process in a folder with a small fleet."""

from typing import NamedTuple

import pytest

from adaptwin.cli.main import run

FLEET = """\
duration: 1
lengths: {fixed: [20, 5]}
adapters:
- {name: a0, rank: 8, rate: 20}
- {name: a1, rank: 16, rate: 12}
- {name: base, rank: 0, rate: 8}
"""


class Outcome(NamedTuple):
    """What a call left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def serve():
    """Start stand-in servers; see `StandInServer` and `Faults` for the keywords."""
    pytest.importorskip("aiohttp", reason="servers need aiohttp: pip install 'adaptwin[live]'")
    from tests.live.stand_in_server import Faults, StandInServer

    servers = []

    def start(adapters=("a0", "a1"), *, step=0.01, max_loras=8, max_num_seqs=256, **faults):
        settings = {"step": step, "max_loras": max_loras, "max_num_seqs": max_num_seqs}
        servers.append(StandInServer(adapters, **settings, faults=Faults(**faults)).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with ``fleet.yaml`` in it: 40 requests/s for a second."""
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("VLLM_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def adaptwin(folder, capsys):
    """Call the program in the folder."""

    def call(*words):
        code = run([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return call
