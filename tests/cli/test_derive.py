"""adaptwin derive, and --gpu with --model wherever --profile is."""

import json
import shlex

import pytest
import yaml
from tests.profile.test_derive import CONFIG

from adaptwin import Dataset, derive_profile, load_profile, read_fleet, shipped_gpus, shipped_models, shipped_profiles
from adaptwin.profile.hardware.held_out import held_out

QWEN = "Qwen/Qwen2.5-7B-Instruct"
L40S = ("--gpu", "l40s", "--model", QWEN)
PLAN = ("plan", "fleet.yaml", "--json")


@pytest.fixture
def shown(adaptwin, monkeypatch):
    """Return a function that calls the program in 80 columns and returns what it prints, as one line."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words):
        done = adaptwin(*words)
        assert (done.code, done.err) == (0, "")
        assert max(map(len, done.out.splitlines())) <= 80
        return " ".join(done.out.split())

    return call


def test_derive_says_what_the_profile_is_and_where_every_constant_comes_from(shown):
    said = shown("derive", *L40S)
    assert said.startswith(f"l40s-qwen2.5-7b-instruct: {QWEN} on NVIDIA L40S, vLLM 0.")
    assert "Grade: data sheet only." in said
    assert f"against {held_out().error.runs} real runs on 5 machines" in said
    assert "KV cache: about 464,432 tokens without adapters, 453,168 with 8 slots of rank 16." in said
    assert "Price: none; a typical one is 1.30 US dollars per GPU and hour." in said
    profile = derive_profile(gpu="l40s", model=QWEN)
    assert all(origin in said for origin in profile.evidence.origins.values())
    for name, value in profile.step_cost:
        assert (f" step_cost.{name} " in said) == (bool(value) and not name.startswith("expert_"))
    assert " step_cost.weights 19.1 ms " in said
    assert " memory.gpu_bytes 44.4 GiB " in said


def test_derive_names_the_measured_profile_of_the_same_gpu_and_model(shown):
    said = shown("derive", "--gpu", "h100-64gb", "--model", "Qwen2.5-7B")
    assert "This GPU and model were measured: better use --profile h100-64gb-qwen-2.5-7b-instruct." in said
    assert "were measured" not in shown("derive", "--gpu", "h100-64gb", "--model", "Qwen3-14B")


def test_derive_claims_nothing_where_the_laws_do_not_hold(shown):
    said = shown("derive", "--gpu", "h100-pcie", "--model", "gemma-2-9b")
    assert "Grade: not claimed." in said
    assert "Attention with soft caps or windows and four norms a layer are not in the law of steps." in said
    assert "real runs" not in said.split("Constants")[0]


def test_derive_says_that_a_model_does_not_fit(shown):
    assert "no memory is left for it" in shown("derive", "--gpu", "l4", "--model", "Qwen2.5-72B")
    assert "does not fit: set max_model_len" in shown("derive", "--gpu", "l4", "--model", "gemma-2-9b")


def test_derive_writes_a_profile_that_other_commands_read(adaptwin):
    done = adaptwin("derive", *L40S, "--price", 1.2, "--name", "mine", "--vllm-version", "0.20.0", "--out", "l40s.yaml")
    assert done.code == 0
    assert done.err == "profile written to l40s.yaml\n"
    profile = load_profile("l40s.yaml")
    assert (profile.name, profile.price_per_hour, profile.vllm_version) == ("mine", 1.2, "0.20.0")
    plan = json.loads(adaptwin(*PLAN, "--profile", "l40s.yaml").out)
    assert {server["profile"] for server in plan["servers"]} == {"mine"}


def test_derive_prints_json(adaptwin):
    data = json.loads(adaptwin("derive", *L40S, "--json").out)
    assert set(data) == {"profile", "grade", "measured_as", "kv_cache_tokens", "typical_price"}
    assert data["profile"] == derive_profile(gpu="l40s", model=QWEN).file_form()


def test_derive_does_not_write_over_the_configuration(adaptwin, folder):
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    done = adaptwin("derive", "--gpu", "l40s", "--model", "config.json", "--out", "config.json")
    assert done.code == 1
    assert json.loads((folder / "config.json").read_text(encoding="utf-8")) == CONFIG


# In place of --profile


def test_a_plan_for_a_derived_profile_goes_through_all_commands(adaptwin, folder):
    assert adaptwin("plan", "fleet.yaml", *L40S, "--out", "plan.yaml").code == 0
    assert adaptwin("verify", "plan.yaml").code == 0
    assert adaptwin("explain", "plan.yaml").code == 0
    assert f"vllm serve {QWEN} " in adaptwin("export", "plan.yaml").out
    fleet = yaml.safe_load((folder / "fleet.yaml").read_text(encoding="utf-8"))
    fleet["profile"] = {"gpu": "l40s", "model": QWEN}
    fleet["adapters"][0]["rate"] = 0.7
    (folder / "new.yaml").write_text(yaml.safe_dump(fleet), encoding="utf-8")
    done = adaptwin("replan", "plan.yaml", "new.yaml", "--json")
    assert done.code == 0
    assert {server["profile"] for server in json.loads(done.out)["servers"]} == {"l40s-qwen2.5-7b-instruct"}


def test_several_gpus_and_a_measured_profile_may_be_planned_together(adaptwin):
    words = ("--gpu", "l40s", "--gpu", "h100-sxm", "--model", QWEN, "--profile", shipped_profiles()[1])
    names = ["h100-64gb-qwen-2.5-7b-instruct", "l40s-qwen2.5-7b-instruct", "h100-sxm-qwen2.5-7b-instruct"]
    prices = [word for name in names for word in ("--price", f"{name}=2")]
    plan = json.loads(adaptwin(*PLAN, *words, "--objective", "min-cost", *prices).out)
    assert [profile["name"] for profile in plan["profiles"]] == names
    done = adaptwin(*PLAN, *words, "--objective", "min-cost", *prices[:2])
    assert done.code == 1
    assert "profile l40s-qwen2.5-7b-instruct has none (a typical one is 1.30 US dollars for one GPU)" in done.err


def test_simulate_takes_a_gpu_and_a_model(adaptwin):
    assert json.loads(adaptwin("simulate", "fleet.yaml", *L40S, "--max-loras", 2, "--json").out)["verdict"] == "ok"
    done = adaptwin("simulate", "fleet.yaml", *L40S, "--profile", shipped_profiles()[0])
    assert done.code == 1
    assert "--gpu does not go with --profile" in done.err


def test_a_made_fleet_names_the_gpu_and_the_model(adaptwin, folder):
    words = ("--adapters", 3, "--rate", 1, "--ranks", 8, "--duration", 300)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "fleets").mkdir()
    made = ("workload", "synth", *words, "--gpu", "l40s", "--model", "config.json", "--out", "fleets/made.yaml")
    assert adaptwin(*made).code == 0
    [source] = read_fleet("fleets/made.yaml").profile
    assert (source.gpu, source.model) == ("l40s", "../config.json")
    plan = json.loads(adaptwin("plan", "fleets/made.yaml", "--json").out)
    assert plan["profiles"][0]["model"]["layers"] == 36


def test_the_model_of_a_log_is_known_by_its_name(adaptwin, folder):
    rows = "".join(f"{t / 2},{QWEN if t % 2 else 'a'},50,20\n" for t in range(600))
    (folder / "log.csv").write_text(f"time,model,input_tokens,output_tokens\n{rows}", encoding="utf-8")
    done = adaptwin(
        "workload", "from-log", "log.csv", "--rank", 8, "--time-unit", "s", *L40S, "--out", "made.yaml", "--json"
    )
    assert done.code == 0
    assert {adapter.name: adapter.rank for adapter in read_fleet("made.yaml").adapters} == {QWEN: 0, "a": 8}


def test_a_derived_profile_does_not_hide_that_its_configuration_would_be_overwritten(adaptwin, folder):
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    for model in ("config.json", "."):
        done = adaptwin("plan", "fleet.yaml", "--gpu", "l40s", "--model", model, "--out", "config.json")
        assert done.code == 1
        assert "config.json" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--gpu l40s", "--gpu needs --model"),
        (f"--model {QWEN}", "--model needs --gpu"),
        ("--vllm-version 0.33.0", "--vllm-version needs --gpu and --model"),
        ("--gpu a100 --model Qwen3-8B", "--gpu: 'a100' is one of a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb: name"),
        ("--gpu l41s --model Qwen3-8B", "--gpu: 'l41s' is not one of a10, "),
        ("--gpu l40s --model Qwen3-88B", "--model: 'Qwen3-88B' is neither a file nor one of "),
        ("--gpu '' --model Qwen3-8B", "--gpu: ''"),
        ("--gpu l40s --model ''", "--model: ''"),
        ("--gpu l40s --model Qwen3-8B --vllm-version x", "--vllm-version: 'x' is not a version"),
        ("--gpu l40s --model fleet.yaml", "fleet.yaml: "),
        ("--gpu l40s --model .", "config.json: no such file"),
    ],
)
@pytest.mark.parametrize("command", ["plan fleet.yaml", "simulate fleet.yaml", "derive"])
def test_wrong_names_are_told_with_their_option(adaptwin, command, words, message):
    if command == "derive" and "needs" in message:  # there, both are required
        message = "--model is missing" if words.startswith("--gpu") else "--gpu is missing"
    done = adaptwin(*command.split(), *shlex.split(words))
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith(f"adaptwin: {message}")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("name", ["a\nb", "x" * 50_000, "/", "../" * 900, "\x1b[31m", "-x", "[bold]", "a\x00b"])
@pytest.mark.parametrize("option", ["--gpu", "--model", "--name", "--vllm-version"])
def test_hostile_names_end_in_one_line(adaptwin, name, option):
    given = {"--gpu": "l40s", "--model": "Qwen3-8B", option: name}
    done = adaptwin("derive", *(f"{option}={value}" for option, value in given.items()))
    assert done.code in (0, 1)
    assert (done.code == 0) == (option == "--name" and name.isprintable() and bool(name))
    assert done.err.count("\n") == done.code
    assert len(done.err) < 12_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tensor-parallel-size 0", "--tensor-parallel-size: 0 is not a whole number of 1 or more"),
        ("--quantization fp6", "--quantization: 'fp6' is not one of fp8, int8, awq, "),
        ("--kv-cache-dtype int8", "--kv-cache-dtype: 'int8' is not one of auto, bfloat16, fp8, "),
        ("--price 0", "--price: 0.0 must be above 0"),
        ("--price nan", "--price: "),
        ("--name ''", "--name: '' is not valid"),
        ("--out x.csv", "--out: 'x.csv' would hold YAML"),
    ],
)
def test_what_derive_does_not_take_is_told_with_its_option(adaptwin, words, message):
    done = adaptwin("derive", *L40S, *shlex.split(words))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"adaptwin: {message}")


# adaptwin profiles


def test_profiles_lists_measured_profiles_gpus_and_models_with_their_grade(shown):
    said = shown("profiles")
    assert all(name in said for name in (*shipped_profiles(), *shipped_gpus()))
    assert all(name in said for name in shipped_models())
    for grade in ("measured with LoRA", "derived, base model checked on real runs", "data sheet only", "not claimed"):
        assert grade in said


def test_gpus_and_models_are_listed_alone(shown):
    gpus, models = shown("profiles", "--gpus"), shown("profiles", "--models")
    assert "h100-sxm" in gpus
    assert "Qwen3" not in gpus
    assert "google/gemma-2-9b 9.2 B 336 8,192 not claimed" in models
    assert "h100" not in models


def test_json_lists_what_is_asked_for(adaptwin):
    gpus = json.loads(adaptwin("profiles", "--gpus", "--json").out)
    assert [gpu["name"] for gpu in gpus] == shipped_gpus()
    assert {gpu["grade"] for gpu in gpus} == {"derived, base model checked on real runs", "data sheet only"}
    models = json.loads(adaptwin("profiles", "--models", "--json").out)
    assert [model["name"] for model in models] == shipped_models()
    assert {model["grade"] for model in models} == {None, "rough", "not claimed"}
    assert [profile["name"] for profile in json.loads(adaptwin("profiles", "--json").out)] == shipped_profiles()
    done = adaptwin("profiles", "--gpus", "--models")
    assert (done.code, done.out) == (1, "")
    assert "--gpus does not go with --models" in done.err


def test_a_sweep_runs_on_a_derived_profile_that_it_keeps_with_the_runs(adaptwin, tmp_path):
    out = tmp_path / "runs"
    done = adaptwin(
        "sweep", "planning", "--gpu", "l4", "--model", "Qwen2.5-3B-Instruct", "--mixes", 2, "--jobs", 1, "--out", out
    )
    assert done.code == 0
    kept = load_profile(out / "l4-qwen2.5-3b-instruct.yaml")
    assert kept == derive_profile(gpu="l4", model="Qwen2.5-3B-Instruct")
    assert Dataset.read(out).rows["profile"].unique().to_list() == [kept.name]


def test_a_fleet_is_not_replanned_onto_a_profile_with_other_constants(adaptwin, tmp_path):
    profile = {"gpu": "l40s", "model": "Qwen2.5-3B-Instruct"}
    fleet = {"profile": profile, "duration": 300, "adapters": [{"name": "a", "rank": 16, "rate": 1.0}]}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(fleet))
    assert adaptwin("plan", tmp_path / "fleet.yaml", "--out", tmp_path / "plan.yaml").code == 0
    (tmp_path / "new.yaml").write_text(yaml.safe_dump({**fleet, "profile": {**profile, "vllm_version": "0.19.0"}}))
    done = adaptwin("replan", tmp_path / "plan.yaml", tmp_path / "new.yaml")
    assert done.code == 1
    assert "has other constants, model or version than in the plan" in " ".join(done.err.split())
