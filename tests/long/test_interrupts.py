"""Ctrl-C and kill -9 at random moments of the long commands: codes, the one line, and files that are old or whole.

``make test-long`` runs it. The moments come from a fixed seed; what the commands are doing then is up to the machine.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from adaptwin import Plan, Profile, Surrogate
from adaptwin.dataset.dataset import Dataset, read_partition
from adaptwin.surrogate.compilation import compile_planning

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTS, KILLS = 100, 20
FLEET = {
    "profile": "h100-64gb-llama-3.1-8b-instruct",
    "duration": 300,
    "adapters": [{"name": f"a{i}", "rank": (8, 16, 32)[i % 3], "rate": 1.0} for i in range(24)],
}
SWEPT = {
    "profiles": ["h100-64gb-llama-3.1-8b-instruct"],
    "sampler": "random",
    "mixes": 400,
    "loads": 1,
    "duration": [60.0],
    "most_requests": 1000,
}
TRAINED_ON = {**SWEPT, "mixes": 90, "loads": 2, "duration": [150.0], "most_requests": 6000, "max_num_seqs": [64, 256]}
COMMANDS = {  # by name: the words, and the files that they write
    "plan": (["plan", "fleet.json", "--out", "out.yaml", "--report", "out.html"], ["out.yaml", "out.html"]),
    "verify": (["verify", "plan.yaml", "--stress", "--stress-runs", "4"], []),
    "sweep": (["sweep", "design.json", "--out", "swept", "--jobs", "2"], []),
    "train": (["train", "runs", "--out", "out.json", "--folds", "2"], ["out.json"]),
    "fit": (["fit", "measurements", "--out", "out.yaml", "--rounds", "2"], ["out.yaml"]),
}
READERS = {"plan": Plan.read, "train": Surrogate.read, "fit": Profile.read}
OLD = "old\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a folder with what the commands read, and how long each takes."""
    compile_planning()
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "fleet.json").write_text(json.dumps(FLEET))
    (folder / "design.json").write_text(json.dumps(SWEPT))
    (folder / "trained-on.json").write_text(json.dumps(TRAINED_ON))
    shutil.copytree(ROOT / "examples" / "measurements", folder / "measurements")
    finish(start(["plan", "fleet.json", "--out", "plan.yaml"], folder))
    finish(start(["sweep", "trained-on.json", "--out", "runs", "--jobs", "2"], folder))
    seconds = {}
    for name, (words, _) in COMMANDS.items():
        began = time.perf_counter()
        done = finish(start(words, folder))
        assert done[0] in (0, 3), (name, done)
        seconds[name] = time.perf_counter() - began
    (folder / "swept").rename(folder / "uninterrupted")
    for file in folder.glob("out.*"):
        file.unlink()
    return folder, seconds


def start(words, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "adaptwin", *words],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(running):
    _, err = running.communicate(timeout=900)
    return running.returncode, err


def send(running, number):
    try:
        os.killpg(running.pid, number)
    except ProcessLookupError:
        assert running.wait() in (0, 3)


def moments(count, seconds, seed):
    """Yield commands in turn, each with a moment after its start, in seconds."""
    dice = random.Random(seed)
    for turn in range(count):
        name = list(COMMANDS)[turn % len(COMMANDS)]
        yield name, dice.uniform(0.05, seconds[name])


def require_old_or_whole(name, folder, *, whole):
    """Check the files of a command; return what they are."""
    found = []
    for file in COMMANDS[name][1]:
        text = (folder / file).read_text()
        found.append("old" if text == OLD else "whole")
        if text != OLD and file.endswith(".html"):
            assert text.rstrip().endswith("</html>")
        elif text != OLD:
            READERS[name](folder / file)
    for part in (folder / "swept").glob("part-*.parquet"):
        assert len(read_partition(part)) > 0
        found.append("whole")
    if whole:
        assert "old" not in found
    return found


def make_old(name, folder):
    for file in COMMANDS[name][1]:
        (folder / file).write_text(OLD)


def test_ctrl_c_at_any_moment(prepared, capsys):
    folder, seconds = prepared
    codes, states, slowest = Counter(), Counter(), 0.0
    for name, moment in moments(INTERRUPTS, seconds, seed=14):
        make_old(name, folder)
        running = start(COMMANDS[name][0], folder)
        time.sleep(moment)
        pressed = time.perf_counter()
        send(running, signal.SIGINT)
        code, err = finish(running)
        slowest = max(slowest, time.perf_counter() - pressed if code == 130 else 0.0)
        is_before_us = code in (-signal.SIGINT, 1) and "adaptwin/" not in err and moment < 0.2  # Python itself starts
        assert code in (0, 3, 130) or is_before_us, (name, moment, code, err)
        if code == 130:
            lines = [line for line in err.splitlines() if not line.endswith(" written to out.yaml")]
            assert len([line for line in lines if line.startswith("adaptwin: interrupted")]) == 1, (name, moment, err)
            assert "Traceback" not in err
        codes["before our first line" if is_before_us else code] += 1
        states.update(require_old_or_whole(name, folder, whole=code in (0, 3)))
        if code in (0, 3):
            shutil.rmtree(folder / "swept", ignore_errors=True)
        assert [file for file in os.listdir(folder) if file.endswith(".tmp")] == [], (name, moment)
    finish(start(COMMANDS["sweep"][0], folder))
    assert Dataset.read(folder / "swept").rows.equals(Dataset.read(folder / "uninterrupted").rows)
    with capsys.disabled():
        print(f"\n{INTERRUPTS} Ctrl-C: codes {dict(codes)}, files {dict(states)}, slowest {slowest:.2f} s")
    assert codes[130] > INTERRUPTS / 2
    assert slowest < 5.0


def test_kill_at_any_moment(prepared, capsys):
    folder, seconds = prepared
    shutil.rmtree(folder / "swept", ignore_errors=True)
    codes, states, left = Counter(), Counter(), 0
    for name, moment in moments(KILLS, seconds, seed=9):
        make_old(name, folder)
        running = start(COMMANDS[name][0], folder)
        time.sleep(moment)
        send(running, signal.SIGKILL)
        code, _ = finish(running)
        codes[code] += 1
        states.update(require_old_or_whole(name, folder, whole=code in (0, 3)))
        for file in folder.rglob("*.tmp"):
            assert file.name.startswith(".adaptwin-")
            file.unlink()
            left += 1
    finish(start(COMMANDS["sweep"][0], folder))
    assert Dataset.read(folder / "swept").rows.equals(Dataset.read(folder / "uninterrupted").rows)
    with capsys.disabled():
        print(f"\n{KILLS} kill -9: codes {dict(codes)}, files {dict(states)}, {left} temporary files left")
    assert codes[-signal.SIGKILL] > KILLS / 2
