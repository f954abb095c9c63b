"""adaptwin diagnose, with stand-in servers."""

import json

import pytest
from tests.live.metrics_pages import calm_page, starving_page
from tests.live.metrics_stand_in import serving, vllm_handlers


def test_the_command_ends_with_3_in_trouble_and_0_without(adaptwin):
    words = ("--watch", "0.2s", "--samples", "3")
    with serving(vllm_handlers(starving_page)) as one, serving(vllm_handlers(calm_page)) as two:
        bad, good = adaptwin("diagnose", one, *words), adaptwin("diagnose", two, *words)
        both = adaptwin("diagnose", one, two, "http://127.0.0.1:9", *words, "--json")
    assert (bad.code, good.code, both.code) == (3, 0, 4)
    assert "Requests wait for a slot" in bad.out
    assert "not checked by the twin" in bad.out
    assert "Nothing binds the server" in good.out
    servers = json.loads(both.out)["servers"]
    assert [each["diagnosis"] and each["diagnosis"]["binding"] for each in servers] == ["slots", "nothing", None]
    assert "connection refused" in both.err


def test_the_command_takes_a_fleet(adaptwin, folder):
    adapters = "\n".join(f"- {{name: {name}, rank: 16, rate: {4 if name == 'a' else 0.5}}}" for name in "abcdef")
    text = f"profile: h100-64gb-llama-3.1-8b-instruct\nduration: 150\nadapters:\n{adapters}\n"
    (folder / "fleet.yaml").write_text(text, encoding="utf-8")
    with serving(vllm_handlers(starving_page)) as url:
        found = adaptwin("diagnose", url, "--fleet", "fleet.yaml", "--watch", "0.3s", "--samples", "4")
    assert found.code == 3
    assert "What ends it: max_loras" in found.out
    assert "no metric tells the rates of single adapters" in " ".join(found.out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--profile", "x"), "--profile needs --fleet"),
        (("--plan", "p.yaml", "--fleet", "f.yaml"), "--fleet does not go with --plan"),
    ],
)
def test_options_that_do_not_go_together_are_refused(adaptwin, words, said):
    found = adaptwin("diagnose", "http://127.0.0.1:9", *words)
    assert found.code == 1
    assert said in found.err
