"""ModelSheet: the shape of a model, made from the fields of its Hugging Face configuration."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field

from adaptwin.errors import SpecError, not_one_of
from adaptwin.profile.evidence import NOT_CLAIMED, ROUGH, EvidenceGrade
from adaptwin.profile.hardware.model_family import MODEL_FAMILIES, ModelFamily
from adaptwin.profile.hardware.quantization import Quantization, quantised, quantization_in
from adaptwin.profile.hardware.shipped_models import early_stops
from adaptwin.profile.model_shape import LARGEST_SHAPE, LONGEST_CONTEXT, ModelShape
from adaptwin.spec import Spec
from adaptwin.visible import quoted

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_QUANTISED = ("quantization_config", "compression_config", "quantization")
_UNSUPPORTED = {  # by the fields that only such models have
    "kv_lora_rank": "latent attention (MLA) is not supported",
    "is_encoder_decoder": "models with an encoder are not supported, only decoders",
    "mlp_only_layers": "layers without experts among others with experts are not supported",
    "n_shared_experts": "experts that all tokens use beside the others are not supported",
}
_GENERATING = ("ForCausalLM", "ForConditionalGeneration")  # ends of the names of classes that generate text

ConfigSize = Annotated[int, Field(strict=True, gt=0, le=LARGEST_SHAPE)]
ConfigFlag = Annotated[bool, Field(strict=True)]
DType = Literal["bfloat16", "float16", "float32"]


class ModelSheet(NamedTuple):
    """The shape of a model, with its weights in the widths of its files, and what it leaves out, in whole clauses."""

    shape: ModelShape
    notes: tuple[str, ...] = ()
    is_described: bool = True  # whether the laws of steps and memory describe the model's layers
    quantization: Quantization | None = None  # None: 16 bits
    is_stored: bool = True  # whether the model's files hold the weights in these widths

    @property
    def at_best(self) -> EvidenceGrade | None:
        """The grade that profiles of the model have at best; None: any."""
        if not self.is_described:
            return NOT_CLAIMED
        return ROUGH if self.shape.experts else None

    def quantised(self, quantization: Quantization) -> "ModelSheet":
        """Return the sheet of the model with its weights in other widths."""
        shape = quantised(self.shape, quantization)
        return self._replace(shape=shape, quantization=quantization, notes=(*self.notes, *quantization.notes))


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
        experts = _experts(fields, family)
        read = _Config.parse({**family.defaults, **fields}, file=file)
        loras = {
            "lora_embeddings": family.has_lora_embeddings(vllm_version),
            "lora_experts": family.has_lora_experts(vllm_version),
        }
        shape = ModelShape.parse(
            {"name": name, **_dimensions(read), **experts, **loras, **early_stops(name)}, file=file
        )
        quantization = _quantization(fields)
    except SpecError as error:
        field = f"text_config.{error.field}" if error.field in inner else error.field
        raise SpecError(error.message, field, file) from None
    sheet = ModelSheet(shape, tuple(_notes(read, family, multimodal=text is not None)), family.is_described)
    return sheet if quantization is None else sheet.quantised(quantization)


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
    """Raise `SpecError` for a model of another kind than decoders with attention in every layer."""
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
        raise SpecError(not_one_of(kind, MODEL_FAMILIES), "model_type")
    return MODEL_FAMILIES[kind]


def _experts(fields: dict[str, Any], family: ModelFamily) -> dict[str, Any]:
    """Return the fields of the shape that describe experts; raises `SpecError` for experts of another family."""
    named = family.experts
    if named is None:
        if field := next((field for field in _EXPERTS if fields.get(field)), None):
            with_experts = ", ".join(name for name, each in MODEL_FAMILIES.items() if each.experts)
            message = f"{quoted(fields[field])}: of the models with experts, only {with_experts} are supported"
            raise SpecError(message, field)
        return {}
    if (step := fields.get("decoder_sparse_step", 1)) != 1:
        raise SpecError(f"{quoted(step)}: only models with experts in every layer are supported", "decoder_sparse_step")
    given = {
        "experts": next((name for name in named.number if name in fields), named.number[0]),
        "active_experts": next((name for name in named.active if name in fields), named.active[0]),
        "intermediate": named.width,
    }
    for name in given.values():
        if name not in fields:
            raise SpecError("missing", name)
        if isinstance(fields[name], bool) or not isinstance(fields[name], int) or fields[name] < 1:
            raise SpecError(f"{quoted(fields[name])} is not a positive whole number", name)
    return {name: fields[field] for name, field in given.items()}


def _quantization(fields: dict[str, Any]) -> Quantization | None:
    """Return the quantization of the weights, where the configuration describes one; raises `SpecError`."""
    field = next((field for field in _QUANTISED if fields.get(field)), None)
    if field is None:
        return None
    if not isinstance(fields[field], dict):
        raise SpecError(f"{quoted(fields[field])} must be a mapping of fields", field)
    return quantization_in(fields[field], field)


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
