"""adaptwin replay with servers that are faulty: one clear line, an exit code, and what was measured until then."""

import socket
import time

import pytest

from adaptwin.cli.replay import replay_command
from adaptwin.file_kinds import REPLAY, kinds_of
from adaptwin.live.replayed import Replayed

LONG = 60.0  # seconds in which something happens on the slowest machine


@pytest.fixture
def replayed(adaptwin, folder):
    """Replay the fleet on servers and return the outcome, and the results if there are any."""
    pytest.importorskip("aiohttp", reason="servers need aiohttp: pip install 'adaptwin[live]'")

    def call(*servers, words=()):
        urls = [word for server in servers for word in ("--url", getattr(server, "url", server))]
        done = adaptwin("replay", "fleet.yaml", *urls, "--out", "out.yaml", "--sample-every", "0.1", *words)
        found = folder / "out.yaml"
        return done, Replayed.read(found) if found.exists() else None

    return call


def line_of(done):
    """Return what the program says on stderr at the end, in one line; it has not said anything else."""
    lines = [line for line in done.err.splitlines() if "results written to" not in line]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("adaptwin: ")
    assert "Traceback" not in done.err + done.out
    return lines[0]


def test_a_sound_server(replayed, serve, folder):
    done, found = replayed(serve())
    (run,) = found.runs
    assert (done.code, done.err) == (0, "results written to out.yaml\n")
    assert kinds_of(folder / "out.yaml") == [REPLAY]
    assert run.arrived == run.adapters["arrivals"].sum()
    assert run.arrived > 20
    assert (found.ended_early, run.failed, run.rejected) == ("", 0, 0)
    assert f"{run.arrived:,} requests in 1.0 s to 1 server (one server), seed 0, window cut" in done.out
    assert "Ended early" not in done.out


def test_the_seed_and_the_duration_can_be_given(replayed, serve):
    _, found = replayed(serve(), words=["--seed", "5", "--duration", "0.5s", "--window", "drain"])
    (run,) = found.runs
    assert (run.seed, run.duration, run.window, run.workload.duration) == (5, 0.5, "drain", 0.5)
    assert run.finished == run.arrived


def test_json_is_all_there_is_on_stdout(replayed, serve, folder):
    done, found = replayed(serve(fails_from=5), words=["--json"])
    assert done.code == 4
    (folder / "stdout.json").write_text(done.out)
    assert Replayed.read(folder / "stdout.json").ended_early == found.ended_early != ""


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"fails_from": 6}, "20 requests in a row failed, the last one: 500: EngineCore encountered an issue."),
        ({"fails_from": 6, "fails_with": "bad\x1b[31m\nnews"}, r"the last one: 500: bad\x1b[31m news"),
        ({"dies_at": 6}, ""),
        ({"loses": "a0", "loses_from": 1, "hangs": frozenset({"completions"})}, "404: The model `a0` does not exist."),
    ],
)
def test_a_server_that_fails_on_the_way_ends_the_replay(replayed, serve, faults, says):
    began = time.perf_counter()
    done, found = replayed(serve(**faults), words=["--duration", "300s"])
    assert time.perf_counter() - began < LONG
    line = line_of(done)
    assert done.code == 4
    assert line.startswith("adaptwin: replay: the replay ended early: http://127.0.0.1:")
    assert says in line
    assert found.ended_early in line
    (run,) = found.runs
    assert 0 < run.duration < LONG
    assert 0 < run.failed <= run.arrived
    assert "Ended early" in done.out


def test_a_server_that_hangs_ends_the_replay_after_the_timeout(replayed, serve):
    server = serve(hangs=frozenset({"completions"}), hangs_from=4)
    done, found = replayed(server, words=["--duration", "300s", "--timeout", "2s"])
    assert done.code == 4
    assert "20 requests in a row failed, the last one: no answer within 2 s" in line_of(done)
    assert found.runs[0].finished == 3
    assert set(found.runs[0].errors) == {"no answer within 2 s"}


def test_requests_that_hang_fail_in_a_drained_window(replayed, serve):
    """They are too few to end it early."""
    server = serve(hangs=frozenset({"completions"}), hangs_from=1)
    done, found = replayed(server, words=["--duration", "0.3s", "--timeout", "2s", "--window", "drain"])
    (run,) = found.runs
    assert (done.code, found.ended_early) == (0, "")
    assert run.failed == run.arrived > 0
    assert "no answer within 2 s" in done.out


def test_a_server_whose_metrics_hang_too_is_dead(replayed, serve):
    server = serve(hangs=frozenset({"completions", "metrics"}), hangs_from=4)
    done, found = replayed(server, words=["--duration", "300s", "--timeout", "1s"])
    assert done.code == 4
    assert "no answer within 1 s" in line_of(done)
    assert found.ended_early


def test_answers_that_break_off_are_failures(replayed, serve):
    done, found = replayed(serve(breaks_after=2), words=["--duration", "300s"])
    (run,) = found.runs
    assert run.failed > 0
    assert run.finished == 0
    assert set(run.errors) == {"the connection broke in the middle of the answer"}
    assert "the connection broke in the middle of the answer" in done.out
    done, found = replayed(serve(breaks_after=2), words=["--window", "drain", "--duration", "0.3s"])
    assert (done.code, found.runs[0].failed) == (0, found.runs[0].arrived)


def test_a_lost_adapter_is_told_apart_from_a_dead_server(replayed, serve):
    done, found = replayed(serve(loses="a1", loses_from=10))
    (run,) = found.runs
    assert (done.code, found.ended_early) == (0, "")
    assert set(run.errors) == {"404: The model `a1` does not exist."}
    assert 0 < run.failed <= run.adapters["arrivals"][1]
    assert "The model `a1` does not exist." in done.out


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"api_key": "secret"}, "GET /v1/models: the server asks for an API key: give --api-key, or set VLLM_API_KEY"),
        ({"has_lora": False}, "2 of 2 adapters are not loaded there: a0, a1; load them with"),
        ({"page": "<html>nginx</html>", "status": 404}, "GET /v1/models: the server answered 404: <html>nginx</html>"),
        ({"page": "<html>nginx</html>"}, "/v1/models is no JSON, so this is no server with the API of OpenAI"),
        ({"page": "\x1b]0;title\x07", "status": 502}, r"the server answered 502: \x1b]0;title\x07"),
        ({"hangs": frozenset({"models"})}, "no answer within 1 s"),
    ],
)
def test_a_server_that_cannot_be_used_is_said_before_anything_is_sent(replayed, serve, faults, says):
    server = serve(**faults)
    done, found = replayed(server, words=["--timeout", "1s"])
    line = line_of(done)
    assert (done.code, done.out, found, server.received) == (4, "", None, [])
    assert line.startswith(f"adaptwin: {server.url}: ")
    assert says in line


def test_with_its_key_a_server_can_be_used(replayed, serve, monkeypatch):
    server = serve(api_key="secret")
    assert replayed(server, words=["--api-key", "secret", "--duration", "0.2s"])[0].code == 0
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert replayed(server, words=["--duration", "0.2s"])[0].code == 0


def test_no_server_at_all(replayed):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done, found = replayed(url)
    assert (done.code, found) == (4, None)
    assert line_of(done) == f"adaptwin: {url}: cannot be reached: connection refused"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--url", "ftp://x"], "--url: 'ftp://x' is no address of a server, such as http://localhost:8000"),
        (["--url", "x", "--url", "http://x/"], "--url: http://x is given twice"),
        (["--url", "gpu-0=x"], "--url: 'gpu-0=x' is no address of a server"),
        (
            ["--url", "x", "--routing", "plan"],
            "--routing: fleet.yaml is no plan, and only a plan says which adapter goes where",
        ),
        (["--url", "x", "--warmup", "0.7s"], "--warmup: 0.7 must be from 0 to 0.5"),
        (["--url", "x", "--prompts", "none.txt"], "none.txt"),
        (["--url", "x", "--api-key", "a\nb"], "--api-key: the API key has a line break"),
        (["--url", "x", "--out", "fleet.yaml"], "fleet.yaml: cannot be written: it is an input"),
        ([], "--url"),
    ],
)
def test_wrong_input(adaptwin, words, says):
    done = adaptwin("replay", "fleet.yaml", *words)
    assert (done.code, done.out) == (1, "")
    assert says in line_of(done)


def test_what_is_no_fleet_and_no_plan(adaptwin, folder):
    (folder / "results.yaml").write_text("runs: []\nclient: {}\n")
    done = adaptwin("replay", "results.yaml", "--url", "x")
    assert done.code == 1
    assert "this is the results of a replay, not" in line_of(done)


def test_the_help_names_the_exit_code():
    assert "Exit code 4" in replay_command.__doc__
