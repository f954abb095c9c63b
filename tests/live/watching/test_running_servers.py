"""adaptwin watch with stand-in servers: what it sees, decides, writes and applies, and what goes wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest
from tests.live.small_plans import placed, plan_of
from tests.live.stand_in_server import BLOCK_SIZE, BLOCKS, MAX_MODEL_LEN
from tests.live.watching.router_stand_in import counting_router

from adaptwin import Plan, load_profile
from adaptwin.live.applying.routes_file import RoutesFile

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
SETTINGS = {"max_model_len": MAX_MODEL_LEN, "gpu_memory_utilization": 0.92, "kv_cache_tokens": BLOCKS * BLOCK_SIZE}
CALM = dict.fromkeys("abcdef", 0.5)
BUSY = {**CALM, "a": 30.0, "b": 30.0, "c": 30.0}  # more than the first server can bear
QUICK = ("--plan", "plan.yaml", "--servers", "servers.yaml", "--every", "2s", "--once")


@pytest.fixture
def two(serve, folder):
    """Start two servers as planned, and write plan and addresses."""
    servers = [serve(tuple("abc")), serve(tuple("def"))]
    plan = plan_of(
        LLAMA,
        placed(LLAMA, "gpu-0", "abc", 8, **SETTINGS),
        placed(LLAMA, "gpu-1", "def", 8, **SETTINGS),
        rates=CALM,
    )
    plan.write(folder / "plan.yaml")
    (folder / "servers.yaml").write_text("".join(f"gpu-{i}: {{url: {each.url}}}\n" for i, each in enumerate(servers)))
    return servers


def test_a_plan_that_holds_is_said_with_measured_and_expected_figures(two, adaptwin, folder):
    with counting_router(CALM) as (router, _):
        done = adaptwin("watch", *QUICK, "--router", router, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["decision"], found["source"], found["failures"]) == ("holds", "LiteLLM", [])
    assert found["requests_per_second"] == pytest.approx(3.0, rel=0.1)
    assert found["servers"]["gpu-0"]["requests"] == 0.0
    assert found["servers"]["gpu-0"]["expected"]["tokens"] > 0.0
    assert found["servers"]["gpu-1"]["headroom"] > 0.0
    assert (folder / "plan.watch.sqlite").exists()
    assert not (folder / "plan.next.yaml").exists()


def test_a_plan_that_does_not_hold_gets_another_one_which_is_written(two, adaptwin, folder):
    note = "import sys; open('told', 'w').write(sys.argv[-1])"
    with counting_router(BUSY) as (router, _):
        done = adaptwin("watch", *QUICK, "--router", router, "--on-plan", f'{sys.executable} -c "{note}"')
    assert done.code == 3, done.err
    assert "2 GPUs do not hold" in done.out
    assert "gpu-0: 3 adapters starved" in done.out
    found = Plan.read(folder / "plan.next.yaml")
    assert found.verified
    assert found.migration.moves > 0
    assert (folder / "told").read_text() == "plan.next.yaml"
    assert [set(each.adapters) for each in two] == [set("abc"), set("def")]


def test_the_other_plan_is_applied_where_that_is_asked_for(serve, folder, adaptwin):
    servers = [serve(tuple("abcdef")), serve(tuple("g"))]
    names = "abcdefg"
    plan = plan_of(
        LLAMA,
        placed(LLAMA, "gpu-0", "abcdef", 8, **SETTINGS),
        placed(LLAMA, "gpu-1", "g", 8, **SETTINGS),
        rates=dict.fromkeys(names, 0.5),
    )
    plan.write(folder / "plan.yaml")
    (folder / "servers.yaml").write_text("".join(f"gpu-{i}: {each.url}\n" for i, each in enumerate(servers)))
    how = ("--routes", "routes.yaml", "--settle", "0.2s", "--drain", "5s")
    missing = adaptwin("watch", *QUICK, "--apply", *how)
    assert (missing.code, "routes.yaml: is not there: call 'adaptwin apply'" in missing.err) == (1, True)
    assert adaptwin("apply", "plan.yaml", "--servers", "servers.yaml", *how).code == 0
    with counting_router(dict.fromkeys(names, 4.0)) as (router, _):
        done = adaptwin("watch", *QUICK, "--router", router, "--apply", *how)
    assert done.code == 3, done.out + done.err
    found = Plan.read(folder / "plan.next.yaml")
    assert found.gpus == 2, done.out
    assert [set(each.adapters) for each in servers] == [set(server.adapters) for server in found.servers]
    routes = RoutesFile.read(folder / "routes.yaml")
    assert routes.settled
    assert set(routes.routes) == set(names)


def test_adapters_that_a_server_has_lost_are_loaded_again_where_plans_are_applied(two, adaptwin):
    apply = ("--routes", "routes.yaml", "--settle", "0.2s", "--drain", "5s")
    adaptwin("apply", "plan.yaml", "--servers", "servers.yaml", *apply)
    del two[0].adapters["b"]
    said = adaptwin("watch", *QUICK)
    assert "b" not in two[0].adapters
    assert "gpu-0" in said.out
    done = adaptwin("watch", *QUICK, "--apply", *apply)
    assert done.code == 0, done.out + done.err
    assert "what servers had lost is loaded again" in done.out
    assert set(two[0].adapters) == set("abc")
    assert [set(each.unloads) for each in two] == [set(), set()]


def test_without_a_router_requests_are_shared_as_planned_and_this_is_said(two, adaptwin):
    done = adaptwin("watch", *QUICK, "--json")
    assert (done.code, json.loads(done.out)["source"]) == (0, "vLLM, shared as planned")


def test_names_that_no_plan_has_are_said(two, adaptwin):
    with counting_router({**CALM, "stranger": 1.0}) as (router, _):
        done = adaptwin("watch", *QUICK, "--router", router)
    assert done.code == 0
    assert "requests name models that no plan has: stranger" in done.out


def test_a_server_that_is_gone_is_said_and_the_others_are_watched(two, adaptwin, folder):
    (folder / "servers.yaml").write_text(f"gpu-0: {two[0].url}\ngpu-1: http://127.0.0.1:9\n")
    with counting_router(CALM) as (router, _):
        done = adaptwin("watch", *QUICK, "--router", router)
    assert done.code == 0
    assert "gpu-1 cannot be read: cannot be reached: connection refused" in done.out


def test_no_server_that_answers_ends_the_watch(adaptwin, two, folder):
    (folder / "servers.yaml").write_text("gpu-0: http://127.0.0.1:9\ngpu-1: http://127.0.0.1:10\n")
    done = adaptwin("watch", *QUICK)
    assert done.code == 4
    assert "gpu-0: cannot be reached: connection refused" in done.err


def test_a_server_that_hangs_is_said(serve, folder, adaptwin):
    servers = [serve(tuple("abc")), serve(tuple("def"), hangs=frozenset({"metrics"}))]
    plan = plan_of(LLAMA, placed(LLAMA, "gpu-0", "abc", 8), placed(LLAMA, "gpu-1", "def", 8), rates=CALM)
    plan.write(folder / "plan.yaml")
    (folder / "servers.yaml").write_text("".join(f"gpu-{i}: {each.url}\n" for i, each in enumerate(servers)))
    done = adaptwin("watch", *QUICK)
    assert done.code == 0
    assert "gpu-1 cannot be read: no answer within 10 s" in done.out


def test_a_router_that_is_gone_leaves_the_traffic_unknown(two, adaptwin):
    with counting_router(CALM) as (router, handler):
        handler.is_gone = True
        done = adaptwin("watch", *QUICK, "--router", router)
    assert done.code == 4
    assert "unknown whether the plan holds" in done.out
    assert "the router's counters are not known" in done.out


def test_a_server_that_restarts_in_the_middle_is_said(two, adaptwin):
    reads = []

    def restart():
        reads.append(1)
        two[0].engine.counts["request_success"] = 100 if len(reads) == 1 else 0

    two[0].when["metrics"] = restart
    with counting_router(CALM) as (router, _):
        done = adaptwin("watch", *QUICK, "--router", router)
    assert "gpu-0: its counters have begun again, so it has restarted" in done.out


def test_keys_stand_in_no_file_and_no_output(serve, folder, adaptwin, monkeypatch):
    server = serve(tuple("abcdef"), api_key="very-secret")
    plan = plan_of(LLAMA, placed(LLAMA, "gpu-0", "abcdef", 8), rates=CALM)
    plan.write(folder / "plan.yaml")
    (folder / "servers.yaml").write_text(f"gpu-0: {{url: {server.url}, api_key_env: KEY_OF_GPU}}\n")
    monkeypatch.setenv("KEY_OF_GPU", "very-secret")
    done = adaptwin("watch", *QUICK, "--json")
    assert done.code == 0, done.err
    every = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
    assert not any(b"very-secret" in text for text in [*every, done.out.encode(), done.err.encode()])


def test_metrics_are_served_while_the_watch_goes_on_and_ctrl_c_ends_it(two, folder):
    port = _free_port()
    words = ["--plan", "plan.yaml", "--servers", "servers.yaml", "--every", "1s", "--metrics", f"127.0.0.1:{port}"]
    command = [sys.executable, "-m", "adaptwin", "watch", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as watch:
        page = _page_with(f"http://127.0.0.1:{port}/metrics", "adaptwin_plan_holds 1.0")
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=60)
    assert 'adaptwin_server_up{server="gpu-0"} 1.0' in page, err
    assert 'adaptwin_decisions_total{kind="holds"}' in page
    assert "2 GPUs hold" in out
    assert "the history is whole, and the same command goes on" in err
    assert watch.returncode == 130


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _page_with(url, text):
    until = time.monotonic() + 120.0
    page = ""
    while text not in page and time.monotonic() < until:
        time.sleep(0.2)
        try:
            with urlopen(url, timeout=5) as answer:  # noqa: S310 - of this test
                page = answer.read().decode()
        except OSError:
            continue
    return page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--plan: missing"),
        (("--plan", "plan.yaml"), "--servers: give --servers, or --simulate"),
        (("--plan", "plan.yaml", "--servers", "servers.yaml", "--simulate", "r.csv"), "--servers: give --servers, or"),
        (("--plan", "plan.yaml", "--servers", "servers.yaml", "--report", "r.html"), "--report: goes with --simulate"),
        (("--plan", "plan.yaml", "--simulate", "r.csv", "--apply"), "--apply: goes without --simulate"),
        (("--plan", "plan.yaml", "--servers", "servers.yaml", "--litellm", "l.yaml"), "--litellm: goes with --apply"),
        (("--plan", "plan.yaml", "--servers", "servers.yaml", "--apply"), "--routes: missing"),
        (
            ("--plan", "plan.yaml", "--servers", "servers.yaml", "--metrics", "here"),
            "--metrics: 'here' is not HOST:PORT",
        ),
        (
            ("--plan", "plan.yaml", "--servers", "servers.yaml", "--router-key-env", "NOT_SET"),
            "--router-key-env: the env",
        ),
        (("--plan", "plan.yaml", "--simulate", "none.csv"), "none.csv"),
        (
            ("--plan", "plan.yaml", "--servers", "servers.yaml", "--out", "plan.watch.sqlite"),
            "plan.watch.sqlite: cannot be written: it is another output of the same command",
        ),
        (
            ("--plan", "plan.yaml", "--servers", "servers.yaml", "--every", "1d"),
            "--look-back: the 3600 s to look back to are shorter than a round of 86400 s",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(two, adaptwin, words, message):
    done = adaptwin("watch", *words)
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err
