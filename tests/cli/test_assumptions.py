"""What the commands say of their assumptions, and options that replace an assumption by what is known."""

import json

import pytest

from adaptwin import Lengths, Plan

ASSUMED = "lengths ShareGPT (assumed; 222 in, 196 out)"
CSV = "name,rank,rate\na0,8,0.5\na1,16,0.3\n"
PROFILE = ("--profile", "h100-64gb-llama-3.1-8b-instruct")
COMMANDS = (
    ("plan", "fleet.yaml"),
    ("simulate", "fleet.yaml", "--max-loras", "2"),
    ("verify", "plan.yaml"),
    ("explain", "plan.yaml"),
    ("replan", "plan.yaml", "fleet.yaml"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_report_says_what_it_assumes(adaptwin, planned, words):
    said = " ".join(adaptwin(*words).out.split())
    assert (
        "Assumes: meta-llama/Llama-3.1-8B-Instruct on NVIDIA H100 64 GB (MareNostrum 5), vLLM 0.8.5 (measured)" in said
    )
    assert f"{ASSUMED}; arrivals Poisson (assumed) over 300 s; no prompts that begin alike." in said
    data = json.loads(adaptwin(*words, "--json").out)
    assert ASSUMED in data["assumptions"]
    assert "max_num_seqs 256 (vLLM's default)" in data["assumptions"][0]


def test_the_report_and_the_exported_script_say_what_the_plan_assumes(adaptwin, planned):
    assert adaptwin("plan", "fleet.yaml", "--report", "plan.html").code == 0
    assert ASSUMED in (planned / "plan.html").read_text(encoding="utf-8")
    assert f"# The plan assumes: {ASSUMED}." in adaptwin("export", "plan.yaml").out


def test_a_plan_read_from_its_json_still_knows_that_lengths_were_assumed(adaptwin, planned):
    text = adaptwin("plan", "fleet.yaml", "--json").out
    (planned / "again.json").write_text(text, encoding="utf-8")
    again = Plan.read(planned / "again.json")
    assert ASSUMED in again.assumptions
    assert again.workload.lengths.assumed
    assert adaptwin("verify", "again.json").code == 0


def test_arrivals_that_a_plan_is_verified_with_are_named(adaptwin, planned):
    data = json.loads(adaptwin("verify", "plan.yaml", "--json", "--arrivals", "gamma:cv=3").out)
    assert "arrivals gamma:cv=3 over 300 s" in data["assumptions"]
    assert all(run["intervals"] == {} for run in data["runs"])


@pytest.mark.parametrize(
    ("words", "lengths", "said"),
    [
        (("--lengths", "sharegpt"), Lengths.named("sharegpt"), "lengths ShareGPT (222 in, 196 out)"),
        (("--lengths", "fixed:600,60"), Lengths.fixed(600, 60), "lengths fixed (600 in, 60 out)"),
        (
            ("--input-mean", "600", "--output-mean", "60"),
            Lengths.lognormal(input_mean=600, input_cv=1, output_mean=60, output_cv=1),
            "lengths lognormal (600 in, 60 out)",
        ),
    ],
)
def test_a_csv_without_lengths_is_planned_with_those_of_the_command_line(adaptwin, folder, words, lengths, said):
    (folder / "adapters.csv").write_text(CSV, encoding="utf-8")
    assert adaptwin("plan", "adapters.csv", *PROFILE, *words, "--out", "plan.yaml").code == 0
    plan = Plan.read(folder / "plan.yaml")
    assert plan.workload.lengths == lengths
    assert said in plan.assumptions
    run = json.loads(adaptwin("simulate", "adapters.csv", *PROFILE, *words, "--duration", 60, "--json").out)
    assert said in run["assumptions"]


def test_lengths_of_adapters_stay_as_they_are(adaptwin, folder):
    (folder / "adapters.csv").write_text("name,rank,rate,input_mean,output_mean\na,8,0.5,30,20\nb,8,0.5,,\n", "utf-8")
    words = ("--lengths", "fixed:600,60", "--out", "plan.yaml")
    assert adaptwin("plan", "adapters.csv", *PROFILE, *words).code == 0
    workload = Plan.read(folder / "plan.yaml").workload
    assert [workload.lengths_of(adapter).mean_input for adapter in workload.adapters] == pytest.approx(
        [30, 600], abs=0.1
    )


def test_a_fleet_without_lengths_is_replanned_with_those_of_the_running_plan(adaptwin, folder):
    (folder / "adapters.csv").write_text(CSV, encoding="utf-8")
    assert adaptwin("plan", "adapters.csv", *PROFILE, "--lengths", "fixed:600,60", "--out", "plan.yaml").code == 0
    for words, lengths in (((), Lengths.fixed(600, 60)), (("--lengths", "fixed:9,9"), Lengths.fixed(9, 9))):
        assert adaptwin("replan", "plan.yaml", "adapters.csv", *words, "--out", "next.yaml").code == 0
        assert Plan.read(folder / "next.yaml").workload.lengths == lengths


@pytest.mark.parametrize(
    "command", [("plan", "fleet.yaml"), ("simulate", "fleet.yaml"), ("replan", "plan.yaml", "fleet.yaml")]
)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lengths", "pile"), "lengths: 'pile' is not one of sharegpt, fixed:250,231"),
        (("--input-mean", "600"), "--input-mean, --output-mean: give both or neither"),
        (("--lengths", "sharegpt", "--input-mean", "6", "--output-mean", "6"), "not both"),
        (("--input-mean", "0", "--output-mean", "6"), "0.0 must be at least 1"),
    ],
)
def test_lengths_that_make_no_sense_are_refused(adaptwin, planned, command, words, message):
    done = adaptwin(*command, *words)
    assert (done.code, done.out) == (1, "")
    assert message in done.err


def test_a_margin_of_a_profile_that_was_changed_is_refused(adaptwin, folder):
    from adaptwin import load_profile

    load_profile(PROFILE[1]).model_copy(update={"request_latency": 0.1}).write("mine.yaml")
    done = adaptwin("plan", "fleet.yaml", "--profile", "mine.yaml", "--margin", "profile")
    assert done.code == 1
    assert "has changed since its uncertainty was measured: give the margin as a share" in " ".join(done.err.split())
