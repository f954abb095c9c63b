"""The law of the pretend GPU: the steps of a rehearsal are held against it."""

import subprocess
import sys

import pytest

from law import errors, lawful_seconds
from points import Step

from .conftest import TOOLS
from .made_events import started, stepped, write


def test_seconds_are_those_worked_out_by_hand():
    decodes = stepped("16x64", Step(8, 512, adapters=2))
    assert decodes["seconds"] == pytest.approx(7e-3 + 8 * 1.5e-5 + 8 * 512 * 3e-8 + 16 * 2e-5 + 2 * 1e-4)
    prompt = stepped("0", Step(chunk=100, prompts=1, behind=50))
    assert lawful_seconds(prompt) == pytest.approx(7e-3 + 100 * 1.5e-5 + (100 * 50 + 5050) * 2e-9)


def test_errors_are_relative():
    step = stepped("0", Step(8))
    assert errors([step, {**step, "seconds": 1.1 * step["seconds"]}]) == pytest.approx([0.0, 0.1])


def test_the_table_tells_batches_apart(tmp_path):
    late = stepped("0", Step(128))
    events = [started("0"), stepped("0", Step(8)), {**late, "seconds": 1.25 * late["seconds"]}]
    command = [sys.executable, str(TOOLS / "law.py"), str(write(tmp_path / "events.jsonl", events))]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[-5:] for line in told[1:]] == [
        ["1", "0.00", "%", "0.00", "%"],
        ["1", "25.00", "%", "25.00", "%"],
    ]
