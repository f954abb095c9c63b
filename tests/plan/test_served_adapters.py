"""Base models of a plan: of one model only, and with adapters that its servers can load."""

import pytest
import yaml

from adaptwin import Adapter, Plan, SpecError, Workload, load_profile, make_plan, replan
from adaptwin.placement.fleet import plan_fleet
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.plan.base_models import require_one_model
from adaptwin.plan.fleet import Fleet
from adaptwin.plan.served_adapters import served_model, served_otherwise, unsupported, without_unsupported
from adaptwin.profile.derive import derive_profile
from adaptwin.workload.peft_features import PeftFeatures

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
MISTRAL = "mistralai/Mistral-7B-v0.1"
WINDOW = 300.0


@pytest.fixture(scope="module")
def qwen():
    return load_profile("h100-64gb-qwen-2.5-7b-instruct")


def changed(profile, **shape):
    """Return a profile with another name and another model."""
    return profile.model_copy(update={"name": "other", "model": profile.model.model_copy(update=shape)})


def workload(*adapters):
    return Workload(adapters, duration=WINDOW)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_profiles_of_several_models_are_refused_under_every_objective(h100, qwen, objective):
    options = {"gpus": 2} if objective in ("min-latency", "max-throughput") else {}
    prices = {h100.name: 2.0, qwen.name: 1.0}
    for profiles in ([h100, qwen], [qwen, h100]):
        with pytest.raises(SpecError) as caught:
            make_plan(profiles, workload(Adapter("a", 8, 1.0)), objective=objective, prices=prices, **options)
        for name in (h100.name, qwen.name, LLAMA, "Qwen/Qwen2.5-7B-Instruct", "make a plan for each"):
            assert name in str(caught.value)


def test_profiles_of_several_models_are_refused_for_adapters_without_a_base(h100, qwen):
    with pytest.raises(SpecError, match="1 of 1 names no base model"):
        plan_fleet(Fleet(adapters=(Adapter("a", 8, 1.0),), duration=WINDOW), [h100, qwen], {})


@pytest.mark.parametrize(
    ("shape", "difference"),
    [
        ({"name": "meta-llama/Llama-3.1-8B"}, "other weights of the same shapes"),
        ({"layers": 40}, "layers 32 and 40"),
        ({"vocabulary": 128257}, "vocabulary 128256 and 128257"),
        ({"tied_embeddings": True}, "tied_embeddings False and True"),
        ({"name": "NousResearch/Hermes-3-Llama-3.1-8B"}, "serves NousResearch/Hermes-3-Llama-3.1-8B: all"),
    ],
)
def test_models_that_differ_in_name_or_shape_are_several(h100, shape, difference):
    with pytest.raises(SpecError) as caught:
        require_one_model([h100, h100, changed(h100, **shape)])
    assert difference in str(caught.value)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"name": "/models/llama"},
        {"name": "neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8", "bytes_per_weight": 1},
        {"name": "llama-3.1-8b-instruct", "max_model_len": 8192},
        {"lora_embeddings": False, "early_stop_share": 0.1},
    ],
)
def test_copies_of_a_model_are_one(h100, shape):
    require_one_model([h100, changed(h100, **shape)])


def test_an_adapter_of_another_model_is_refused_with_all_such_adapters_named(h100):
    found = workload(Adapter("a", 8, 1.0, base=LLAMA), Adapter("b", 8, 1.0, base=MISTRAL))
    with pytest.raises(SpecError) as caught:
        make_plan(h100, found)
    assert str(caught.value) == (
        "adapters: vLLM 0.8.5 cannot serve 1 of 2 adapters (--skip-unsupported leaves them out): "
        f"b (its base model is {MISTRAL}, not {LLAMA})"
    )


def test_more_adapters_than_an_error_can_name_are_counted(h100):
    found = workload(*(Adapter(f"a{i}", 8, 1.0, base=MISTRAL) for i in range(60)))
    with pytest.raises(SpecError, match=r"cannot serve 60 of 60 adapters .* and 10 more$"):
        make_plan(h100, found)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"features": {"use_dora": True}}, "use_dora True: DoRA is not supported"),
        ({"features": {"modules_to_save": ["lm_head"]}}, "modules_to_save lm_head"),
        ({"features": {"target_parameters": ["mlp.experts.w1"]}}, "target_parameters mlp.experts.w1: the model has no"),
        ({"target_modules": ["q_proj", "gate"]}, "target_modules gate: the model offers no such modules"),
        ({"base": "Qwen/Qwen2.5-7B-Instruct"}, "its base model is Qwen/Qwen2.5-7B-Instruct"),
    ],
)
def test_what_vllm_refuses_is_refused_by_plan_replan_and_plan_files(h100, tmp_path, fields, reason):
    good = workload(Adapter("a", 8, 1.0, base="meta-llama/Llama-3.1-8B"), Adapter("b", 8, 1.0))
    bad = workload(Adapter("a", 8, 1.0), Adapter(name="b", rank=8, rate=1.0, **fields))
    assert unsupported(good, [h100]) == {}
    assert list(unsupported(bad, [h100])) == ["b"]
    with pytest.raises(SpecError) as caught:
        make_plan(h100, bad)
    assert f"b ({reason}" in str(caught.value)
    plan = make_plan(h100, good)
    with pytest.raises(SpecError) as caught:
        replan(plan, bad)
    assert reason in str(caught.value)
    file = tmp_path / "plan.yaml"
    plan.write(file)
    edited = yaml.safe_load(file.read_text(encoding="utf-8"))
    edited["workload"]["adapters"][1] |= fields
    file.write_text(yaml.safe_dump(edited), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        Plan.read(file)
    assert str(caught.value).startswith(f"{file}: adapters: vLLM 0.8.5 cannot serve 1 of 2 adapters")
    assert reason in str(caught.value)


def test_a_plan_file_with_profiles_of_two_models_is_refused(h100, qwen, tmp_path):
    plan = make_plan(h100, workload(Adapter("a", 8, 1.0)))
    file = tmp_path / "plan.yaml"
    plan.write(file)
    edited = yaml.safe_load(file.read_text(encoding="utf-8"))
    edited["profiles"].append(qwen.file_form())
    file.write_text(yaml.safe_dump(edited), encoding="utf-8")
    with pytest.raises(SpecError, match="must have the same base model"):
        Plan.read(file)


def test_unsupported_adapters_can_be_left_out(h100):
    found = workload(Adapter("a", 8, 1.0), Adapter("b", 8, 2.0, base=MISTRAL), Adapter("c", 16, 3.0))
    kept, reasons = without_unsupported(found, [h100])
    assert [adapter.name for adapter in kept.adapters] == ["a", "c"]
    assert list(reasons) == ["b"]
    assert make_plan(h100, kept).verified
    assert without_unsupported(kept, [h100]) == (kept, {})
    with pytest.raises(SpecError, match="cannot serve 1 of 1 adapters"):
        without_unsupported(workload(found.adapters[1]), [h100])


def test_leaving_adapters_out_leaves_the_traffic_of_the_others():
    """Two adapters of the same rate share 100 timestamps: either has about half of them, alone too."""
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    adapters = (Adapter("a", 8, 1.0), Adapter("b", 8, 1.0, base=MISTRAL))
    found = Workload(adapters, arrivals=tuple(float(t) for t in range(100)), duration=WINDOW)
    kept, _ = without_unsupported(found, [profile])
    assert set(kept.arrivals) < set(found.arrivals)
    assert len(kept.arrivals) == 50
    assert kept.with_arrivals("gamma:cv=3").dealt().adapters[0].arrivals is None


def test_an_adapter_must_suit_every_profile(h100):
    """Patterns are applied since vLLM 0.32; the older profile decides. Embeddings must be offered by all."""
    newer = h100.model_copy(update={"name": "newer", "vllm_version": "0.32.0"})
    patterned = workload(Adapter(name="a", rank=8, rate=1.0, features=PeftFeatures(rank_pattern={"q_proj": 4})))
    assert served_otherwise(patterned, [newer]) == {}
    assert list(served_otherwise(patterned, [newer, h100])) == ["a"]
    headed = workload(Adapter(name="a", rank=8, rate=1.0, target_modules=("lm_head",)))
    assert unsupported(headed, [h100]) == {}
    assert list(unsupported(headed, [h100, changed(h100, lora_embeddings=False)])) == ["a"]


@pytest.mark.parametrize(
    ("versions", "oldest"),
    [
        (("0.32.0", "0.8.5"), "0.8.5"),
        (("0.10.2", "0.9.2"), "0.9.2"),
        (("v0.11.0rc1", "0.12.0"), "v0.11.0rc1"),
        (("nightly", "0.12.0"), "nightly"),
    ],
)
def test_the_oldest_version_counts_and_an_unknown_one_is_the_oldest(h100, versions, oldest):
    profiles = [h100.model_copy(update={"vllm_version": version}) for version in versions]
    assert served_model(profiles).vllm_version == oldest


def test_features_are_kept_in_files_without_those_of_a_plain_lora(tmp_path):
    features = PeftFeatures(use_dora=True, rank_pattern={"q_proj": 4}, modules_to_save=("lm_head",))
    found = workload(Adapter(name="a", rank=8, rate=1.0, base=LLAMA, features=features), Adapter("b", 8, 1.0))
    file = tmp_path / "fleet.yaml"
    found.write(file)
    rows = yaml.safe_load(file.read_text(encoding="utf-8"))["adapters"]
    assert rows[0]["features"] == {"use_dora": True, "rank_pattern": {"q_proj": 4}, "modules_to_save": ["lm_head"]}
    assert "features" not in rows[1]
    assert Workload.read(file) == found


@pytest.mark.parametrize(
    ("version", "reason"), [("0.33.0", None), ("0.10.2", "target_parameters mlp.experts.down_proj: ")]
)
def test_adapters_on_experts_are_served_where_vllm_has_lora_on_experts(version, reason):
    moe = derive_profile(gpu="h200", model="Qwen/Qwen3-30B-A3B", vllm_version=version)
    features = PeftFeatures(target_parameters=("mlp.experts.down_proj",))
    adapter = Adapter("a", 8, 1.0, base_model="Qwen/Qwen3-30B-A3B", target_modules=("q_proj",), features=features)
    found = unsupported(Workload([adapter]), [moe])
    assert found == {} if reason is None else found["a"].startswith(reason)


def test_before_0_11_1_a_model_with_experts_offers_its_attention_only():
    moe = derive_profile(gpu="h200", model="Qwen/Qwen3-30B-A3B", vllm_version="0.10.2")
    adapter = Adapter("a", 8, 1.0, target_modules=("q_proj", "down_proj"))
    assert unsupported(Workload([adapter]), [moe]) == {
        "a": "target_modules down_proj: the model offers no such modules for LoRA"
    }
