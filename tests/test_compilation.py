"""Machine code is made once, by two processes, and is all that a plan needs."""

import json
import os
import subprocess
import sys

import pytest

from adaptwin import compilation
from adaptwin.compilation import Job, compile_missing
from adaptwin.surrogate.compilation import _PREDICTION
from adaptwin.twin.compilation import TWIN

JOBS = (*TWIN, _PREDICTION)
FRESH = """
import json
from adaptwin import Adapter, Workload, load_profile, make_plan
from adaptwin import compilation
from adaptwin.surrogate.compilation import _PREDICTION
from adaptwin.twin.compilation import TWIN

counts = {}
for job in (*TWIN, _PREDICTION):
    counted = []
    with compilation._counted(lambda: counted.append(1)):
        job.run()
    counts[job.call] = len(counted)
    assert job.is_done

late = []
workload = Workload(adapters=[Adapter(name=f"a{i}", rank=8, rate=0.2) for i in range(8)], duration=300.0)
with compilation._counted(lambda: late.append(1)):
    plan = make_plan(load_profile("h100-64gb-llama-3.1-8b-instruct"), workload)
print(json.dumps({"counts": counts, "late": len(late), "verified": plan.verified}))
"""
MODULE = """
import os
import time
from adaptwin.jit import compiled

@compiled
def one(x):
    return x + 1

@compiled
def two(x):
    return x + 2

def compile_one():
    time.sleep(0.2)  # so that the second process takes the other job
    one(1)

def compile_two():
    if os.environ.get("FAILS_IN") not in (None, str(os.getpid())):
        raise RuntimeError
    two(1)
    with open(os.environ["WHO"], "a") as file:
        print(os.getpid(), file=file)
"""


def test_all_that_a_plan_needs_is_compiled_beforehand_and_counted(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FRESH],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["verified"]
    assert found["late"] == 0
    assert found["counts"] == {job.call: job.functions for job in JOBS}
    assert done.stderr == ""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Two jobs of a module of its own, with nothing compiled."""
    (tmp_path / "jobs_to_do.py").write_text(MODULE)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WHO", str(tmp_path / "who"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(compilation, "_done", set())
    yield tuple(
        Job(f"jobs_to_do:compile_{name}", (f"jobs_to_do:{name}",), 1, 2.0 - i) for i, name in enumerate(("one", "two"))
    )
    sys.modules.pop("jobs_to_do", None)


def processes(tmp_path):
    """The processes that compiled the second job, in order."""
    return [int(line) for line in (tmp_path / "who").read_text().split()]


def two_cores(monkeypatch, cores=2):
    monkeypatch.setattr(compilation, "_may_help", lambda jobs: bool(jobs) and cores > 1)


def test_a_second_process_does_a_job_which_this_one_then_loads(jobs, tmp_path, monkeypatch, capsys):
    two_cores(monkeypatch)
    compile_missing(jobs)
    assert all(job.is_done for job in jobs)
    assert processes(tmp_path)[0] != os.getpid()
    assert processes(tmp_path)[1:] == [os.getpid()]
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("adaptwin: compiling for this machine, once per installation (about ")
    assert said[-1].startswith("adaptwin: compiled in ")


def test_what_a_second_process_fails_to_do_is_done_here(jobs, tmp_path, monkeypatch):
    two_cores(monkeypatch)
    monkeypatch.setenv("FAILS_IN", str(os.getpid()))
    compile_missing(jobs)
    assert all(job.is_done for job in jobs)
    assert set(processes(tmp_path)) == {os.getpid()}


def test_on_one_core_everything_is_done_here(jobs, tmp_path, monkeypatch):
    two_cores(monkeypatch, cores=1)
    compile_missing(jobs)
    assert set(processes(tmp_path)) == {os.getpid()}


def test_what_is_compiled_is_not_compiled_again(jobs, monkeypatch, capsys):
    two_cores(monkeypatch, cores=1)
    compile_missing(jobs)
    capsys.readouterr()
    compile_missing(jobs)
    monkeypatch.setattr(compilation, "_done", set())
    compile_missing(jobs)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_replaces_the_lines(jobs, monkeypatch, capsys):
    two_cores(monkeypatch, cores=1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    seen = []
    compile_missing(jobs, lambda *progress: seen.append(progress))
    assert capsys.readouterr().err == ""
    stages, done, totals = zip(*seen, strict=True)
    assert set(stages) == {compilation.STAGE}
    assert list(done) == sorted(done)
    assert (done[0], done[-1], set(totals)) == (0, 100, {100})
