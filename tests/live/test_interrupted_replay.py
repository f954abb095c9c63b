"""Ctrl-C and SIGTERM in the middle of a replay: what was measured until then is in --out."""

import os
import signal
import subprocess
import sys
import time

import pytest

from adaptwin.live.replayed import Replayed

LONG = 60.0  # seconds in which something happens on the slowest machine


def ended(server, folder, number, *words):
    """Send a signal to a replay that has sent 20 requests; return its exit code, stderr, and the seconds to its end."""
    command = ["replay", "fleet.yaml", "--url", server.url, "--duration", "300s", "--out", "out.json", *words]
    running = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "adaptwin", *command],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.perf_counter() + 2 * LONG  # the machine code may have to be made
        while len(server.received) < 20 and running.poll() is None and time.perf_counter() < until:
            time.sleep(0.02)
        began = time.perf_counter()
        os.killpg(running.pid, number)
        _, err = running.communicate(timeout=LONG)
        return running.returncode, err.splitlines()[-1], time.perf_counter() - began
    finally:
        running.kill()


@pytest.mark.parametrize(
    ("number", "window", "code", "said"),
    [(signal.SIGINT, "cut", 130, "interrupted"), (signal.SIGTERM, "drain", 143, "terminated")],
)
def test_the_results_so_far_are_kept(serve, folder, number, window, code, said):
    done = ended(serve(), folder, number, "--window", window)
    assert done[:2] == (code, f"adaptwin: {said}; written: out.json")
    assert done[2] < LONG / 2
    assert sorted(os.listdir(folder)) == ["fleet.yaml", "out.json"]
    found = Replayed.read(folder / "out.json")
    (run,) = found.runs
    assert found.ended_early == "interrupted"
    assert 0 < run.duration < 300
    assert run.arrived >= 20
    assert run.finished > 0
    assert run.throughput == pytest.approx(25 * run.request_rate)
    assert found.client.busy > 0
    parts = run.running_at_end + run.waiting_at_end + run.failed + run.rejected + run.never_admitted
    assert run.arrived == run.finished + parts


def test_before_anything_is_sent_there_is_nothing_to_keep(serve, folder):
    server = serve(hangs=frozenset({"models"}))
    command = ["replay", "fleet.yaml", "--url", server.url, "--out", "out.json"]
    running = subprocess.Popen(
        [sys.executable, "-m", "adaptwin", *command], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    time.sleep(1.0)  # it may still be importing
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=LONG)
    assert (running.returncode, err.splitlines()[-1]) == (130, "adaptwin: interrupted, nothing written")
    assert os.listdir(folder) == ["fleet.yaml"]
