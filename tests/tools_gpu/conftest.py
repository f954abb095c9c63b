"""Scripts of tools/gpu, in this process or in processes of their own with a stand-in for vLLM."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "gpu"
STAND_IN = Path(__file__).resolve().parent / "stand_in"
sys.path.append(str(TOOLS))  # the scripts import each other from their folder


class Machine:
    """A GPU machine with the stand-in for vLLM, and the folders of a measurement on it."""

    def __init__(self, folder: Path) -> None:
        self.state, self.out = folder / "state", folder / "out"
        self.environment = {**os.environ, "PYTHONPATH": f"{STAND_IN}:{TOOLS}"}

    def command(self, *words: str) -> list[str]:
        """What measures there."""
        where = ("--state", str(self.state), "--out", str(self.out))
        return [sys.executable, str(TOOLS / "measure.py"), *words, *where]

    def measure(self, *words: str, **variables: object) -> subprocess.CompletedProcess:
        """Run measure.py to its end."""
        environment = {**self.environment, **{name: str(value) for name, value in variables.items()}}
        return subprocess.run(self.command(*words), env=environment, capture_output=True, text=True, timeout=120)

    def events(self, kind: str | None = None) -> list[dict]:
        """The events so far."""
        from events import read

        return [event for event in read(self.state / "events.jsonl") if kind in (None, event["kind"])]

    @property
    def names(self) -> list[tuple[str, str]]:
        """Engine and name of every step that was timed."""
        return [(event["engine"].removesuffix("+few"), event["name"]) for event in self.events("step")]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)
