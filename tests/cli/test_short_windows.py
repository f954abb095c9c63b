"""Short windows: simulated with the verdict unknown, refused where a plan is to be made."""

import json

FLEET = "profile: h100-64gb-llama-3.1-8b-instruct\nduration: {}\nadapters:\n- {{name: a, rank: 8, rate: 2}}\n"


def test_a_short_window_is_simulated_in_full_and_judged_unknown(adaptwin, folder):
    (folder / "short.yaml").write_text(FLEET.format(20), encoding="utf-8")
    done = adaptwin("simulate", "short.yaml", "--json")
    assert done.code == 0
    run = json.loads(done.out)
    assert run["verdict"] == "unknown"
    assert run["finished"] > 10
    assert run["adapters"]["verdict"] == ["unknown"]
    assert "unknown" in adaptwin("simulate", "short.yaml").out


def test_the_duration_that_counts_is_the_one_that_is_simulated(adaptwin, folder):
    (folder / "short.yaml").write_text(FLEET.format(20), encoding="utf-8")
    (folder / "long.yaml").write_text(FLEET.format(3600), encoding="utf-8")
    assert json.loads(adaptwin("simulate", "short.yaml", "--duration", "300", "--json").out)["verdict"] == "ok"
    assert json.loads(adaptwin("simulate", "long.yaml", "--duration", "30", "--json").out)["verdict"] == "unknown"


def test_a_short_window_is_refused_by_plan_and_replan(adaptwin, folder):
    (folder / "short.yaml").write_text(FLEET.format(20), encoding="utf-8")
    (folder / "long.yaml").write_text(FLEET.format(300), encoding="utf-8")
    assert adaptwin("plan", "long.yaml", "--out", "plan.yaml").code == 0
    for words in (("plan", "short.yaml"), ("replan", "plan.yaml", "short.yaml")):
        done = adaptwin(*words)
        assert done.code == 1
        assert "short.yaml: duration: 20 seconds are too few" in done.err
