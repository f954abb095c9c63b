"""adaptwin apply on two real vLLM servers: from plan A to plan B under running traffic, killed half-way and again."""

import json
import subprocess
import sys
import threading
import time

from adaptwin import Adapter, Lengths, Plan, Server, Workload, load_profile
from adaptwin.live.replayed import Replayed
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

NAMES = ("a00", "a01", "a03", "a04", "a06")
SETTINGS = {"max_loras": 4, "max_lora_rank": 16, "max_cpu_loras": 64, "max_num_seqs": 32, "max_num_batched_tokens": 256}
QUICK = ("--settle", "2s", "--drain", "60s")


def plan_on_two(folder, first, second):
    """Return a plan of two servers of the tiny model, with shares of adapters."""
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    server = Server(**SETTINGS, max_model_len=1024)
    adapters = [Adapter(name, 8, 0.5, artifact=str(folder / "adapters" / name)) for name in NAMES]
    return Plan(
        PlanOptions(strategy="by hand"),
        0,
        lower_bound=1,
        servers=(
            PlacedServer("gpu-0", profile.name, server, first),
            PlacedServer("gpu-1", profile.name, server, second),
        ),
        profiles=[profile],
        workload=Workload(
            adapters,
            duration=60.0,
            lengths=Lengths.lognormal(input_mean=24, input_cv=0.5, output_mean=24, output_cv=0.5),
        ),
    )


def started(folder, *words):
    command = [sys.executable, "-m", "adaptwin", *map(str, words)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_no_request_fails_from_plan_a_to_plan_b(tiny, on_cpu, tmp_path):
    before = plan_on_two(tiny, {"a00": 1.0, "a01": 1.0, "a03": 0.5}, {"a03": 0.5, "a04": 1.0, "a06": 1.0})
    after = plan_on_two(tiny, {"a04": 1.0, "a06": 1.0}, {"a00": 1.0, "a01": 1.0, "a03": 1.0})
    before.write(tmp_path / "a.yaml")
    after.write(tmp_path / "b.yaml")
    settings = [on_cpu.Settings(core=str(core)) for core in (0, 1)]
    with on_cpu.vllm_server(tiny, settings[0]) as one, on_cpu.vllm_server(tiny, settings[1]) as other:
        (tmp_path / "servers.yaml").write_text(f"gpu-0: {one.url}\ngpu-1: {other.url}\n")
        where = ("--servers", "servers.yaml", "--routes", "routes.yaml")
        first = started(tmp_path, "apply", "a.yaml", *where, "--settle", "0s")
        out, err = first.communicate(timeout=120)
        assert first.returncode in (0, 3), err  # the memory of a CPU differs from the plan's: that needs a restart
        assert "load a00, a01, a03 on gpu-0" in out
        words = ("--duration", "60s", "--window", "drain", "--out", "replay.json")
        replay = started(tmp_path, "replay", "a.yaml", *where, *words)
        time.sleep(12.0)
        killed = started(tmp_path, "apply", "b.yaml", *where, *QUICK)
        killer = threading.Timer(4.5, killed.kill)
        killer.start()
        killed.communicate(timeout=60)
        again = started(tmp_path, "apply", "b.yaml", *where, *QUICK, "--json")
        out, err = again.communicate(timeout=180)
        assert again.returncode in (0, 3), err
        done = json.loads(out)
        _, err = replay.communicate(timeout=180)
        assert replay.returncode == 0, err
        nothing = started(tmp_path, "apply", "b.yaml", *where, "--dry-run", "--json")
        left, err = nothing.communicate(timeout=60)
        assert json.loads(left)["steps"] == [], err
    (run,) = Replayed.read(tmp_path / "replay.json").runs
    second = len(done["steps"])
    print(f"{run.arrived} requests, {run.failed} failed, {run.rejected} rejected; {second} steps in the second call")
    assert (run.failed, run.rejected, run.errors) == (0, 0, {})
    assert run.finished == run.arrived > 100
