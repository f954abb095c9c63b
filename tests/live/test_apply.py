"""adaptwin apply: running servers become those of a plan, and no request of an adapter is ever refused."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from tests.live.small_plans import placed, plan_of
from tests.live.stand_in_server import BLOCK_SIZE, BLOCKS, MAX_MODEL_LEN

from adaptwin import load_profile
from adaptwin.live.applying.adapter_paths import AdapterPaths
from adaptwin.live.applying.needed_steps import needed_steps
from adaptwin.live.applying.routes_file import RoutesFile
from adaptwin.live.applying.running_fleet import ServerState
from adaptwin.live.listed_models import ListedModel, ListedModels
from adaptwin.live.replayed import Replayed
from adaptwin.plan.migration import Migration, Step
from adaptwin.spec import read_mapping

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
RATES = dict.fromkeys("abcdef", 8.0)
AS_THEY_RUN = {"max_model_len": MAX_MODEL_LEN, "gpu_memory_utilization": 0.92, "kv_cache_tokens": BLOCKS * BLOCK_SIZE}
QUICK = ("--settle", "0.5s", "--drain", "20s")


def plan_on_two(first, second):
    """Return a plan of two servers with these adapters, one letter each."""
    servers = (placed(LLAMA, name, each, 8, **AS_THEY_RUN) for name, each in (("gpu-0", first), ("gpu-1", second)))
    return plan_of(LLAMA, *servers, rates=RATES)


def state(*adapters):
    base = ListedModel("base", LLAMA.model.name, None, 4096)
    return ServerState(
        ListedModels(base, tuple(ListedModel(name, f"/adapters/{name}", "base", None) for name in adapters)), None, None
    )


def words_of(steps):
    return [(step.action, step.server, step.adapter) for step in steps]


def needed(first, second, loaded_first, loaded_second, routes=None, **options):
    plan = plan_on_two(first, second)
    states = {"gpu-0": state(*loaded_first), "gpu-1": state(*loaded_second)}
    return needed_steps([plan], states, routes, AdapterPaths.of_plans([plan], None), **options)


def test_loads_come_before_routes_and_unloads_at_the_end():
    routes = {name: {"gpu-0": 1.0} for name in "abcdef"}
    found = needed("abc", "def", "abcd", "ef", routes)
    assert words_of(found.steps) == [
        ("load", "gpu-1", "d"),
        *(("route", None, name) for name in "def"),
        ("unload", "gpu-0", "d"),
    ]


def test_a_fleet_that_is_as_planned_needs_nothing():
    routes = {**{name: {"gpu-0": 1.0} for name in "abc"}, **{name: {"gpu-1": 1.0} for name in "def"}}
    assert needed("abc", "def", "abc", "def", routes) == ((), {})


def test_adapters_that_the_plan_does_not_know_are_left_alone_unless_told_otherwise():
    routes = {name: {"gpu-0": 1.0} for name in "abcdef"}
    found = needed("abcdef", "", "abcdefx", "y", routes)
    assert (words_of(found.steps), found.unmanaged) == ([], {"gpu-0": ("x",)})
    found = needed("abcde", "f", "abcdefx", "fy", routes, unload_unmanaged=True)
    assert words_of(found.steps)[-3:] == [("unload", "gpu-0", "f"), ("unload", "gpu-0", "x"), ("unload", "gpu-1", "y")]


@pytest.fixture
def two(serve, folder):
    """Start two servers, and write the file with their addresses."""
    servers = [serve(tuple("abcd")), serve(tuple("ef"))]
    (folder / "servers.yaml").write_text("".join(f"gpu-{i}: {{url: {each.url}}}\n" for i, each in enumerate(servers)))
    return servers


@pytest.fixture
def applied(adaptwin, folder):
    """Apply a plan to the servers and return the outcome."""

    def call(plan, *words, waits=QUICK):
        plan.write(folder / "plan.yaml")
        done = adaptwin("apply", "plan.yaml", "--servers", "servers.yaml", "--routes", "routes.yaml", *waits, *words)
        assert "Traceback" not in done.err + done.out
        return done

    return call


def test_the_servers_have_the_plans_adapters_afterwards_and_a_second_call_finds_nothing_to_do(two, applied, folder):
    done = applied(plan_on_two("abc", "def"))
    assert done.code == 0, done.err
    assert [set(each.adapters) for each in two] == [set("abc"), set("def")]
    routes = RoutesFile.read(folder / "routes.yaml").routes
    assert routes == {**{name: {"gpu-0": 1.0} for name in "abc"}, **{name: {"gpu-1": 1.0} for name in "def"}}
    assert "load d on gpu-1" in done.out
    again = applied(plan_on_two("abc", "def"))
    assert (again.code, "nothing to load, route or unload" in again.out) == (0, True)


def test_a_dry_run_changes_nothing(two, applied, folder):
    done = applied(plan_on_two("abc", "def"), "--dry-run")
    assert done.code == 0
    assert "none is taken in a dry run" in done.out
    assert [set(each.adapters) for each in two] == [set("abcd"), set("ef")]
    assert not (folder / "routes.yaml").exists()


def test_curl_commands_name_no_key(two, applied, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "very-secret")
    done = applied(plan_on_two("abc", "def"), "--print-curl")
    assert done.code == 0
    assert f"curl -fsS -X POST {two[1].url}/v1/load_lora_adapter" in done.out
    assert '"lora_name": "d"' in done.out
    assert "$VLLM_API_KEY" in done.out
    assert "very-secret" not in done.out + done.err


def test_a_refused_load_leaves_the_routes_and_unloads_nothing(two, applied, folder):
    plan = plan_on_two("abc", "def")
    elsewhere = [
        each.model_copy(update={"artifact": "/elsewhere/d"}) if each.name == "d" else each
        for each in plan.workload.adapters
    ]
    workload = plan.workload.model_copy(update={"adapters": tuple(elsewhere)})
    done = applied(plan.model_copy(update={"workload": workload}))
    assert done.code == 4
    assert "adapter 'd' from /elsewhere/d was not loaded" in done.err
    assert [set(each.adapters) for each in two] == [set("abcd"), set("ef")]
    assert not (folder / "routes.yaml").exists()


def test_a_server_that_is_gone_is_said_before_anything_is_done(two, applied, folder):
    (folder / "servers.yaml").write_text(f"gpu-0: {two[0].url}\ngpu-1: http://127.0.0.1:9\n")
    done = applied(plan_on_two("abc", "def"))
    assert done.code == 4
    assert "cannot be reached" in done.err
    assert set(two[0].adapters) == set("abcd")


def test_a_command_that_fails_after_the_routes_changed_unloads_nothing_and_is_run_again(two, applied, folder):
    done = applied(plan_on_two("abc", "def"), "--on-routes", f"{sys.executable} -c 'raise SystemExit(7)'")
    assert done.code == 4
    assert "ended with 7" in done.err
    assert [set(each.adapters) for each in two] == [set("abcd"), set("def")]
    writing = f'{sys.executable} -c \'open("ran", "w").close()\''
    assert applied(plan_on_two("abc", "def"), "--on-routes", writing).code == 0
    assert (folder / "ran").exists()
    assert [set(each.adapters) for each in two] == [set("abc"), set("def")]


def test_without_a_routes_file_nothing_is_unloaded_until_the_requests_are_routed(two, adaptwin, folder):
    plan_on_two("abc", "def").write(folder / "plan.yaml")
    first = adaptwin("apply", "plan.yaml", "--servers", "servers.yaml", *QUICK)
    assert (first.code, "nothing was routed or unloaded" in " ".join(first.out.split())) == (3, True), first.out
    assert [set(each.adapters) for each in two] == [set("abcd"), set("def")]
    second = adaptwin("apply", "plan.yaml", "--servers", "servers.yaml", "--routed", *QUICK)
    assert second.code == 0, second.out + second.err
    assert [set(each.adapters) for each in two] == [set("abc"), set("def")]


def with_migration(plan, *steps):
    """Return a plan with the steps from the plan before."""
    counts = {"gpus_before": 1, "extra_gpus": 0, "moves": 0, "restarts": 0, "added": 0, "departed": 0}
    return plan.model_copy(update={"migration": Migration(**counts, steps=steps)})


def test_a_replan_that_starts_a_server_waits_for_it_and_then_goes_on(serve, applied, folder):
    first = serve(tuple("abcdef"))
    plan = plan_on_two("abc", "def")
    steps = [Step(action="start", server="gpu-1", profile=LLAMA.name, settings=plan.servers[1].server)]
    steps += [Step(action="load", server="gpu-1", adapter=name) for name in "def"]
    steps += [Step(action="route", adapter=name, shares={"gpu-1": 1.0}) for name in "def"]
    steps += [Step(action="unload", server="gpu-0", adapter=name) for name in "def"]
    plan = with_migration(plan, *steps)
    (folder / "servers.yaml").write_text(f"gpu-0: {first.url}\ngpu-1: http://127.0.0.1:9\n")
    missing = applied(plan)
    assert (missing.code, "routes.yaml: is not there: apply the plan that runs first" in missing.err) == (1, True)
    RoutesFile(routes={name: {"gpu-0": 1.0} for name in "abcdef"}).write(folder / "routes.yaml")
    waiting = applied(plan)
    assert (waiting.code, "Now start gpu-1" in waiting.out) == (3, True), waiting.out + waiting.err
    assert set(first.adapters) == set("abcdef")
    second = serve(())
    (folder / "servers.yaml").write_text(f"gpu-0: {first.url}\ngpu-1: {second.url}\n")
    done = applied(plan)
    assert done.code == 0, done.out + done.err
    assert (set(first.adapters), set(second.adapters), second.loads) == (set("abc"), set("def"), list("def"))
    routes = RoutesFile.read(folder / "routes.yaml")
    assert routes.routes == {name: {"gpu-0" if name in "abc" else "gpu-1": 1.0} for name in "abcdef"}
    second.adapters.clear()  # as if it had started again without its adapters
    again = applied(plan)
    assert (again.code, set(second.adapters), second.loads) == (0, set("def"), list("defdef")), again.out


def test_weights_that_changed_under_one_path_are_loaded_in_place_once(two, applied):
    plan = with_migration(plan_on_two("abcd", "ef"), Step(action="load", server="gpu-0", adapter="c"))
    assert applied(plan).code == 0
    assert two[0].loads == ["c"]
    assert applied(plan).code == 0
    assert two[0].loads == ["c"]


def test_an_adapter_that_keeps_requests_stays_loaded_and_is_not_counted(two, applied):
    assert applied(plan_on_two("abcd", "ef")).code == 0
    two[0].add_stuck("d")
    done = applied(plan_on_two("abc", "def"), waits=("--settle", "0.5s", "--drain", "1s"))
    assert done.code == 3, done.out
    assert "2 of 3 steps taken." in done.out
    assert "d is still loaded on gpu-0: its requests did not end in time." in done.out
    assert "d" in two[0].adapters


def test_settings_that_differ_are_said_and_need_a_restart(two, applied):
    plan = plan_on_two("abc", "def")
    server = plan.servers[0]
    fewer = server.model_copy(update={"server": server.server.model_copy(update={"gpu_memory_utilization": 0.8})})
    done = applied(plan.model_copy(update={"servers": (fewer, plan.servers[1])}))
    assert done.code == 3
    assert "gpu-0 needs a restart: gpu_memory_utilization is 0.92, and 0.8 was expected" in " ".join(done.out.split())


def test_the_command_gets_the_routes_file(two, applied, folder):
    copying = f"{sys.executable} -c 'import shutil, sys; shutil.copy(sys.argv[1], \"seen.yaml\")'"
    assert applied(plan_on_two("abc", "def"), "--on-routes", copying).code == 0
    seen, settled = (read_mapping(folder / name) for name in ("seen.yaml", "routes.yaml"))
    assert seen == {**settled, "settled": False}


def test_litellms_configuration_is_written_with_the_routes(two, applied, folder):
    assert applied(plan_on_two("abc", "def"), "--litellm", "litellm.yaml", "--on-routes", "true").code == 0
    models = read_mapping(folder / "litellm.yaml")["model_list"]
    found = {each["model_name"]: each["litellm_params"]["api_base"] for each in models}
    assert found == {name: f"{two[name in 'def'].url}/v1" for name in "abcdef"}


def test_a_key_of_each_server_comes_from_the_environment(serve, applied, folder, monkeypatch):
    servers = [serve(tuple("abcd"), api_key="one"), serve(tuple("ef"), api_key="two")]
    lines = [f"gpu-{i}: {{url: {each.url}, api_key_env: KEY_{i}}}\n" for i, each in enumerate(servers)]
    (folder / "servers.yaml").write_text("".join(lines))
    missing = applied(plan_on_two("abc", "def"))
    assert (missing.code, "the environment has no 'KEY_0'" in missing.err) == (1, True)
    monkeypatch.setenv("KEY_0", "one")
    monkeypatch.setenv("KEY_1", "two")
    assert applied(plan_on_two("abc", "def")).code == 0
    assert [set(each.adapters) for each in servers] == [set("abc"), set("def")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpu-0: http://a:1\n", "the plan's server 'gpu-1' is missing"),
        ("gpu-0: http://a:1\ngpu-1: http://a:1\n", "is given twice"),
        ("gpu-0: http://a:1\ngpu-2: http://b:1\n", "gpu-2"),
        ("gpu-0: {url: 'ftp://a'}\ngpu-1: http://b:1\n", "gpu-0.url"),
        ("gpu-0: {url: http://a:1, key: x}\ngpu-1: http://b:1\n", "gpu-0.key"),
        ("gpu-0: {url: http://a:1, api_key: secret-1}\ngpu-1: http://b:1\n", "gpu-0.api_key: keys stand in no file"),
        ("gpu-0: {url: http://a:1, token: secret-1}\ngpu-1: http://b:1\n", "gpu-0.token"),
        (
            "gpu-0: {url: http://a:1, api_key_env: secret-1}\ngpu-1: http://b:1\n",
            "gpu-0.api_key_env: expected the name",
        ),
        ("gpu-0: {url: http://a:1, api_key_env: '$(touch x)'}\ngpu-1: http://b:1\n", "gpu-0.api_key_env: expected"),
        ("gpu-0: {url: 'http://u:secret-1@a:1'}\ngpu-1: http://b:1\n", "needs no user in its address"),
        ("gpu-0: {url: http://a:1, api_key_env: A, api_key_file: b}\ngpu-1: http://b:1\n", "give one of them"),
        ("gpu-0: {url: http://a:1}\ngpu-0: {url: http://b:1}\n", "gpu-0"),
        ("gpu-0: [http://a:1]\ngpu-1: http://b:1\n", "gpu-0: expected an address, or a mapping with url"),
        ("gpu-0: !!python/object/apply:os.system ['touch pwned']\ngpu-1: http://b:1\n", "python/object"),
    ],
)
def test_a_wrong_servers_file_is_said_with_its_field(applied, folder, text, says):
    (folder / "servers.yaml").write_text(text)
    done = applied(plan_on_two("abc", "def"))
    assert done.code == 1
    assert says in done.err
    assert "servers.yaml" in done.err
    assert "secret-1" not in done.err + done.out
    assert len(done.err.splitlines()) == 1
    assert not (folder / "pwned").exists()


def start(folder, *words):
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [sys.executable, "-m", "adaptwin", *map(str, words)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_no_request_fails_while_a_plan_is_applied_even_if_it_is_killed_half_way(two, applied, folder):
    first, second = plan_on_two("abcd", "ef"), plan_on_two("ef", "abcd")
    assert applied(first).code == 0
    second.write(folder / "second.yaml")
    replay = start(
        folder, "replay", "plan.yaml", "--servers", "servers.yaml", "--routes", "routes.yaml", "--duration", "20s",
        "--window", "drain", "--out", "replay.json", "--timeout", "30s",
    )  # fmt: skip
    until = time.perf_counter() + 60
    while len(two[0].received) < 20 and time.perf_counter() < until:
        time.sleep(0.05)
    words = ("apply", "second.yaml", "--servers", "servers.yaml", "--routes", "routes.yaml", *QUICK)
    killed = start(folder, *words)
    killer = threading.Timer(3.0, killed.kill)
    killer.start()
    killed.communicate(timeout=60)
    again = start(folder, *words)
    _, err = again.communicate(timeout=90)
    assert again.returncode == 0, err
    _, err = replay.communicate(timeout=90)
    assert replay.returncode == 0, err
    (run,) = Replayed.read(folder / "replay.json").runs
    assert (run.failed, run.rejected, run.errors) == (0, 0, {})
    assert run.finished == run.arrived > 300
    assert [set(each.adapters) for each in two] == [set("ef"), set("abcd")]
    late = [each.fields["model"] for each in two[1].received if each.fields["model"] in "abcd"]
    assert late
    assert json.loads((folder / "replay.json").read_text())["routing"] == "routes file"
