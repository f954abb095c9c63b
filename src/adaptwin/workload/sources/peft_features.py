"""Features of PEFT: what an adapter_config.json asks for that vLLM refuses to load, or loads but does not apply.

Sources: `PEFTHelper._validate_features` and `validate_legal` (vllm/lora/peft_helper.py), which refuse DoRA, saved
modules, and biases without ``--enable-lora-bias``; `LoRAModel.from_local_checkpoint` (vllm/lora/models.py, since 0.11
lora_model.py), which refuses weights of modules that the model does not offer for LoRA. `PEFTHelper.from_dict` drops
the fields that it does not know, such as ``alpha_pattern``. Read in vLLM 0.8.5; later versions refuse no less of these.
"""

from collections.abc import Mapping
from typing import Any

SERVED_MODULES = {
    "q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "gate_proj", "up_proj", "down_proj", "gate_up_proj",
    "embed_tokens", "lm_head",
}  # fmt: skip
_TASKS = (None, "CAUSAL_LM")


_REFUSED: dict[str, str] = {
    "use_dora": "vLLM does not support DoRA",
    "modules_to_save": "vLLM loads no saved modules",
    "lora_bias": "vLLM loads no biases of adapters by default",
    "target_parameters": "vLLM has no LoRA on parameters, such as experts",
    "layer_replication": "the adapter is for a model with other layers",
    "trainable_token_indices": "vLLM loads no trained tokens",
    "use_qalora": "vLLM does not support QALoRA",
    "use_bdlora": "vLLM does not support BDLoRA",
    "kasa_config": "vLLM does not support KaSA",
}


def refusals(config: Mapping[str, Any]) -> list[str]:
    """Return why vLLM would refuse to load an adapter with this configuration, one clause each; empty if it loads."""
    found = [f"{field} {_listed(config[field])}: {reason}" for field, reason in _REFUSED.items() if config.get(field)]
    if (kind := config.get("peft_type")) != "LORA":
        found.append(f"peft_type: {'missing' if kind is None else repr(kind)} must be 'LORA'")
    if (bias := config.get("bias")) not in (None, "none"):
        found.append(f"bias {bias}: {_REFUSED['lora_bias']}")
    if (task := config.get("task_type")) not in _TASKS:
        found.append(f"task_type {task}: vLLM serves adapters of language models (CAUSAL_LM)")
    if unknown := _unknown_modules(config.get("target_modules")):
        found.append(f"target_modules {_listed(unknown)}: vLLM has no LoRA on these modules of a dense model")
    return found


def not_applied(config: Mapping[str, Any]) -> list[str]:
    """Return what vLLM loads but does not apply, so that answers differ from those in training; one clause each."""
    found = []
    if config.get("alpha_pattern"):
        found.append("alpha_pattern: vLLM scales all modules by lora_alpha")
    ranks = config.get("rank_pattern") or {}
    if isinstance(ranks, dict) and set(ranks.values()) - {config.get("r")}:
        found.append("rank_pattern: vLLM scales all modules by lora_alpha / r")
    if config.get("alora_invocation_tokens"):
        found.append("alora_invocation_tokens: vLLM applies the adapter to the whole prompt")
    return found


def _unknown_modules(modules: Any) -> list[str]:
    """Return the target modules that a dense model does not offer for LoRA; a pattern may match any."""
    if not isinstance(modules, list):
        return []
    return [name for name in modules if isinstance(name, str) and name.rpartition(".")[2] not in SERVED_MODULES]


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) else str(names)
