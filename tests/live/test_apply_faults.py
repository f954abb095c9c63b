"""adaptwin apply with servers and files that are faulty: one clear line, an exit code, and no adapter unserved."""

import sys
import time

import pytest
from tests.live.test_apply import LLAMA, plan_on_two, state, with_migration

from adaptwin.live import vllm_server
from adaptwin.live.applying import tries
from adaptwin.live.applying.adapter_paths import AdapterPaths
from adaptwin.live.applying.needed_steps import needed_steps
from adaptwin.live.applying.routes_file import RoutesFile
from adaptwin.plan.migration import Step
from adaptwin.spec import read_mapping

BEFORE, AFTER = plan_on_two("abcd", "ef"), plan_on_two("abc", "def")
OVER_ONE = "--settle", "0.1s", "--drain", "20s"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Let time limits and pauses be short."""
    monkeypatch.setattr(tries, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(vllm_server, "_LOAD_TIMEOUT", 0.4)
    monkeypatch.setattr(vllm_server.VllmServer.__init__, "__defaults__", (0.4,))


class Fleet:
    """Two servers, gpu-0 with a to d and gpu-1 with e and f, and the routes to them."""

    def __init__(self, adaptwin, folder, *servers):
        self.servers, self._adaptwin, self.folder = servers, adaptwin, folder
        lines = [f"gpu-{i}: {{url: {each.url}}}\n" for i, each in enumerate(servers)]
        (folder / "servers.yaml").write_text("".join(lines))
        routes = {name: {"gpu-0" if name in "abcd" else "gpu-1": 1.0} for name in "abcdef"}
        RoutesFile(routes=routes).write(folder / "routes.yaml")

    def apply(self, *words, plan=AFTER):
        """Apply a plan, and check that no adapter was unloaded from where the routes point."""
        plan.write(self.folder / "plan.yaml")
        files = ("--servers", "servers.yaml", "--routes", "routes.yaml")
        done = self._adaptwin("apply", "plan.yaml", *files, *OVER_ONE, *words)
        assert "Traceback" not in done.err + done.out
        routes = RoutesFile.read(self.folder / "routes.yaml").routes
        for number, server in enumerate(self.servers):
            assert all(f"gpu-{number}" not in routes[name] for name in server.unloads)
        return done

    @property
    def adapters(self):
        return ["".join(sorted(each.adapters)) for each in self.servers]

    @property
    def unloads(self):
        return [each.unloads for each in self.servers]


@pytest.fixture
def fleet(serve, adaptwin, folder):
    """Start two servers, with the faults of each."""

    def start(first=None, second=None):
        return Fleet(adaptwin, folder, serve(tuple("abcd"), **(first or {})), serve(tuple("ef"), **(second or {})))

    return start


def line_of(done, code):
    """Return the one line on stderr of a call that ended with this code."""
    assert done.code == code, done.out + done.err
    (line,) = done.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"hangs": frozenset({"models"})}, "gpu-1: no answer within 0.4 s"),
        ({"hangs": frozenset({"load"})}, "gpu-1: no answer within 0.4 s"),
        (
            {"refuses_loads": "LoRA rank 64 is greater than max_lora_rank 16."},
            "gpu-1: adapter 'd' from /adapters/d was",
        ),
        (
            {"refuses_loads": "LoRA rank 64 is greater than max_lora_rank 16."},
            "LoRA rank 64 is greater than max_lora_r",
        ),
        ({"fails_first": {"load": 99}}, "gpu-1: adapter 'd' from /adapters/d was not loaded: the server answered 500"),
        ({"fails_first": {"models": 99}}, "gpu-1: GET /v1/models: the server answered 500: engine is busy"),
    ],
)
def test_a_server_that_does_not_load_leaves_routes_and_adapters_as_they_are(fleet, faults, says):
    found = fleet(second=faults)
    line = line_of(found.apply(), 4)
    assert line.startswith(f"adaptwin: {found.servers[1].url}: gpu-1: ")
    assert says in line
    assert (found.adapters, found.unloads) == (["abcd", "ef"], [[], []])
    assert RoutesFile.read(found.folder / "routes.yaml").routes["d"] == {"gpu-0": 1.0}


def test_a_server_that_hangs_while_it_unloads_is_said_and_keeps_everything_served(fleet):
    found = fleet(first={"hangs": frozenset({"unload"})})
    assert "gpu-0: no answer within 0.4 s" in line_of(found.apply(), 4)
    assert found.adapters == ["abcd", "def"]


def test_metrics_that_hang_while_draining_leave_the_adapter_loaded(fleet):
    found = fleet()
    first = found.servers[0]
    hanging = type(first.faults)(hangs=frozenset({"metrics"}))
    found.servers[1].when["load"] = lambda: setattr(first, "faults", hanging)
    assert "gpu-0: no answer within 0.4 s" in line_of(found.apply(), 4)
    assert found.unloads == [[], []]


@pytest.mark.parametrize("what", ["models", "metrics", "load", "unload"])
def test_a_server_that_fails_some_times_is_asked_again(fleet, what):
    found = fleet({"fails_first": {what: 2}}, {"fails_first": {what: 2}})
    done = found.apply()
    assert (done.code, found.adapters) == (0, ["abc", "def"]), done.err


@pytest.mark.parametrize("lost", ["d", "def"])
def test_a_target_that_loses_adapters_while_draining_stops_the_unload_and_the_next_call_mends_it(fleet, lost):
    found = fleet()
    first, second = found.servers
    left = iter([lambda: [second.adapters.pop(name) for name in lost]])
    first.when["metrics"] = lambda: (
        RoutesFile.read(found.folder / "routes.yaml").routes["d"] == {"gpu-1": 1.0} and next(left, lambda: None)()
    )
    line = line_of(found.apply(), 4)
    assert "gpu-1: adapter 'd' is routed there, and not loaded any more, so it stays loaded on gpu-0" in line
    assert "call the same command again" in line
    assert found.unloads == [[], []]
    first.when.clear()
    assert found.apply().code == 0
    assert found.adapters == ["abc", "def"]


def test_a_source_that_restarts_while_draining_is_said_and_the_next_call_mends_it(fleet):
    found = fleet()
    first = found.servers[0]
    left = iter([first.adapters.clear])
    found.servers[1].when["load"] = lambda: next(left, lambda: None)()
    assert "gpu-0: adapter 'a' is not loaded any more: call the same command again" in line_of(found.apply(), 4)
    assert found.apply().code == 0
    assert found.adapters == ["abc", "def"]


def test_a_load_that_the_list_of_models_does_not_show_is_said(fleet):
    found = fleet()
    second = found.servers[1]
    second.when["models"] = lambda: second.adapters.pop("d", None)
    assert "gpu-1: adapter 'd' was loaded, and /v1/models does not show it" in line_of(found.apply(), 4)
    assert found.unloads == [[], []]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("import time; time.sleep(60)", "did not end within 0.5 s (--command-timeout) and was stopped"),
        ("import sys; sys.exit('no\\x1b[31m proxy')", r"ended with 1: no\x1b[31m proxy; nothing is unloaded"),
        ("import sys; sys.exit(sys.stdin.read() or 'no input')", "ended with 1: no input; nothing is unloaded"),
    ],
)
def test_a_command_for_the_routes_that_fails_or_hangs_unloads_nothing_and_is_run_again(fleet, command, says):
    found = fleet()
    began = time.perf_counter()
    words = (
        "--on-routes",
        f'{sys.executable} -c "{command}"',
        "--command-timeout",
        "0.5s" if "sleep" in command else "30s",
    )
    assert says in line_of(found.apply(*words), 4)
    assert time.perf_counter() - began < 40
    assert (found.adapters, found.unloads) == (["abcd", "def"], [[], []])
    assert not RoutesFile.read(found.folder / "routes.yaml").settled
    assert found.apply().code == 0
    assert found.adapters == ["abc", "def"]


def test_the_command_is_run_without_a_shell(fleet):
    found = fleet()
    assert found.apply("--on-routes", "touch shelled; touch shelled2").code == 0
    assert (found.folder / "shelled;").exists()  # a name like any other, as there is no shell


def test_litellm_without_a_command_waits_until_the_proxy_has_been_restarted(fleet):
    found = fleet()
    done = found.apply("--litellm", "litellm.yaml")
    assert done.code == 3, done.err
    said = " ".join(done.out.split())
    assert "LiteLLM's proxy reads its configuration only when it starts: restart it, and call the same command" in said
    assert (found.adapters, found.unloads) == (["abcd", "def"], [[], []])
    again = found.apply("--litellm", "litellm.yaml")  # without a word that it was restarted
    assert (again.code, found.unloads) == (3, [[], []])
    assert found.apply("--litellm", "litellm.yaml", "--routed").code == 0
    assert found.adapters == ["abc", "def"]
    assert RoutesFile.read(found.folder / "routes.yaml").settled
    found.servers[0].adapters["d"] = "/adapters/d"  # left over, and routes are as they were
    assert found.apply("--litellm", "litellm.yaml").code == 0
    assert found.adapters == ["abc", "def"]
    bases = {
        each["model_name"]: each["litellm_params"]["api_base"] for each in read_mapping("litellm.yaml")["model_list"]
    }
    assert bases["d"] == f"{found.servers[1].url}/v1"


def test_the_word_that_the_proxy_was_restarted_is_not_believed_before_the_routes_have_changed(fleet):
    found = fleet()
    assert found.apply("--litellm", "litellm.yaml", "--routed").code == 3
    assert found.unloads == [[], []]


@pytest.mark.parametrize("words", [(), ("--routes", "routes.yaml", "--litellm", "litellm.yaml")])
def test_a_replan_that_starts_a_server_unloads_nothing_before_requests_are_routed_by_it(serve, adaptwin, folder, words):
    first, second = serve(tuple("abcdef")), serve(())
    (folder / "servers.yaml").write_text(f"gpu-0: {first.url}\ngpu-1: {second.url}\n")
    RoutesFile(routes={name: {"gpu-0": 1.0} for name in "abcdef"}).write(folder / "routes.yaml")
    steps = [Step(action="start", server="gpu-1", profile=LLAMA.name, settings=AFTER.servers[1].server)]
    steps += [Step(action="load", server="gpu-1", adapter=name) for name in "def"]
    steps += [Step(action="route", adapter=name, shares={"gpu-1": 1.0}) for name in "def"]
    steps += [Step(action="unload", server="gpu-0", adapter=name) for name in "def"]
    with_migration(AFTER, *steps).write(folder / "plan.yaml")
    done = adaptwin("apply", "plan.yaml", "--servers", "servers.yaml", *OVER_ONE, *words)
    assert (done.code, "--routed" in done.out, first.unloads, second.loads) == (3, True, [], list("def")), done.err
    second.adapters.clear()  # as if it had started again without them
    done = adaptwin("apply", "plan.yaml", "--servers", "servers.yaml", *OVER_ONE, *words, "--routed")
    assert (done.code, first.unloads, second.loads) == (0, list("def"), list("defdef")), done.out + done.err


def test_an_adapter_that_no_plan_knows_is_refused_before_it_is_unloaded():
    routes = {**{name: {"gpu-0": 1.0} for name in "abc"}, **{name: {"gpu-1": 1.0} for name in "def"}}
    routes["x"] = {"gpu-0": 0.5, "gpu-9": 0.5}
    states = {"gpu-0": state(*"abcx"), "gpu-1": state(*"def")}
    paths = AdapterPaths.of_plans([AFTER], None)
    found = needed_steps([AFTER], states, routes, paths, unload_unmanaged=True)
    assert [(step.action, step.adapter, step.shares) for step in found.steps] == [
        ("route", "x", {"gpu-9": 0.5}),
        ("unload", "x", None),
    ]
    assert needed_steps([AFTER], states, routes, paths).steps == ()


def test_the_steps_say_which_adapter_goes_where(fleet, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = fleet()
    out = found.apply("--dry-run", plan=plan_on_two("ab", "cdef")).out
    assert "route c, d to gpu-1" in out
    assert all(len(line) <= 80 for line in out.splitlines())
