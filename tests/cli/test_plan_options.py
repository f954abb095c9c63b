"""Options of plan and verify: what they change in a plan, and what is said when they are wrong."""

import pytest

from adaptwin import Plan

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
LATENCY = ("--objective", "min-latency", "--gpus", 2)


@pytest.fixture
def plan(adaptwin, folder):
    """A function from options to the plan that comes of them."""

    def make(*words):
        done = adaptwin("plan", "fleet.yaml", "--out", "plan.yaml", *words)
        assert done.code == 0, done.err
        return Plan.read(folder / "plan.yaml")

    return make


def server_of(plan):
    """The server of each adapter."""
    return {name: server.name for server in plan.servers for name in server.adapters}


def refusal(done):
    """All that is said, in one line however wide the terminal."""
    assert (done.code, done.out) == (1, "")
    return " ".join(done.err.replace("│", " ").split())


# GPUs and latency


@pytest.mark.parametrize("objective", ["min-latency", "max-throughput"])
def test_so_many_gpus_are_used_as_are_given(plan, objective):
    found = plan("--objective", objective, "--gpus", 2)
    assert (found.options.objective, found.gpus) == (objective, 2)


@pytest.mark.parametrize("latency", ["itl", "ttft"])
def test_either_latency_can_be_brought_down(plan, latency):
    assert plan(*LATENCY, "--latency", latency).verified


def test_bounds_are_times_with_a_unit(plan):
    found = plan("--objective", "slo", "--ttft-p99", "500ms", "--itl-p99", "50ms")
    assert (found.options.latency_limits.ttft_p99, found.options.latency_limits.itl_p99) == (0.5, 0.05)
    assert all(server.forecast.ttft_p99 <= 0.5 and server.forecast.itl_p99 <= 0.05 for server in found.servers)


def test_without_bounds_there_are_none(plan):
    assert not plan().options.latency_limits


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--objective", "min-latency"), "gpus: missing: min-latency needs the number of GPUs"),
        (("--gpus", 2), "gpus: 2: min-gpus finds the number of GPUs"),
        (("--objective", "slo"), "slo needs ttft_p99 or itl_p99 (--ttft-p99, --itl-p99), or adapters with"),
        (("--objective", "max-throughput", "--gpus", 0), "--gpus: '0' must be at least 1; see adaptwin plan"),
        ((*LATENCY, "--latency", "e2e"), "latency: 'e2e' is not one of itl, ttft"),
        (("--ttft-p99", "soon"), "'soon' is not a time, such as 500ms or 2s"),
        (("--itl-p99", "0ms"), "'0ms' must be above 0"),
        (("--itl-p99", "-1"), "'-1' must be above 0"),
        (("--ttft-p99", "100"), "'100' has no unit: write 100ms or 100s"),
        (("--itl-p99", "0.05"), "'0.05' has no unit: write 0.05ms or 0.05s"),
        (("--headroom", "20"), "'20' is 2000%: write 20% or 0.2 if that was meant"),
        (("--time-limit", "1:30"), "'1:30' is not a time, such as 500ms or 2s"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_wrong_gpus_and_latencies_are_refused(adaptwin, folder, words, message):
    assert message in refusal(adaptwin("plan", "fleet.yaml", "--out", "plan.yaml", *words))
    assert not (folder / "plan.yaml").exists()


def test_a_bound_that_no_gpu_keeps_ends_with_2(adaptwin, folder):
    """Even with a 256th of the requests, seven a minute."""
    text = f"profile: {PROFILE}\nduration: 120\nadapters:\n- {{name: hot, rank: 8, rate: 30}}\n"
    (folder / "hot.yaml").write_text(text, encoding="utf-8")
    done = adaptwin("plan", "hot.yaml", "--itl-p99", "1ms", "--out", "plan.yaml")
    assert done.code == 2
    assert done.err.startswith("adaptwin: hot.yaml: adapters[0].rate: 30 requests/s of 'hot' cannot be served on")
    assert not (folder / "plan.yaml").exists()


def test_a_limit_that_cannot_be_kept_says_one_that_can(adaptwin):
    done = adaptwin("plan", "fleet.yaml", "--itl-p99", "1ms")
    assert done.code == 2
    assert "ITL p99 must be at most 1ms, but " in done.err
    assert "; --itl-p99 " in done.err


def test_far_more_gpus_than_are_useful_cost_no_time(adaptwin):
    assert adaptwin("plan", "fleet.yaml", "--objective", "max-throughput", "--gpus", "10000").code == 0
    done = adaptwin("plan", "fleet.yaml", "--objective", "max-throughput", "--gpus", "1000000")
    assert "gpus: 1000000 must be at most 10000" in done.err


# Arrivals


def test_a_plan_is_for_the_arrivals_given(plan):
    assert plan().workload.arrivals == "poisson"
    assert plan("--arrivals", "gamma:cv=3").workload.arrivals == "gamma:cv=3"


def test_a_plan_can_be_verified_with_other_arrivals(adaptwin, planned):
    before = (planned / "plan.yaml").read_text(encoding="utf-8")
    poisson = adaptwin("verify", "plan.yaml", "--json")
    bursts = adaptwin("verify", "plan.yaml", "--json", "--arrivals", "gamma:cv=3")
    assert (poisson.code, bursts.code) == (0, 0)
    assert poisson.out != bursts.out
    assert poisson.out == adaptwin("verify", "plan.yaml", "--json", "--arrivals", "poisson").out
    assert (planned / "plan.yaml").read_text(encoding="utf-8") == before


@pytest.mark.parametrize("words", [("plan", "fleet.yaml"), ("verify", "plan.yaml")], ids=" ".join)
@pytest.mark.parametrize("arrivals", ["weibull", "gamma:cv=-1", "rates:no.csv"])
def test_arrivals_that_there_are_not_are_refused(adaptwin, planned, words, arrivals):
    said = refusal(adaptwin(*words, "--arrivals", arrivals))
    assert "arrivals" in said
    assert arrivals.split(":")[-1].removeprefix("cv=") in said


# Constraints


def test_an_adapter_is_on_the_server_it_is_pinned_to(plan):
    found = plan("--pin", "a0=north", "--pin", "a1=south")
    assert server_of(found)["a0"] == "north"
    assert server_of(found)["a1"] == "south"
    assert found.options.constraints.pinned == {"a0": "north", "a1": "south"}


def test_adapters_apart_share_no_server(plan):
    where = server_of(plan("--apart", "a0,a1,base"))
    assert len(set(where.values())) == 3


def test_adapters_together_share_one(plan):
    where = server_of(plan("--apart", "a0, a1", "--together", "a1,base"))
    assert where["a1"] == where["base"] != where["a0"]


def test_constraints_given_replace_those_of_the_fleet(plan, folder):
    text = (folder / "fleet.yaml").read_text(encoding="utf-8")
    (folder / "fleet.yaml").write_text(f"{text}planning: {{constraints: {{apart: [[a0, a1]]}}}}\n", encoding="utf-8")
    assert plan().gpus == 2
    assert plan("--together", "a0,a1").gpus == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pin", "a0"), "'a0' is not ADAPTER=GPU"),
        (("--pin", "=north"), "'=north' is not ADAPTER=GPU"),
        (("--pin", "zz=north"), "--pin: 'zz' is not an adapter of the workload"),
        (("--apart", "a0"), "'a0' does not name several adapters, as in a,b"),
        (("--together", "a0,"), "'a0,' does not name several adapters, as in a,b"),
        (("--apart", "a0,zz"), "constraints.apart[0]: 'zz' is not an adapter of the workload"),
        (("--apart", "a0,a1", "--together", "a0,a1"), "--apart: 'a0' and 'a1' must also be together"),
        (
            ("--pin", "a0=x", "--pin", "a1=y", "--together", "a0,a1"),
            "--pin: 'a0' is pinned to x and 'a1' to y, but they must be",
        ),
        (("--pin", "a0=x", "--pin", "a0=y"), "'a0' is pinned to x and to y"),
        (("--apart", "a0,a1", "--strategy", "random"), "strategy: random does not support constraints; use pack"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_wrong_constraints_are_refused(adaptwin, folder, words, message):
    assert message in refusal(adaptwin("plan", "fleet.yaml", "--out", "plan.yaml", *words))
    assert not (folder / "plan.yaml").exists()


# Adapters that vLLM cannot serve

OTHERS = f"""\
profile: {PROFILE}
duration: 300
adapters:
- {{name: a0, rank: 8, rate: 0.5}}
- {{name: other, rank: 8, rate: 0.5, base: mistralai/Mistral-7B-v0.1}}
- {{name: dora, rank: 8, rate: 0.5, features: {{use_dora: true}}}}
- {{name: pattern, rank: 8, rate: 0.5, features: {{rank_pattern: {{q_proj: 4}}}}}}
"""


@pytest.mark.parametrize(
    "words", [("plan", "others.yaml"), ("simulate", "others.yaml"), ("replan", "plan.yaml", "others.yaml")]
)
def test_adapters_that_vllm_cannot_serve_are_named_or_left_out(adaptwin, planned, words):
    (planned / "others.yaml").write_text(OTHERS, encoding="utf-8")
    said = refusal(adaptwin(*words))
    assert "others.yaml: adapters: vLLM 0.8.5 cannot serve 2 of 4 adapters" in said
    assert "other (its base model is mistralai/Mistral-7B-v0.1, not meta-llama/Llama-3.1-8B-Instruct)" in said
    assert "dora (use_dora True: DoRA is not supported)" in said
    done = adaptwin(*words, "--skip-unsupported")
    assert done.code == 0
    assert "left out dora: use_dora True: DoRA is not supported" in done.err
    assert "left out other: its base model is mistralai/Mistral-7B-v0.1" in done.err
    assert "warning: pattern: rank_pattern: vLLM before 0.32 scales every module by lora_alpha / r" in done.err


def test_profiles_of_several_models_are_refused(adaptwin):
    said = refusal(adaptwin("plan", "fleet.yaml", "--profile", PROFILE, "--profile", "h100-64gb-qwen-2.5-7b-instruct"))
    assert "3 of 3 name no base model" in said
