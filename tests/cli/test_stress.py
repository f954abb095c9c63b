"""--stress of plan and verify: a table, JSON, and the plan file."""

import json

import pytest

from adaptwin import Plan, stress

TRAFFIC = [
    "as planned",
    "all traffic x1.03",
    "all traffic x1.1",
    "all traffic x1.25",
    "each rate wrong by 20 %",
    "bursts, gamma:cv=2",
    "regimes, factor 1.5",
]


def test_plan_under_stress_prints_the_table_and_stores_the_result(adaptwin, folder):
    done = adaptwin("plan", "fleet.yaml", "--stress", "--stress-runs", 2, "--out", "plan.yaml")
    assert done.code == 0
    assert "Stress: 2 runs of 1 GPU for each kind of traffic" in done.out
    assert all(traffic in done.out for traffic in TRAFFIC)
    plan = Plan.read(folder / "plan.yaml")
    assert not plan.stress.is_sample
    assert [result.traffic for result in plan.stress.results] == TRAFFIC
    assert plan.stress == stress(plan, runs=2)


def test_plan_without_the_option_carries_a_sample(adaptwin, folder):
    fields = json.loads(adaptwin("plan", "fleet.yaml", "--json").out)
    (result,) = fields["stress"]["results"]
    assert fields["stress"]["is_sample"]
    assert (result["traffic"], result["fleet"]["held"], result["fleet"]["trials"]) == (
        "each rate wrong by 20 %",
        10,
        10,
    )


def test_verify_under_stress_adds_the_table_and_the_json(adaptwin, planned):
    done = adaptwin("verify", "plan.yaml", "--stress", "--stress-runs", 2)
    assert done.code == 0
    assert "The plan holds on 1 GPU with seed 1" in done.out
    assert "Stress: 2 runs of 1 GPU for each kind of traffic" in done.out
    found = json.loads(adaptwin("verify", "plan.yaml", "--stress", "--stress-runs", 2, "--json").out)["stress"]
    assert found["seed"] == 1
    assert found["results"][0] == {
        "traffic": "as planned",
        "fleet": {"held": 2, "trials": 2, "low": 0.3424, "high": 1.0},  # 2 / (2 + 3.8415)
        "servers": {"held": 2, "trials": 2, "low": 0.3424, "high": 1.0},
        "failed": {},
        "unaffected": 0,
    }
    assert "stress" not in json.loads(adaptwin("verify", "plan.yaml", "--json").out)


def test_other_arrivals_of_verify_are_stressed_too(adaptwin, planned):
    words = ("verify", "plan.yaml", "--arrivals", "gamma:cv=2", "--stress", "--stress-runs", 1)
    assert "Left out, as no adapter would have other arrivals: bursts, gamma:cv=2." in adaptwin(*words).out


@pytest.mark.parametrize("command", [("plan", "fleet.yaml"), ("verify", "plan.yaml")], ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("words", "message"),
    [(("--stress-runs", 3), "needs --stress"), (("--stress", "--stress-runs", 0), "--stress-runs")],
)
def test_a_wrong_number_of_runs_is_refused(adaptwin, planned, command, words, message):
    done = adaptwin(*command, *words)
    assert done.code == 1
    assert message in " ".join(done.err.split())
