"""adaptwin serve: what it refuses, before it listens."""

import socket

import pytest

TOKEN = "ADAPTWIN_TOKEN"


@pytest.fixture(autouse=True)
def without_token(monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "--host: 0.0.0.0 can be reached from elsewhere: set ADAPTWIN_TOKEN"),
        (("--allowed-host", "plans.example"), "--allowed-host: the page can be reached from elsewhere"),
    ],
)
def test_beyond_this_machine_it_needs_a_token(adaptwin, words, said):
    done = adaptwin("serve", *words)
    assert done.code == 1
    assert said in " ".join(done.err.split())


@pytest.mark.parametrize("token", ["short", "with space", "semi;colon", "ünïcode-token"])
def test_a_token_that_no_cookie_can_hold_is_refused(adaptwin, monkeypatch, token):
    monkeypatch.setenv(TOKEN, token)
    done = adaptwin("serve")
    assert done.code == 1
    assert "must have at least 8 characters" in done.err
    assert token not in done.err


def test_a_port_that_is_taken_is_an_error_that_says_so(adaptwin, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = adaptwin("serve", "--port", port, "--database", tmp_path / "jobs.db")
    assert done.code == 1
    assert f"--port: cannot listen on 127.0.0.1, port {port}" in " ".join(done.err.split())


def test_a_file_that_is_no_database_is_an_error_that_names_it(adaptwin, tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("name: no database\n" * 100, encoding="utf-8")
    done = adaptwin("serve", "--port", 0, "--database", file)
    assert done.code == 1
    assert "plan.yaml: cannot hold the jobs" in "".join(done.err.splitlines())
    assert file.read_text(encoding="utf-8") == "name: no database\n" * 100
