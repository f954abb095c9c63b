"""Configurations and folders of adapters as people have them: each is read, or refused with the reason."""

from pathlib import Path

import pytest

from adaptwin import SpecError
from adaptwin.workload.sources.peft import read_peft_folder

SHARED = Path(__file__).resolve().parents[4] / "shared"
SAMPLES = SHARED / "schemas" / "samples" / "peft_adapter_config"
LAYOUTS = SHARED / "field" / "cases" / "layout"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"needs the samples in {SAMPLES}")
needs_layouts = pytest.mark.skipif(not LAYOUTS.is_dir(), reason=f"needs the folders in {LAYOUTS}")

ANSWERS = {  # the rank, or the reason of the refusal
    "adalora-r32": "peft_type: 'ADALORA' must be 'LORA'",
    "ia3": "peft_type: 'IA3' must be 'LORA'",
    "loha-r32": "peft_type: 'LOHA' must be 'LORA'",
    "lora-r10-mlp-only": 10,
    "lora-r14-bdlora": "variants use_bdlora: this variant of LoRA is not supported",
    "lora-r32": 32,
    "lora-r32-dora": "use_dora True: DoRA is not supported",
    "lora-r32-kasa": "variants kasa_config: this variant of LoRA is not supported",
    "lora-r64": 64,
    "lora-r64-rslora": 64,
    "lora-r8-textgen": 8,
    "prompt_tuning": "peft_type: 'PROMPT_TUNING' must be 'LORA'",
    "real-gemma-2-9b-r16-layers_to_transform": 16,
    "real-glm-4-9b-r8-fused-modules-local-path": "dense_4h_to_h: the model offers no such modules for LoRA",
    "real-old-peft-llama-2-7b-r8": 8,
    "real-peft-0.18-cosmos-2b-r32": 32,
    "real-peft-0.19-vlm-r16-regex-target": 16,
    "real-unsloth-llama-3.2-3b-r16": 16,
    "vera": "peft_type: 'VERA' must be 'LORA'",
}


@needs_samples
def test_every_sample_has_an_answer():
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(ANSWERS)


@needs_samples
@pytest.mark.parametrize("name", ANSWERS)
def test_a_sample_is_read_or_refused_with_the_reason(name, tmp_path):
    (tmp_path / "adapter_config.json").write_bytes((SAMPLES / f"{name}.json").read_bytes())
    answer = ANSWERS[name]
    if isinstance(answer, int):
        assert [adapter.rank for adapter in read_peft_folder(tmp_path, rate=1.0).adapters] == [answer]
        return
    with pytest.raises(SpecError) as caught:
        read_peft_folder(tmp_path, rate=1.0)
    assert answer in str(caught.value)


@needs_layouts
@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("trainer", ["extract-inv", "summarise-de"]),
        ("hub", ["acme/sql-lora"]),
        ("nested", ["nested", "nested/nested"]),
        ("odd", sorted(path.name for path in LAYOUTS.glob("odd/*"))),
    ],
)
def test_the_adapters_of_a_folder_are_found(layout, names):
    found = read_peft_folder(LAYOUTS / layout, rate=1.0)
    assert sorted(adapter.name for adapter in found.adapters) == names
    assert {adapter.rank for adapter in found.adapters} == {16}


@needs_layouts
def test_the_checkpoints_of_runs_are_listed():
    found = read_peft_folder(LAYOUTS / "trainer", rate=1.0)
    assert found.checkpoints == dict.fromkeys(("extract-inv", "summarise-de"), (500, 1000, 1500))
