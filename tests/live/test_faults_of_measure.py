"""adaptwin measure with servers that are faulty: what was measured is kept, and the same command goes on with it."""

import json

import pytest

LLAMA = ("--gpu", "h100-sxm", "--model", "Llama-3.1-8B-Instruct", "--max-num-seqs", "16")
SHORT = ("--adapters", "ranks.csv", "--budget", "6s", "--input-mean", "20", "--output-mean", "8")


@pytest.fixture
def measured(adaptwin, folder):
    """Measure a server and return the outcome, and the results that were kept, if there are any."""
    pytest.importorskip("aiohttp", reason="servers need aiohttp: pip install 'adaptwin[live]'")

    def call(server, words=()):
        (folder / "ranks.csv").write_text("name,rank\na0,8\na1,16\n")
        done = adaptwin("measure", getattr(server, "url", server), *LLAMA, *SHORT, "--out", "m", *words)
        assert "Traceback" not in done.err + done.out
        found = folder / "m" / "measured.json"
        return done, json.loads(found.read_text())["results"] if found.exists() else []

    return call


def test_a_sound_server_is_measured(measured, serve):
    done, results = measured(serve())
    assert done.code == 0, done.err
    assert {row["kind"] for row in results} >= {"decode", "prefill"}


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"fails_from": 40}, "500: EngineCore encountered an issue."),
        ({"dies_at": 40}, "a request for a"),
        ({"loses": "a0", "loses_from": 40}, "404: The model `a0` does not exist."),
    ],
)
def test_a_server_that_fails_on_the_way_loses_nothing(measured, serve, faults, says):
    done, results = measured(serve(**faults))
    assert done.code == 4
    assert says in done.err
    assert "what was measured is in m, and the same command goes on" in done.err
    assert results
    again, more = measured(serve())
    assert again.code == 0, again.err
    assert more[: len(results)] == results
    assert len(more) > len(results)


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"api_key": "secret"}, "API key"),
        ({"metrics_are_missing": True}, "/metrics"),
        ({"page": "<html>hello</html>"}, "no server with the API of OpenAI"),
    ],
)
def test_a_server_that_cannot_be_measured_is_said_before_anything_is_sent(measured, serve, faults, says):
    server = serve(**faults)
    done, results = measured(server)
    assert (done.code, results, server.received) == (4, [], [])
    assert says in done.err
