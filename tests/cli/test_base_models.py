"""Fleets with several base models on the command line: plan, verify, explain, export and replan."""

import json

import pytest

from adaptwin import Plan, Plans

PROFILES = ("h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct")
LLAMA, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct"
NAMED = ("--profile", PROFILES[0], "--profile", PROFILES[1])
FLEET = f"""\
profile: [{", ".join(PROFILES)}]
duration: 300
adapters:
- {{name: support, rank: 8, rate: 0.5, base: {LLAMA}}}
- {{name: legal, rank: 16, rate: 0.3, base: {QWEN}}}
- {{name: sales, rank: 8, rate: 0.2, base: {LLAMA}}}
"""
CSV = f"name,rank,rate,base\nsupport,8,0.5,{LLAMA}\nlegal,16,0.3,qwen2.5-7b-instruct\n"


@pytest.fixture
def mixed(adaptwin, folder):
    """The folder with a fleet of two base models, and its plans."""
    (folder / "mixed.yaml").write_text(FLEET)
    (folder / "mixed.csv").write_text(CSV)
    done = adaptwin("plan", "mixed.yaml", "--out", "plans.yaml", "--report", "plans.html")
    assert done.code == 0, done.err
    (folder / "said.txt").write_text(done.out)
    return folder


def test_the_report_has_the_totals_and_then_each_base_model(mixed):
    said = (mixed / "said.txt").read_text()
    assert said.startswith("2 GPUs for 3 adapters of 2 base models with 1.00 requests/s.\n")
    assert "Verified: every server simulated again with fresh arrivals" in said
    assert said.index("Base models\n") < said.index(f"\n{LLAMA}\n") < said.index(f"\n{QWEN}\n")
    assert "1 GPU for 2 adapters with 0.7 requests/s." in said
    assert "1 GPU for 1 adapter with 0.3 requests/s." in said


def test_the_file_has_a_plan_for_each_base_model_that_all_commands_take(mixed, adaptwin):
    plans = Plans.read(mixed / "plans.yaml")
    assert [(plan.base, plan.gpus) for plan in plans.plans] == [(LLAMA, 1), (QWEN, 1)]
    done = adaptwin("verify", "plans.yaml", "--seed", "7")
    assert done.code == 0
    assert done.out.count("The plan holds on 1 GPU with seed 7") == 2
    done = adaptwin("explain", "plans.yaml", "--gpu", "gpu-1")
    assert (QWEN in done.out, LLAMA in done.out) == (True, False)
    done = adaptwin("export", "plans.yaml")
    assert f"CUDA_VISIBLE_DEVICES=1 VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {QWEN} " in done.out


def test_json_names_the_base_models(mixed, adaptwin):
    checks = json.loads(adaptwin("verify", "plans.yaml", "--json").out)
    assert checks["ok"] is True
    assert [(each["base"], len(each["runs"])) for each in checks["plans"]] == [(LLAMA, 1), (QWEN, 1)]
    explained = json.loads(adaptwin("explain", "plans.yaml", "--json").out)
    assert [each["base"] for each in explained["plans"]] == [LLAMA, QWEN]
    planned = json.loads(adaptwin("plan", "mixed.yaml", "--json").out)
    assert [each["profiles"][0]["model"]["name"] for each in planned["plans"]] == [LLAMA, QWEN]


def test_a_csv_with_bases_is_planned_on_named_or_derived_profiles(mixed, adaptwin):
    for profiles in (NAMED, ("--gpu", "h100-sxm", "--model", "Llama-3.1-8B-Instruct", "--model", QWEN)):
        done = adaptwin("plan", "mixed.csv", *profiles, "--out", "csv.yaml")
        assert done.code == 0, done.err
        served = {plan.base: list(plan.servers[0].adapters) for plan in Plans.read(mixed / "csv.yaml").plans}
        assert served == {LLAMA: ["support"], QWEN: ["legal"]}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,8,0.5,\nb,8,0.5,qwen2.5-7b", "f.csv: adapters: 1 of 2 names no base model (a), but the profiles have 2: "),
        ("a,8,0.5,microsoft/phi-4\nb,8,0.5,qwen2.5-7b", "f.csv: adapters: no profile serves microsoft/phi-4, the base"),
    ],
)
def test_an_adapter_without_a_base_or_of_an_unknown_one_is_refused(folder, adaptwin, rows, said):
    (folder / "f.csv").write_text(f"name,rank,rate,base\n{rows}\n")
    done = adaptwin("plan", "f.csv", *NAMED)
    assert done.code == 1
    assert done.err.startswith(f"adaptwin: {said}")


def test_adapters_of_an_unknown_base_are_left_out_where_that_is_asked_for(folder, adaptwin):
    (folder / "f.csv").write_text(f"{CSV}ocr,8,0.1,microsoft/phi-4\n")
    done = adaptwin("plan", "f.csv", *NAMED, "--skip-unsupported", "--out", "p.yaml")
    assert done.code == 0
    assert "left out ocr: no profile serves its base model microsoft/phi-4" in done.err
    assert [adapter.name for adapter in Plans.read(folder / "p.yaml").workload.adapters] == ["support", "legal"]


def test_a_fleet_of_one_base_model_has_the_plan_of_today_and_other_profiles_are_said(folder, adaptwin):
    (folder / "f.csv").write_text(f"name,rank,rate,base\na,8,0.5,{LLAMA}\nb,8,0.3,{LLAMA}\n")
    both = adaptwin("plan", "f.csv", *NAMED, "--out", "both.yaml")
    assert f"warning: not used, as no adapter has the base model: {PROFILES[1]} ({QWEN})" in both.err
    alone = adaptwin("plan", "f.csv", "--profile", PROFILES[0], "--out", "alone.yaml")
    assert "warning" not in alone.err
    assert "base model" not in alone.out
    assert Plan.read(folder / "both.yaml").servers == Plan.read(folder / "alone.yaml").servers


def test_a_replan_changes_each_base_model_and_names_new_servers_anew(mixed, adaptwin):
    (mixed / "new.yaml").write_text(
        FLEET.replace("rate: 0.3", "rate: 60") + f"- {{name: n, rank: 8, rate: 1, base: {LLAMA}}}\n"
    )
    done = adaptwin("replan", "plans.yaml", "new.yaml", "--out", "next.yaml")
    assert done.code == 0, done.err
    llama, qwen = Plans.read(mixed / "next.yaml").plans
    assert llama.migration.added == 1
    assert [server.name for server in llama.servers] == ["gpu-0"]
    assert {server.name for server in qwen.servers} >= {"gpu-1", "gpu-2"}
    assert done.out.count("\nChanges\n") == 2
    assert adaptwin("verify", "next.yaml").code == 0


def test_a_folder_of_adapters_of_several_base_models_makes_a_fleet_that_can_be_planned(folder, adaptwin):
    for name, base in (("a", LLAMA), ("b", QWEN)):
        (folder / "loras" / name).mkdir(parents=True)
        text = json.dumps({"peft_type": "LORA", "r": 8, "base_model_name_or_path": base})
        (folder / "loras" / name / "adapter_config.json").write_text(text)
    call = ("workload", "from-peft", "loras", "--rate", "0.5", *NAMED, "--duration", "300", "--out", "peft.yaml")
    done = adaptwin(*call)
    assert done.code == 0, done.err
    assert adaptwin("plan", "peft.yaml", "--out", "p.yaml").code == 0
    assert [plan.base for plan in Plans.read(folder / "p.yaml").plans] == [LLAMA, QWEN]
