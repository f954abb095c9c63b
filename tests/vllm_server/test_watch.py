"""adaptwin watch on two real vLLM servers: traffic that no plan expected, and a plan that is applied for it."""

import json
import subprocess
import sys

from tests.live.watching.router_stand_in import counting_router

from adaptwin import Adapter, Lengths, Plan, Server, Workload, load_profile
from adaptwin.live.applying.routes_file import RoutesFile
from adaptwin.live.replayed import Replayed
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

UNEXPECTED = 30.0  # requests/s of each adapter, as a router counts them: too many for three on one server
NAMES = ("a00", "a01", "a03", "a04")
SLOTS = {"max_loras": 4, "max_lora_rank": 16, "max_cpu_loras": 64, "max_num_seqs": 32, "max_num_batched_tokens": 256}


def plan_on_two(folder, rate):
    """Return a plan with all adapters but one on the first server."""
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    server = Server(**SLOTS, max_model_len=1024)
    return Plan(
        PlanOptions(strategy="pack"),
        0,
        lower_bound=1,
        servers=(
            PlacedServer("gpu-0", profile.name, server, dict.fromkeys(NAMES[:3], 1.0)),
            PlacedServer("gpu-1", profile.name, server, {NAMES[3]: 1.0}),
        ),
        profiles=[profile],
        settings=server,
        workload=Workload(
            [Adapter(name, 8, rate, artifact=str(folder / "adapters" / name)) for name in NAMES],
            duration=40.0,
            lengths=Lengths.lognormal(input_mean=24, input_cv=0.5, output_mean=24, output_cv=0.5),
        ),
    )


def started(folder, *words):
    command = [sys.executable, "-m", "adaptwin", *map(str, words)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_watch_sees_what_is_sent_and_the_twin_beside_it(tiny, on_cpu, tmp_path):
    plan_on_two(tiny, 1.0).write(tmp_path / "plan.yaml")
    settings = [on_cpu.Settings(core=str(core)) for core in (0, 1)]
    with on_cpu.vllm_server(tiny, settings[0]) as one, on_cpu.vllm_server(tiny, settings[1]) as other:
        (tmp_path / "servers.yaml").write_text(f"gpu-0: {one.url}\ngpu-1: {other.url}\n")
        where = ("--servers", "servers.yaml", "--routes", "routes.yaml")
        out, err = started(tmp_path, "apply", "plan.yaml", *where, "--settle", "0s").communicate(timeout=120)
        assert "load a00, a01, a03 on gpu-0" in out, err
        replay = started(tmp_path, "replay", "plan.yaml", *where, "--window", "drain", "--out", "replay.json")
        watch = started(
            tmp_path, "watch", "--plan", "plan.yaml", "--servers", "servers.yaml", "--every", "25s", "--once", "--json"
        )
        out, err = watch.communicate(timeout=300)
        assert watch.returncode == 0, err
        replay.communicate(timeout=300)
    found = json.loads(out)
    (run,) = Replayed.read(tmp_path / "replay.json").runs
    assert (run.failed, run.rejected, run.finished) == (0, 0, run.arrived)
    assert found["decision"] == "holds"
    assert 2.0 < found["requests_per_second"] < 6.0
    assert found["servers"]["gpu-0"]["requests"] > found["servers"]["gpu-1"]["requests"] > 0.0
    assert found["servers"]["gpu-0"]["ttft"] > 0.0
    assert found["servers"]["gpu-0"]["expected"]["ttft"] > 0.0


def test_a_plan_for_unexpected_traffic_is_applied_while_requests_go_on(tiny, on_cpu, tmp_path):
    plan_on_two(tiny, 1.0).write(tmp_path / "plan.yaml")
    settings = [on_cpu.Settings(core=str(core)) for core in (0, 1)]
    with on_cpu.vllm_server(tiny, settings[0]) as one, on_cpu.vllm_server(tiny, settings[1]) as other:
        (tmp_path / "servers.yaml").write_text(f"gpu-0: {one.url}\ngpu-1: {other.url}\n")
        where = ("--servers", "servers.yaml", "--routes", "routes.yaml", "--settle", "0s")
        out, err = started(tmp_path, "apply", "plan.yaml", *where).communicate(timeout=120)
        assert "load a00, a01, a03 on gpu-0" in out, err
        where = ("--servers", "servers.yaml", "--routes", "routes.yaml")
        replay = started(tmp_path, "replay", "plan.yaml", *where, "--window", "drain", "--out", "replay.json")
        words = ("--every", "10s", "--once", "--apply", "--settle", "1s", "--drain", "30s")
        with counting_router(dict.fromkeys(NAMES, UNEXPECTED), (24, 24)) as (router, _):
            watch = started(tmp_path, "watch", "--plan", "plan.yaml", *where, "--router", router, *words)
            out, err = watch.communicate(timeout=300)
        assert watch.returncode == 3, out + err
        replay.communicate(timeout=300)
    (run,) = Replayed.read(tmp_path / "replay.json").runs
    print(f"{run.arrived} requests, {run.failed} failed, {run.rejected} rejected")
    assert (run.failed, run.rejected, run.errors) == (0, 0, {})
    assert run.finished == run.arrived > 100
    after = Plan.read(tmp_path / "plan.next.yaml")
    routes = RoutesFile.read(tmp_path / "routes.yaml").routes
    assert routes == {
        name: {server.name: server.adapters[name] for server in after.servers if name in server.adapters}
        for name in NAMES
    }
