"""adaptwin doctor: what is installed, whether it works, and the remedy where it does not."""

import json

import pytest

from adaptwin.installation import examine as whole
from adaptwin.installation import shipped, variables
from adaptwin.installation.gaps import GAPS

KEY = "sk-never-to-be-shown"


def test_all_is_well_and_every_section_is_there(adaptwin, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = adaptwin("doctor")
    assert done.code == 0
    assert done.err == ""
    titles = ("Versions", "Machine", "Cache", "Extras", "Shipped files", "Environment", "Self-test")
    assert all(f"\n{title}\n" in f"\n{done.out}" for title in titles)
    assert "equals the reference" in done.out
    assert " ".join(done.out.split()).endswith("docs/explanation/limits.md. Nothing is wrong.")
    assert max(map(len, done.out.splitlines())) <= 80


def test_json_has_the_same_findings(adaptwin):
    done = adaptwin("doctor", "--json")
    told = json.loads(done.out)
    assert told["ok"] is True
    assert {each["name"]: each["state"] for each in told["sections"]["self-test"]} == dict.fromkeys(
        ("machine code", "kernel", "seed", "plan"), "ok"
    )
    assert told["not_modelled"] == [gap._asdict() for gap in GAPS]


def test_without_the_self_test_nothing_is_run(adaptwin, monkeypatch):
    monkeypatch.setattr(whole, "self_test", lambda _progress: pytest.fail("it was run"))
    done = adaptwin("doctor", "--skip-self-test")
    assert done.code == 0
    assert "Self-test" not in done.out


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_keys_are_never_shown(adaptwin, monkeypatch, words):
    for variable in variables.VARIABLES:
        if variable.is_secret:
            monkeypatch.setenv(variable.name, KEY)
    done = adaptwin("doctor", "--skip-self-test", *words)
    assert KEY not in done.out + done.err
    assert "set (the key that is sent" in " ".join(done.out.split())


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_what_is_wrong_has_a_remedy_and_exit_code_1(adaptwin, monkeypatch, words):
    def damaged(name):
        raise ValueError(f"{name} is damaged")

    monkeypatch.setattr(shipped, "_shipped_surrogate", damaged)
    done = adaptwin("doctor", "--skip-self-test", *words)
    assert done.code == 1
    said = " ".join(done.out.split())
    assert "is damaged" in said
    assert "pip install --force-reinstall" in said
    assert "2 things wrong: h100-64gb-llama-3.1-8b-instruct" in said or json.loads(done.out)["ok"] is False
