"""Ctrl-C and SIGTERM end the program with one line and a code, whatever it is doing."""

import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

NOTHING = "adaptwin: interrupted, nothing written\n"


class Ended(NamedTuple):
    """How a program has ended, and how long that took after the first signal."""

    code: int
    err: str
    seconds: float


def started(words, folder, code=None):
    program = ["-m", "adaptwin", *words] if code is None else ["-c", code, *words]
    return subprocess.Popen(
        [sys.executable, *program],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(running, *signals):
    """Send signals to a program and all that it has started, as a terminal does, and wait for its end."""
    began = time.perf_counter()
    for number in signals:
        os.killpg(running.pid, number)
    _, err = running.communicate(timeout=60)
    return Ended(running.returncode, err, time.perf_counter() - began)


WAITS = """
import sys, time
import adaptwin.__main__
from adaptwin.cli import main

def run(arguments):
    print("ready", flush=True)
    {work}

main.run = run
adaptwin.__main__.main()
"""
LOOP = """
    import numpy as np, numba
    @numba.njit(nogil=True)
    def loop(n):
        total = 0
        for i in range(n):
            total += i * i % 7
        return total
    loop(1)
    print("loop", flush=True)
    loop(10**11)
"""


def waiting(folder, work, ready="ready"):
    running = started([], folder, WAITS.format(work=work))
    while ready not in running.stdout.readline():
        assert running.poll() is None
    return running


def test_while_it_waits(tmp_path):
    done = ended(waiting(tmp_path, "time.sleep(60)"), signal.SIGINT)
    assert (done.code, done.err) == (130, NOTHING)
    assert done.seconds < 30  # long before the work ends by itself


def test_while_compiled_code_runs(tmp_path):
    done = ended(waiting(tmp_path, LOOP, ready="loop"), signal.SIGINT)
    assert (done.code, done.err) == (130, NOTHING)
    assert done.seconds < 30  # long before the work ends by itself


def test_where_every_exception_is_swallowed(tmp_path):
    work = """
    while True:
        try:
            time.sleep(60)
        except BaseException:
            print("swallowed", file=sys.stderr)
"""
    done = ended(waiting(tmp_path, work), signal.SIGINT)
    assert (done.code, done.err) == (130, NOTHING)


def test_sigterm(tmp_path):
    done = ended(waiting(tmp_path, "time.sleep(60)"), signal.SIGTERM)
    assert (done.code, done.err) == (143, "adaptwin: terminated, nothing written\n")


def test_a_second_ctrl_c_ends_it_while_the_first_tidies_up(tmp_path):
    work = """
    from adaptwin.interruption import tidied_by
    with tidied_by(lambda: time.sleep(60)):
        while True:
            time.sleep(0.01)
"""
    running = waiting(tmp_path, work)
    os.killpg(running.pid, signal.SIGINT)
    time.sleep(0.2)
    done = ended(running, signal.SIGINT)
    assert (done.code, done.err) == (130, NOTHING)
    assert done.seconds < 30


def test_tidying_up_does_not_take_long(tmp_path):
    work = """
    from adaptwin.interruption import tidied_by
    with tidied_by(lambda: time.sleep(60)):
        time.sleep(60)
"""
    done = ended(waiting(tmp_path, work), signal.SIGINT)
    assert (done.code, done.err) == (130, NOTHING)
    assert done.seconds < 30


def test_what_was_written_is_said_and_temporary_files_are_removed(tmp_path):
    work = """
    import os
    from adaptwin.writing import write_atomically
    write_atomically("plan.yaml", "text")
    os.fsync = lambda _: (print("now", flush=True), time.sleep(60))
    write_atomically("report.html", "text")
"""
    done = ended(waiting(tmp_path, work, ready="now"), signal.SIGINT)
    assert (done.code, done.err) == (130, "adaptwin: interrupted; written: plan.yaml\n")
    assert os.listdir(tmp_path) == ["plan.yaml"]


def test_what_is_killed_leaves_a_named_temporary_file_at_most(tmp_path):
    (tmp_path / "plan.yaml").write_text("old")
    work = """
    import os
    from adaptwin.writing import write_atomically
    os.fsync = lambda _: (print("now", flush=True), time.sleep(60))
    write_atomically("plan.yaml", "new")
"""
    assert ended(waiting(tmp_path, work, ready="now"), signal.SIGKILL).code == -signal.SIGKILL
    (left,) = {*os.listdir(tmp_path)} - {"plan.yaml"}
    assert left.startswith(".adaptwin-")
    assert left.endswith(".tmp")
    assert (tmp_path / "plan.yaml").read_text() == "old"


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    running = subprocess.Popen(
        [sys.executable, "-c", WAITS.format(work="time.sleep(1); return 0")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    assert (running.communicate()[1], running.returncode) == ("", 0)


def test_when_the_work_is_done_the_result_counts(tmp_path):
    work = """
    import atexit
    atexit.register(lambda: (print("ending", flush=True), time.sleep(0.5)))
    return 3
"""
    done = ended(waiting(tmp_path, work, ready="ending"), signal.SIGINT)
    assert (done.code, done.err) == (3, "")


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.3])
def test_while_it_imports(folder, seconds):
    words = ["plan", "fleet.yaml", "--out", "plan.yaml"]
    running = started(words, folder, "print('ready', flush=True); from adaptwin.__main__ import main; main()")
    assert running.stdout.readline() == "ready\n"
    time.sleep(seconds)
    done = ended(running, signal.SIGINT)
    assert (done.code, done.err) == (130, NOTHING)
    assert os.listdir(folder) == ["fleet.yaml"]


def test_before_anything_is_imported(tmp_path):
    """The first line that is ours is inside the block that catches it."""
    code = """
import sys
class Press:
    def find_spec(self, name, *_):
        if name == "adaptwin.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Press())
from adaptwin.__main__ import main
main()
"""
    running = started([], tmp_path, code)
    assert (running.communicate()[1], running.returncode) == (NOTHING, 130)


@pytest.mark.parametrize("words", [["--help"], ["profiles"], ["profiles", "--json"]])
def test_a_reader_that_has_gone_is_no_error(tmp_path, words):
    running = started(words, tmp_path)
    running.stdout.close()
    assert (running.stderr.read(), running.wait()) == ("", 0)
    running.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_to_a_full_disk_is_an_error_in_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "adaptwin", "profiles"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "adaptwin: the output cannot be written: No space left on device\n")
