"""ModelSheet: the shape of a model, made from the fields of its Hugging Face configuration."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field

from adaptwin.errors import SpecError, not_one_of
from adaptwin.profile.hardware.model_family import MODEL_FAMILIES, ModelFamily
from adaptwin.profile.hardware.shipped_models import early_stops
from adaptwin.profile.model_shape import LARGEST_SHAPE, LONGEST_CONTEXT, ModelShape
from adaptwin.spec import Spec
from adaptwin.visible import quoted

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_QUANTISED = ("quantization_config", "compression_config", "quantization")
QUANTISED_NOT_YET = "quantised models are not supported yet"
_UNSUPPORTED = {  # by the fields that only such models have
    **dict.fromkeys(_EXPERTS, "models with experts are not supported, only dense ones"),
    "kv_lora_rank": "latent attention (MLA) is not supported",
    "is_encoder_decoder": "models with an encoder are not supported, only decoders",
    **dict.fromkeys(_QUANTISED, QUANTISED_NOT_YET),
}
_GENERATING = ("ForCausalLM", "ForConditionalGeneration")  # ends of the names of classes that generate text

ConfigSize = Annotated[int, Field(strict=True, gt=0, le=LARGEST_SHAPE)]
ConfigFlag = Annotated[bool, Field(strict=True)]
DType = Literal["bfloat16", "float16", "float32"]


class ModelSheet(NamedTuple):
    """The shape of a model, and what it leaves out, in whole clauses."""

    shape: ModelShape
    notes: tuple[str, ...] = ()
    is_described: bool = True  # whether the laws of steps and memory describe the model's layers


def model_sheet(config: dict[str, Any], name: str, vllm_version: str | None, file: Path) -> ModelSheet:
    """Return the sheet of a model with this configuration, which `file` holds; raises `SpecError`."""
    text = config.get("text_config")
    if text is not None and not isinstance(text, dict):
        raise SpecError(f"{quoted(text)} must be a mapping of fields", "text_config", file)
    inner = text or {}
    fields = {key: value for key, value in {**config, **inner}.items() if value is not None}
    try:
        _refuse_unsupported(fields)
        family = _model_family(fields)
        read = _Config.parse({**family.defaults, **fields}, file=file)
        loras = {"lora_embeddings": family.has_lora_embeddings(vllm_version)}
        shape = ModelShape.parse({"name": name, **_dimensions(read), **loras, **early_stops(name)}, file=file)
    except SpecError as error:
        field = f"text_config.{error.field}" if error.field in inner else error.field
        raise SpecError(error.message, field, file) from None
    return ModelSheet(shape, tuple(_notes(read, family, multimodal=text is not None)), family.is_described)


class _Config(Spec):
    """The fields of a configuration that the shape of a model depends on; all others are left aside."""

    model_config = ConfigDict(extra="ignore")

    hidden_size: ConfigSize
    num_hidden_layers: ConfigSize
    num_attention_heads: ConfigSize
    num_key_value_heads: ConfigSize | None = None
    head_dim: ConfigSize | None = None
    intermediate_size: ConfigSize
    vocab_size: ConfigSize
    max_position_embeddings: Annotated[int, Field(strict=True, gt=0, le=LONGEST_CONTEXT)]
    tie_word_embeddings: ConfigFlag = False
    sliding_window: Annotated[int, Field(strict=True)] | None = None
    use_sliding_window: ConfigFlag = True
    dtype: DType | None = None  # all are served in 16 bits: `--dtype auto` makes 16 of 32
    torch_dtype: DType | None = None

    @property
    def window(self) -> int | None:
        """Tokens that a layer with a sliding window sees; None if no layer has one."""
        window = self.sliding_window or 0
        return window if self.use_sliding_window and 0 < window < self.max_position_embeddings else None


def _refuse_unsupported(fields: dict[str, Any]) -> None:
    """Raise `SpecError` for a model of another kind than dense decoders in 16 bits."""
    for field, reason in _UNSUPPORTED.items():
        if fields.get(field):
            raise SpecError(f"{quoted(fields[field])}: {reason}", field)
    classes = fields.get("architectures") or []
    if not isinstance(classes, list) or not all(str(each).endswith(_GENERATING) for each in classes):
        raise SpecError(f"{quoted(classes)} generates no text (allowed: *{', *'.join(_GENERATING)})", "architectures")


def _model_family(fields: dict[str, Any]) -> ModelFamily:
    kind = fields.get("model_type")
    if kind is None:
        raise SpecError(f"missing (allowed: {', '.join(MODEL_FAMILIES)})", "model_type")
    if not isinstance(kind, str) or kind not in MODEL_FAMILIES:
        raise SpecError(f"{not_one_of(kind, MODEL_FAMILIES)} (dense decoders)", "model_type")
    return MODEL_FAMILIES[kind]


def _dimensions(config: _Config) -> dict[str, int]:
    """Return the fields of the shape that are in a configuration, by their names in `ModelShape`."""
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads or config.num_attention_heads
    if heads % kv_heads:
        raise SpecError(f"{kv_heads} does not divide num_attention_heads, {heads}", "num_key_value_heads")
    if not config.head_dim and config.hidden_size % heads:
        raise SpecError(f"missing, and num_attention_heads, {heads}, does not divide {config.hidden_size}", "head_dim")
    return {
        "hidden": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": config.head_dim or config.hidden_size // heads,
        "intermediate": config.intermediate_size,
        "vocabulary": config.vocab_size,
        "max_model_len": config.max_position_embeddings,
        "tied_embeddings": config.tie_word_embeddings,
    }


def _notes(config: _Config, family: ModelFamily, multimodal: bool) -> list[str]:
    notes = [family.note] if family.note else []
    if multimodal:
        notes.append("only the part for text is counted: the weights of the vision tower come on top")
    if config.window:
        notes.append(
            f"the sliding window of {config.window:,} tokens is left out: all layers count as full attention, "
            "which takes more time and KV cache"
        )
    return notes
