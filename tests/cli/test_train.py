"""adaptwin train: from a folder of runs to a surrogate, a page and rules."""

import json

import pytest

from adaptwin import Surrogate

DESIGN = """\
profiles: [h100-64gb-llama-3.1-8b-instruct]
sampler: random
mixes: 90
loads: 2
duration: [150]
most_requests: 6000
max_num_seqs: [64, 256]
"""


@pytest.fixture
def swept(adaptwin, folder):
    """The folder with a small sweep in ``runs``."""
    (folder / "design.yaml").write_text(DESIGN, encoding="utf-8")
    assert adaptwin("sweep", "design.yaml", "--out", "runs", "--jobs", 1).code == 0
    return folder


def test_runs_become_a_surrogate_a_page_and_a_table(adaptwin, swept):
    done = adaptwin("train", "runs", "--out", "s.json", "--report", "t.html", "--folds", 2)
    assert done.code == 0
    assert "Scores on held-out mixes" in done.out
    surrogate = Surrogate.read(swept / "s.json")
    assert surrogate.profile.name == "h100-64gb-llama-3.1-8b-instruct"
    assert surrogate.windows == (150.0, 150.0)
    assert "Training of the surrogate" in (swept / "t.html").read_text(encoding="utf-8")

    as_json = adaptwin("train", "runs", "--folds", 2, "--json")
    assert json.loads(as_json.out) == {surrogate.profile.name: surrogate.scores}

    explained = adaptwin("train", "s.json", "--explain", "--output", "overload")
    assert "the probability of overload is" in explained.out

    plan = adaptwin("plan", "fleet.yaml", "--surrogate", "s.json")
    assert plan.code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "nowhere: no such folder of runs"),
        (("nowhere", "--explain"), "surrogate: 'nowhere' is neither a file nor one of h100-"),
        ((".", "--output", "speed"), "output: 'speed' is not one of served, itl_mean"),
        ((".",), "no such folder of runs: design.yaml is missing"),
        ((".", "--out", "no/s.json"), "no/s.json: cannot be written"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_1(adaptwin, words, message):
    done = adaptwin("train", *words)
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1


def test_windows_too_short_to_judge_adapters_are_said(adaptwin, folder):
    (folder / "design.yaml").write_text(DESIGN.replace("duration: [150]", "duration: [50]"), encoding="utf-8")
    assert adaptwin("sweep", "design.yaml", "--out", "runs", "--jobs", 1).code == 0
    done = adaptwin("train", "runs")
    assert done.code == 1
    assert "runs: none of the runs has worst_share: sweep longer windows or more traffic" in done.err


def test_which_profile_is_asked_before_anything_is_trained(adaptwin, swept):
    done = adaptwin("train", "runs", "--out", "s.json", "--profile", "h200")
    assert (done.code, done.out) == (1, "")
    assert "profile: 'h200' is not one of h100-64gb-llama-3.1-8b-instruct" in done.err
