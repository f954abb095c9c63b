"""Machine code is made once, by two processes, and is all that a plan needs."""

import json
import os
import subprocess
import sys

import pytest

from adaptwin import compilation, compilation_progress
from adaptwin.compilation import Job, compile_missing
from adaptwin.compilation_progress import STAGE, Meter, ProgressLines
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
LATER = """
from numba.core import event
from adaptwin import Adapter, Workload, load_profile, make_plan
from adaptwin.surrogate.compilation import compile_planning

class Names(event.Listener):
    def on_start(self, event):
        print("compiled", event.data["dispatcher"])

    def on_end(self, event):
        pass

event.register("numba:compile", Names())
compile_planning()
workload = Workload(adapters=[Adapter(name=f"a{i}", rank=8, rate=0.2) for i in range(8)], duration=300.0)
print("planned", make_plan(load_profile("h100-64gb-llama-3.1-8b-instruct"), workload).gpus)
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
    if os.environ.get("WORKS_IN") not in (None, str(os.getpid())):
        raise RuntimeError
    two(1)
    with open(os.environ["LOG"], "a") as file:
        print(os.getpid(), file=file)
"""


@pytest.mark.long
def test_all_that_a_plan_needs_is_compiled_beforehand_and_once(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done, later = (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        for code in (FRESH, LATER)
    )
    assert later.stdout.splitlines() == ["planned 1"]  # not even functions of Numba itself are compiled again
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["verified"]
    assert found["late"] == 0
    assert found["counts"] == {job.call: job.functions for job in JOBS}
    assert done.stderr == ""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Return two jobs of a module of its own, with nothing compiled."""
    (tmp_path / "jobs_to_do.py").write_text(MODULE)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(compilation, "_known_done", set())
    yield tuple(
        Job(f"jobs_to_do:compile_{name}", (f"jobs_to_do:{name}",), 1, 2.0 - i) for i, name in enumerate(("one", "two"))
    )
    sys.modules.pop("jobs_to_do", None)


@pytest.fixture
def processes(tmp_path):
    """Return a function that lists the processes that did the second job, in order."""
    return lambda: [int(line) for line in (tmp_path / "log").read_text().split()]


def cores(monkeypatch, number):
    monkeypatch.setattr(compilation, "_can_share", lambda jobs: bool(jobs) and number > 1)


def test_a_second_process_does_a_job_which_this_one_then_loads(jobs, processes, monkeypatch, capsys):
    cores(monkeypatch, 2)
    compile_missing(jobs)
    assert all(job.is_done for job in jobs)
    assert processes()[0] != os.getpid()
    assert processes()[1:] == [os.getpid()]
    stats = sys.modules["jobs_to_do"].two.stats
    assert (sum(stats.cache_hits.values()), sum(stats.cache_misses.values())) == (1, 0)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("adaptwin: compiling for this machine, once per installation (about ")
    assert said[-1].startswith("adaptwin: compiled in ")
    assert len([line for line in said if "compiled in" in line]) == 1


def test_what_a_second_process_fails_to_do_is_done_here(jobs, processes, monkeypatch, capsys):
    cores(monkeypatch, 2)
    monkeypatch.setenv("WORKS_IN", str(os.getpid()))
    compile_missing(jobs)
    assert all(job.is_done for job in jobs)
    assert set(processes()) == {os.getpid()}
    assert capsys.readouterr().err.splitlines()[-1].startswith("adaptwin: compiled in ")


def test_without_a_second_process_everything_is_done_here(jobs, processes, monkeypatch):
    cores(monkeypatch, 2)
    monkeypatch.setattr(compilation.subprocess, "Popen", lambda *_, **__: (_ for _ in ()).throw(OSError("no more")))
    compile_missing(jobs)
    assert all(job.is_done for job in jobs)
    assert set(processes()) == {os.getpid()}


def test_on_one_core_everything_is_done_here(jobs, processes, monkeypatch):
    cores(monkeypatch, 1)
    compile_missing(jobs)
    assert set(processes()) == {os.getpid()}


def test_what_is_compiled_is_not_compiled_again(jobs, monkeypatch, capsys):
    cores(monkeypatch, 1)
    compile_missing(jobs)
    capsys.readouterr()
    compile_missing(jobs)
    monkeypatch.setattr(compilation, "_known_done", set())
    compile_missing(jobs)
    assert capsys.readouterr().err == ""


def test_an_interrupted_compilation_is_resumed(jobs, monkeypatch):
    cores(monkeypatch, 1)
    with monkeypatch.context() as patched:
        patched.setattr(Job, "run", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            compile_missing(jobs)
    assert not any(job.is_done for job in jobs)
    compile_missing(jobs)
    assert all(job.is_done for job in jobs)


def test_machine_code_for_another_processor_is_missing(jobs, monkeypatch):
    cores(monkeypatch, 1)
    compile_missing(jobs)
    monkeypatch.setattr(compilation, "_known_done", set())
    module = sys.modules.pop("jobs_to_do")
    monkeypatch.setattr(type(module.one.targetctx.codegen()), "magic_tuple", lambda _: ("another processor",))
    assert not any(job.is_done for job in jobs)


def test_progress_on_a_terminal_replaces_the_lines(jobs, monkeypatch, capsys):
    cores(monkeypatch, 1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    seen = []
    compile_missing(jobs, lambda *progress: seen.append(progress))
    assert capsys.readouterr().err == ""
    assert seen[0] == (STAGE, 0, 100)
    assert seen[-1] == (STAGE, 100, 100)


def test_without_stderr_nothing_is_said_and_everything_is_compiled(jobs, monkeypatch, capsys):
    cores(monkeypatch, 1)
    monkeypatch.setattr(sys, "stderr", None)
    compile_missing(jobs, lambda *_: None)
    assert all(job.is_done for job in jobs)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("number", "seconds"), [(1, 2 * 3.0), (2, 2 * (1.5 + 1.0))])
def test_the_estimate_is_that_of_the_jobs_on_this_machine(jobs, monkeypatch, capsys, number, seconds):
    cores(monkeypatch, number)
    monkeypatch.setattr(compilation, "slowness", lambda: 2.0)
    compile_missing(jobs)
    assert f"(about {seconds:.0f} s)" in capsys.readouterr().err


# Progress


def test_each_hundredth_is_reported_once_whatever_the_steps():
    seen = []
    meter = Meter({"a": 3.0, "b": 1.0}, lambda *progress: seen.append(progress))
    for _ in range(1000):
        meter.advance("a", 0.01)  # more than the whole job: not counted beyond it
    meter.finish("b")
    meter.finish("a")
    assert seen == [(STAGE, done, 100) for done in (*range(76), 100)]


def test_the_lines_tell_the_time_that_is_left(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(compilation_progress.time, "perf_counter", lambda: now[0])
    lines = ProgressLines(9.6)
    for seconds, done in ((4.0, 20), (6.0, 30), (9.0, 60), (12.0, 80), (15.0, 100)):
        now[0] = 100.0 + seconds
        lines(STAGE, done, 100)
    assert capsys.readouterr().err.splitlines() == [
        "adaptwin: compiling for this machine, once per installation (about 10 s) ...",
        "adaptwin: compiling: 30 %, about 14 s to go",
        "adaptwin: compiling: 80 %, about 3 s to go",
        "adaptwin: compiled in 15 s",
    ]


def test_a_machine_is_as_slow_as_its_loop(monkeypatch):
    monkeypatch.setattr(compilation_progress, "_loop_seconds", lambda: 3 * compilation_progress._SPEED_LOOP_SECONDS)
    assert compilation_progress.slowness() == pytest.approx(3.0)
