"""adaptwin explain: why a plan is as it is."""

import json

from adaptwin import Plan


def test_explain_says_why_the_gpus_are_full_and_what_they_could_take(adaptwin, planned):
    done = adaptwin("explain", "plan.yaml")
    assert (done.code, done.err) == (0, "")
    for fact in (
        "1 GPU",
        "optimal",
        "What limits each GPU",
        "gpu-0",
        "Load it on gpu-0: latencies grow least there.",
        "save a GPU",
    ):
        assert fact in done.out


def test_explain_as_json_is_the_explanation_and_nothing_else(adaptwin, planned):
    done = adaptwin("explain", "plan.yaml", "--rank", 64, "--rate", 0.5, "--json")
    found = json.loads(done.out)
    assert done.err == ""
    assert (found["newcomer"]["rank"], found["newcomer"]["rate"]) == (64, 0.5)
    assert found["advice"] == {
        "action": "restart",
        "server": "gpu-0",
        "gpus": None,
        "max_lora_rank": 64,
        "max_loras": 2,
        "unmerged": None,
    }
    assert found["servers"][0]["forecast"]["headroom"] == Plan.read(planned / "plan.yaml").servers[0].forecast.headroom


def test_explain_shows_the_gpus_that_are_named(adaptwin, planned):
    assert "gpu-0" in adaptwin("explain", "plan.yaml", "--gpu", "gpu-0").out


def test_wrong_words_are_named(adaptwin, planned):
    done = adaptwin("explain", "plan.yaml", "--gpu", "gpu-9")
    assert (done.code, done.out, done.err) == (
        1,
        "",
        "adaptwin: plan.yaml: servers: 'gpu-9' is not one of gpu-0; did you mean gpu-0?\n",
    )
    done = adaptwin("explain", "plan.yaml", "--rank", 600)
    assert done.code == 1
    assert "600 is above 512, the highest that vLLM serves" in done.err
    assert adaptwin("explain", "plan.yaml", "--rate", -1).code == 1
    assert adaptwin("explain", "no.yaml").code == 1


def test_a_server_that_would_not_start_is_an_error_that_names_the_plan(adaptwin, planned):
    text = (planned / "plan.yaml").read_text(encoding="utf-8")
    crowded = text.replace("max_lora_rank: 16", "max_lora_rank: 512").replace("max_loras: 2", "max_loras: 400")
    crowded = crowded.replace("max_cpu_loras: 2", "max_cpu_loras: 400")
    assert crowded != text
    (planned / "plan.yaml").write_text(crowded, encoding="utf-8")
    done = adaptwin("explain", "plan.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("adaptwin: plan.yaml: max_loras 400")
