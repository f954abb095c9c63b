"""The commands that talk to servers, against real vLLM on the CPU: measure, fit, replay, compare, and faults."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from adaptwin import Profile, load_profile
from adaptwin.errors import ServerError
from adaptwin.live.connection import session_with
from adaptwin.live.vllm_server import VllmServer

FLEET = """
duration: 20
lengths: {kind: lognormal, input_mean: 24, input_cv: 0.5, output_mean: 24, output_cv: 0.5}
adapters:
- {name: a00, rank: 8, rate: 0.4}
- {name: a01, rank: 16, rate: 0.4}
- {name: a03, rank: 8, rate: 0.2}
- {name: base, rank: 0, rate: 0.2}
server: {max_loras: 4, max_lora_rank: 16, max_cpu_loras: 64, max_num_seqs: 32, max_num_batched_tokens: 256,
  max_model_len: 1024, block_size: 32}
"""


def adaptwin(*words, **options):
    done = subprocess.run(
        [sys.executable, "-m", "adaptwin", *map(str, words)], capture_output=True, text=True, **options
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def fleet(tmp_path):
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET)
    return path


def test_a_server_is_measured_and_nothing_is_left_there(server, tiny, tmp_path):
    folder = tmp_path / "measured"
    before = asked(server.url, VllmServer.models)
    words = ("--gpu", "l4", "--model", tiny / "model", "--max-num-seqs", 32, "--max-num-batched-tokens", 256)
    done = adaptwin(
        "measure", server.url, *words, "--budget", "90s", "--input-mean", 24, "--output-mean", 24, "--out", folder
    )
    assert done.returncode == 0, done.stderr
    assert asked(server.url, VllmServer.models) == before
    kept = json.loads((folder / "measured.json").read_text())
    assert {row["kind"] for row in kept["results"]} == {"decode", "prefill", "swap"}
    fitted = adaptwin("fit", folder, "--out", tmp_path / "fitted.yaml")
    if fitted.returncode == 0:  # a machine that does other work is too noisy for a fit, which then says so
        assert isinstance(load_profile(tmp_path / "fitted.yaml"), Profile)
    else:
        assert "the fit misses" in fitted.stderr or "rows have the same" in fitted.stderr, fitted.stderr


def test_a_server_that_dies_ends_the_measurement_and_another_goes_on_with_it(tiny, on_cpu, tmp_path):
    folder = tmp_path / "measured"
    words = ("--gpu", "l4", "--model", tiny / "model", "--max-num-seqs", 32, "--max-num-batched-tokens", 256)
    words += ("--budget", "30s", "--input-mean", 24, "--output-mean", 24, "--out", folder)
    with on_cpu.vllm_server(tiny, on_cpu.Settings(), ["a00", "a01", "a03"]) as running:
        killer = threading.Timer(20.0, lambda: os.killpg(running.pid, signal.SIGKILL))
        killer.start()
        done = adaptwin("measure", running.url, *words)
        killer.cancel()
    assert (done.returncode, "the same command goes on" in done.stderr) == (4, True), done.stderr
    kept = json.loads((folder / "measured.json").read_text())["results"]
    with on_cpu.vllm_server(tiny, on_cpu.Settings(), ["a00", "a01", "a03"]) as running:
        again = adaptwin("measure", running.url, *words)
    assert again.returncode == 0, again.stderr
    assert json.loads((folder / "measured.json").read_text())["results"][: len(kept)] == kept


def test_a_replay_answers_every_request(server, fleet, tmp_path):
    out = tmp_path / "replay.json"
    done = adaptwin("replay", fleet, "--url", server.url, "--window", "drain", "--out", out)
    assert done.returncode == 0, done.stderr
    [run] = json.loads(out.read_text())["runs"]
    assert run["finished"] == run["arrived"] > 10
    assert (run["failed"], run["rejected"], run["max_loras"]) == (0, 0, 4)
    assert run["itl"]["mean"] > 0


def test_an_adapter_that_is_not_there_is_named(server, fleet):
    fleet.write_text(FLEET.replace("a03", "a77"))
    done = adaptwin("replay", fleet, "--url", server.url)
    assert done.returncode == 4
    assert "a77" in done.stderr


def asked(url, work):
    async def ask():
        async with session_with(None) as session:
            return await work(VllmServer(url, session))

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("name", "adapter", "message"),
    [
        ("a00", "a00", "already been loaded"),
        ("new", "missing", "No adapter found"),
        ("new", "a02", "rank"),
    ],
    ids=["name already loaded", "path missing", "rank above max_lora_rank"],
)
def test_a_load_that_is_refused_is_said(server, tiny, name, adapter, message):
    with pytest.raises(ServerError, match=message):
        asked(server.url, lambda there: there.load_adapter(name, str(tiny / "adapters" / adapter)))


def test_adapters_are_loaded_and_unloaded(server, tiny):
    async def work(there):
        await there.load_adapter("extra", str(tiny / "adapters" / "a06"))
        names = (await there.models()).names
        await there.unload_adapter("extra")
        return names, (await there.models()).names

    with_it, without = asked(server.url, work)
    assert with_it - without == {"extra"}


def test_a_server_that_dies_ends_the_replay_and_what_was_measured_is_kept(tiny, on_cpu, fleet, tmp_path):
    out = tmp_path / "replay.json"
    with on_cpu.vllm_server(tiny, on_cpu.Settings(), ["a00", "a01", "a03"]) as running:
        killer = threading.Timer(12.0, lambda: os.killpg(running.pid, signal.SIGKILL))
        killer.start()
        done = adaptwin("replay", fleet, "--url", running.url, "--duration", "60s", "--out", out, timeout=120)
        killer.cancel()
    assert done.returncode == 4
    assert "ended early" in done.stderr
    assert json.loads(out.read_text())["ended_early"]


def test_ctrl_c_keeps_what_was_measured(server, fleet, tmp_path):
    out = tmp_path / "replay.json"
    words = [sys.executable, "-m", "adaptwin", "replay", str(fleet), "--url", server.url, "--out", str(out)]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    time.sleep(12.0)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.count("\n") == 1
    assert json.loads(Path(out).read_text())["ended_early"] == "interrupted"


def test_a_server_with_a_key_and_without_lora(tiny, on_cpu, fleet):
    with on_cpu.vllm_server(tiny, on_cpu.Settings(lora=False), api_key="secret") as running:
        refused = adaptwin("replay", fleet, "--url", running.url)
        assert (refused.returncode, "API key" in refused.stderr) == (4, True)
        without = adaptwin("replay", fleet, "--url", running.url, "--api-key", "secret")
        assert (without.returncode, "not loaded" in without.stderr) == (4, True)


def processes_of_session(session):
    """Return the processes of a session that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                found += [entry.name] if int(of) == session and state != "Z" else []
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_no_server_is_left_behind(on_cpu, tiny):
    with on_cpu.vllm_server(tiny, on_cpu.Settings(lora=False)) as running:
        assert len(processes_of_session(running.pid)) > 1
    until = time.monotonic() + 15.0  # killed workers take a moment to end
    while processes_of_session(running.pid) and time.monotonic() < until:
        time.sleep(0.2)
    assert processes_of_session(running.pid) == []
