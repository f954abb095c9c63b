"""Configurations of adapters: what vLLM 0.32.0 refuses is refused by adaptwin, and nothing else but what is named."""

import itertools
import json

import pytest
from vllm.config.lora import LoRAConfig
from vllm.lora.peft_helper import PEFTHelper

from adaptwin import SpecError
from adaptwin.workload.lora_support import ServedModel
from adaptwin.workload.sources.peft import read_peft_folder

SERVED = ServedModel("meta-llama/Llama-3.1-8B-Instruct", "0.32.0", lora_embeddings=True)
PLAIN = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}
VALUES = {
    "r": [1, 12, 512, 513],
    "bias": ["none", "all", "lora_only"],
    "modules_to_save": [None, [], ["lm_head"], ["embed_tokens", "score"]],
    "use_rslora": [False, True],
    "use_dora": [False, True],
    "lora_bias": [False, True],
    "init_lora_weights": [
        True, False, "gaussian", "EVA", "orthogonal", "mica", "lora_ga", "pissa", "pissa_niter_4", "olora", "corda",
        "loftq",
    ],
    "alora_invocation_tokens": [None, [], [1, 2]],
    "layer_replication": [None, [[0, 4], [2, 5]]],
    "use_bdlora": [None, {"nblocks": 2}],
    "use_qalora": [False, True],
    "rank_pattern": [None, {}, {"q_proj": 4}, {"q_proj": 600}],
    "alpha_pattern": [None, {"q_proj": 4.0}],
}  # fmt: skip


def configurations():
    """Return configurations with one or two fields that may differ from those of a plain LoRA."""
    single = [{field: value} for field, values in VALUES.items() for value in values]
    pairs = [{**one, **other} for one, other in itertools.combinations(single, 2) if set(one).isdisjoint(other)]
    return [{**PLAIN, **fields} for fields in (*single, *pairs)]


def vllm_loads(config):
    try:
        PEFTHelper.from_dict(config).validate_legal(LoRAConfig(max_lora_rank=512, max_loras=1, max_cpu_loras=1))
    except ValueError:
        return False
    return True


@pytest.fixture(scope="module")
def adaptwin_loads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")

    def read(config):
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        try:
            read_peft_folder(folder, rate=1.0, served=SERVED)
        except SpecError:
            return False
        return True

    return read


def test_what_vllm_refuses_is_what_adaptwin_refuses(adaptwin_loads, summary):
    counts = summary.setdefault("PEFTHelper", {"configurations": 0, "of which vLLM loads": 0})
    for config in configurations():
        loads = vllm_loads(config)
        assert adaptwin_loads(config) is loads, config
        counts["configurations"] += 1
        counts["of which vLLM loads"] += loads
    assert 100 < counts["of which vLLM loads"] < counts["configurations"] - 100


@pytest.mark.parametrize(
    "fields",
    [
        {"modules_to_save": ["score"]},  # loads into a model that classifies
        {"task_type": "SEQ_CLS"},
        {"target_parameters": ["mlp.experts.down_proj"]},  # its weights are refused, unless the model has experts
        {"trainable_token_indices": [1]},  # its weights are refused
        {"kasa_config": {"beta": 0.0001}},  # vLLM loads it as a plain LoRA
        {"peft_type": "ADALORA"},  # its weights are refused
    ],
)
def test_what_only_adaptwin_refuses_has_weights_that_the_model_lacks(adaptwin_loads, fields):
    assert vllm_loads({**PLAIN, **fields})
    assert not adaptwin_loads({**PLAIN, **fields})
