"""PeftFeatures: what an adapter has beyond the matrices of a plain LoRA, as its adapter_config.json says."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from adaptwin.spec import Spec


class PeftFeatures(Spec):
    """Features of PEFT that vLLM does not support in every version. The names are those of adapter_config.json."""

    use_dora: bool = Field(default=False, description="whether the adapter is a DoRA")
    modules_to_save: tuple[str, ...] = Field(default=(), description="modules that were trained in full")
    bias: str = Field(default="none", description="biases of the model that were trained: none, all or lora_only")
    lora_bias: bool = Field(default=False, description="whether the B matrices have biases")
    rank_pattern: dict[str, int] = Field(default={}, description="ranks of modules with another rank than r")
    alpha_pattern: dict[str, float] = Field(default={}, description="alphas of modules with another than lora_alpha")
    target_parameters: tuple[str, ...] = Field(
        default=(), description="parameters that the adapter changes, such as the weights of experts"
    )
    trainable_token_indices: bool = Field(default=False, description="whether embeddings of tokens were trained")
    task_type: str = Field(default="CAUSAL_LM", description="task of the model that the adapter was trained on")
    init_lora_weights: str | None = Field(
        default=None, description="initialisation that changes the weights of the base model, such as pissa or loftq"
    )
    variants: tuple[str, ...] = Field(
        default=(), description="fields of adapter_config.json that make another variant of LoRA, such as use_qalora"
    )

    @model_serializer(mode="wrap")
    def _file_form(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the features that differ from those of a plain LoRA."""
        return {name: value for name, value in handler(self).items() if getattr(self, name) != _DEFAULTS[name]}

    @property
    def is_plain(self) -> bool:
        """Whether the adapter is a plain LoRA."""
        return all(getattr(self, name) == value for name, value in _DEFAULTS.items())


_DEFAULTS = {name: field.default for name, field in PeftFeatures.model_fields.items()}
