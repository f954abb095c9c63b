"""Families of models: what Hugging Face and vLLM do with a ``model_type`` beyond the numbers in its configuration.

Read in transformers 5 (configuration files of the models) and in vLLM 0.32.0 (vllm/model_executor/models); of earlier
versions of vLLM, what is said at each version.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from adaptwin.vllm_versions import Version, version_numbers

_ALL: Version = (0, 0, 0)
_NEVER: Version = (2**31, 0, 0)

# Classes with `embedding_modules` have slots for LoRA on their embedding and output matrices. In November 2025 vLLM
# dropped tokens that adapters add to the vocabulary (pull request 28382), not these slots: Llama has them in 0.32.0.
_QWEN_3_SINCE: Version = (0, 13, 0)  # pull request 29816, of December 2025
_LORA_ON_EXPERTS_SINCE: Version = (0, 11, 1)  # pull request 21229, merged in October 2025
_MISTRAL_UNTIL: Version = (0, 16, 0)  # its class was Llama's before; not known to the version: between 0.11 and 0.32


class ExpertFields(NamedTuple):
    """Names of the fields of a configuration that describe the experts of a layer."""

    width: str = "intermediate_size"  # of an expert's MLP
    number: tuple[str, ...] = ("num_local_experts", "num_experts")  # transformers 5 writes the first for both
    active: tuple[str, ...] = ("num_experts_per_tok", "experts_per_token")


class ModelFamily(NamedTuple):
    """What a model type means.

    Attributes:
        lora_embeddings: First version of vLLM with LoRA on embedding and output matrix, and the first one without.
        defaults: Values of fields that a configuration does not state, where they are not those of a Llama.
        note: What the shapes of the model leave out; empty if nothing.
        is_described: Whether the laws of steps and memory describe the layers.
        experts: Where the configuration describes its experts; None: all layers are dense.
    """

    lora_embeddings: tuple[Version, Version] = (_NEVER, _NEVER)
    defaults: Mapping[str, Any] = {}
    note: str = ""
    is_described: bool = True
    experts: ExpertFields | None = None

    def has_lora_embeddings(self, vllm_version: str | None) -> bool:
        """Whether a version of vLLM preallocates LoRA weights for the embedding and the output matrix."""
        since, until = self.lora_embeddings
        return since <= version_numbers(vllm_version) < until

    def has_lora_experts(self, vllm_version: str | None) -> bool:
        """Whether a version of vLLM serves adapters on experts."""
        return self.experts is not None and version_numbers(vllm_version) >= _LORA_ON_EXPERTS_SINCE


_GEMMAS = "attention with soft caps or windows and four norms a layer are not in the law of steps"
_GEMMA_3 = ModelFamily(
    note=_GEMMAS,
    is_described=False,
    defaults={
        "tie_word_embeddings": True,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
    },
)

MODEL_FAMILIES = {
    "llama": ModelFamily(lora_embeddings=(_ALL, _NEVER)),
    "mistral": ModelFamily(lora_embeddings=(_ALL, _MISTRAL_UNTIL)),
    "qwen2": ModelFamily(defaults={"use_sliding_window": False}),
    "qwen3": ModelFamily(
        lora_embeddings=(_QWEN_3_SINCE, _NEVER), defaults={"use_sliding_window": False, "head_dim": 128}
    ),
    "gemma2": ModelFamily(
        note=_GEMMAS,
        is_described=False,
        defaults={"tie_word_embeddings": True, "head_dim": 256, "sliding_window": 4096},
    ),
    "gemma3": _GEMMA_3,
    "gemma3_text": _GEMMA_3,
    "mixtral": ModelFamily(experts=ExpertFields()),
    "qwen3_moe": ModelFamily(
        defaults={"use_sliding_window": False, "head_dim": 128}, experts=ExpertFields(width="moe_intermediate_size")
    ),
    "gpt_oss": ModelFamily(
        defaults={"head_dim": 64, "sliding_window": 128},
        note="biases of linear layers and attention sinks are not in the law of steps, and adapters have one A matrix "
        "for the gate and the up projection of an expert, which count as two: slots appear about a fifth larger",
        experts=ExpertFields(),
    ),
    "phi3": ModelFamily(
        lora_embeddings=(_ALL, _NEVER),  # the class inherits from Llama's, in 0.32.0 and as far back as was looked
        note="the fused layers qkv_proj and gate_up_proj have one LoRA each; they are counted as the separate layers "
        "of other models, so adapters and slots appear about a fifth larger than they are",
    ),
}
