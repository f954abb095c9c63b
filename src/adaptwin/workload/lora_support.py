"""LoRA support of vLLM: which adapters a version refuses, and which features of them it ignores.

Read in vLLM's sources of versions 0.8.5, 0.9.2, 0.10.2, 0.11.0 to 0.12.0, 0.14.1, 0.18.1, 0.22.1 and 0.28.0 to 0.32.0:

- vllm/lora/peft_helper.py: `PEFTHelper` reads the fields of adapter_config.json that it knows and drops all others;
  `_validate_features` and `validate_legal` refuse;
- vllm/lora/utils.py: `parse_fine_tuned_lora_name` refuses weights that are neither A nor B, such as those of trained
  tokens;
- vllm/lora/models.py, lora_model.py since 0.14: `LoRAModel.from_local_checkpoint` refuses weights of modules that the
  model does not offer for LoRA;
- vllm/model_executor/models: a model offers its linear layers, and its ``embedding_modules``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adaptwin.model_names import differs, same_shapes, same_weights
from adaptwin.vllm_versions import Version, version_numbers
from adaptwin.workload.peft_features import PeftFeatures

LINEAR_MODULES = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
FUSED_MODULES = {"qkv_proj", "gate_up_proj"}  # of models whose own files hold them fused, such as Phi-3
MLP_MODULES = {"gate_proj", "up_proj", "down_proj", "gate_up_proj"}
EMBEDDINGS = {"embed_tokens", "lm_head"}
MOST_NAMED = 50  # adapters in an error

_ALWAYS: Version = (0, 0, 0)
_PATTERNS_APPLIED: Version = (0, 32, 0)


class BaseShape(NamedTuple):
    """The shapes of a base model's linear layers."""

    layers: int
    widths: Mapping[str, tuple[int | None, int | None]]  # inputs and outputs, by module; None where not known


class ServedModel(NamedTuple):
    """What an adapter must fit: a base model as a version of vLLM serves it. None stands for what is not known."""

    name: str | None = None
    vllm_version: str | None = None
    lora_embeddings: bool | None = None  # whether the model offers its embeddings for LoRA
    shape: BaseShape | None = None
    experts: bool = False  # whether the model has experts
    lora_experts: bool = False  # whether the version of vLLM has LoRA on them


class _Refusal(NamedTuple):
    reason: str
    since: Version = _ALWAYS  # earlier versions load the adapter as if it were a plain LoRA


_REFUSED = {
    "use_dora": _Refusal("DoRA is not supported"),
    "modules_to_save": _Refusal("modules trained in full are not loaded; since 0.31 those of a classifier are"),
    "bias": _Refusal("biases are not loaded; before 0.11.1 they are with --enable-lora-bias, which no export has"),
    "lora_bias": _Refusal("biases of adapters are not loaded"),
    "target_parameters": _Refusal("the model has no experts, or vLLM no LoRA on them, as before 0.11.1"),
    "trainable_token_indices": _Refusal("trained tokens are not loaded"),
    "init_lora_weights": _Refusal(
        "training changed the base model's weights; convert the adapter with PEFT's "
        "path_initial_model_for_weight_conversion",
        since=(0, 32, 0),
    ),
    "variants": _Refusal("this variant of LoRA is not supported", since=(0, 32, 0)),
}


def refusals(
    base_model: str | None, target_modules: Sequence[str] | None, features: PeftFeatures | None, served: ServedModel
) -> list[str]:
    """Return why vLLM cannot serve an adapter on this model, one clause each; empty if it can.

    What vLLM loads as a plain LoRA although it is none counts too, as its answers are wrong.
    """
    found = []
    if served.name is not None and differs(base_model, served.name):
        found.append(f"its base model is {base_model}, not {served.name}")
    if unknown := _modules_not_offered(target_modules or (), served):
        found.append(f"target_modules {', '.join(unknown)}: the model offers no such modules for LoRA")
    if features:
        found += [
            f"{field} {_comma_separated(value)}: {_refused(refusal, served.vllm_version)}"
            for field, refusal in _REFUSED.items()
            if not (field == "target_parameters" and served.lora_experts)
            and (value := getattr(features, field)) not in (False, (), None, "none")
        ]
        if features.task_type != "CAUSAL_LM":
            found.append(f"task_type {features.task_type}: the servers of a plan generate text (CAUSAL_LM)")
    return found


def not_applied(base_model: str | None, features: PeftFeatures | None, served: ServedModel) -> list[str]:
    """Return what vLLM serves otherwise than it was trained, though it loads; one clause each."""
    found = [_doubt(base_model, served.name)] if base_model and served.name else []
    if features and version_numbers(served.vllm_version) < _PATTERNS_APPLIED:
        patterns = [field for field in ("rank_pattern", "alpha_pattern") if getattr(features, field)]
        if patterns:
            found.append(f"{' and '.join(patterns)}: vLLM before 0.32 scales every module by lora_alpha / r")
    return [told for told in found if told]


def _doubt(base_model: str, model: str) -> str:
    """Return what is to be said of an adapter that loads on a model, by the names of its base model and the model."""
    if same_weights(base_model, model) or differs(base_model, model):
        return ""
    if same_shapes(base_model, model):
        return f"trained on {base_model}, served on {model}: the same shapes, perhaps other weights"
    return f"the base model {base_model} is a path, so whether it is {model} is not known"


def named_with_reasons(unsupported: Mapping[str, str], count: int, served: ServedModel) -> str:
    """Return the message that some of `count` adapters cannot be served on a model, given the reasons by name."""
    told = [f"{name} ({reason})" for name, reason in list(unsupported.items())[:MOST_NAMED]]
    more = f" and {len(unsupported) - MOST_NAMED:,} more" if len(unsupported) > MOST_NAMED else ""
    vllm = f"vLLM {served.vllm_version}" if served.vllm_version else "vLLM"
    head = f"{vllm} cannot serve {len(unsupported):,} of {count:,} adapters"
    return f"{head} (--skip-unsupported leaves them out): {', '.join(told)}{more}"


def _refused(refusal: _Refusal, version: str | None) -> str:
    if version_numbers(version) >= refusal.since:
        return refusal.reason
    since = "{}.{}".format(*refusal.since)
    return f"{refusal.reason}; vLLM before {since} loads it as a plain LoRA, so its answers are wrong"


def modules_offered(served: ServedModel) -> set[str]:
    """Return the modules that a model offers for LoRA; one with experts only those of the attention before 0.11.1."""
    linear = LINEAR_MODULES | FUSED_MODULES
    if served.experts and not served.lora_experts:
        linear = linear - MLP_MODULES
    if served.lora_experts:
        linear = linear | {"experts"}  # of which PEFT trains whole parameters
    return linear | (set() if served.lora_embeddings is False else EMBEDDINGS)


def _modules_not_offered(modules: Sequence[str], served: ServedModel) -> list[str]:
    """Return the target modules that a model does not offer for LoRA.

    A pattern, such as ``.*_proj`` or ``all-linear``, counts as far as it matches embeddings. PEFT matches it with the
    whole name of a module.
    """
    offered = modules_offered(served)
    if len(modules) == 1 and not re.fullmatch(r"[\w.]+", modules[0]):
        modules = [name for name in ("model.embed_tokens", "lm_head") if _matches(modules[0], name)]
    return [name for name in modules if name.rpartition(".")[2] not in offered]


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return False


def _comma_separated(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
