"""Models: the shape of one by its name, or from its Hugging Face configuration (``config.json``)."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field

from adaptwin.errors import SpecError, neither_file_nor, not_one_of
from adaptwin.plain_data import parse_json, plain
from adaptwin.profile.hardware.model_family import MODEL_FAMILIES, ModelFamily
from adaptwin.profile.hardware.shipped_models import early_stops, known_models, table_of_models
from adaptwin.profile.hardware.shipped_names import names_meant, several_meant
from adaptwin.profile.model_shape import LARGEST_SHAPE, LONGEST_CONTEXT, ModelShape
from adaptwin.spec import Spec, read_text
from adaptwin.visible import quoted

MOST_CONFIG_BYTES = 1 << 24  # of a configuration: 16 MiB
CONFIG_FILE = "config.json"
MODELOPT_FILE = "hf_quant_config.json"  # beside the config.json of a model that NVIDIA's modelopt quantised

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_QUANTISED = ("quantization_config", "compression_config", "quantization")
_NOT_YET = "quantised models are not supported yet"
_UNSUPPORTED = {  # by the fields that only such models have
    **dict.fromkeys(_EXPERTS, "models with experts are not supported, only dense ones"),
    "kv_lora_rank": "latent attention (MLA) is not supported",
    "is_encoder_decoder": "models with an encoder are not supported, only decoders",
    **dict.fromkeys(_QUANTISED, _NOT_YET),
}
_GENERATING = ("ForCausalLM", "ForConditionalGeneration")  # ends of the names of classes that generate text

ConfigSize = Annotated[int, Field(strict=True, gt=0, le=LARGEST_SHAPE)]
ConfigFlag = Annotated[bool, Field(strict=True)]
DType = Literal["bfloat16", "float16", "float32"]


class ModelSheet(NamedTuple):
    """The shape of a model, and what it leaves out, in whole clauses."""

    shape: ModelShape
    notes: tuple[str, ...] = ()


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


def shipped_models() -> list[str]:
    """Return the names of the models that come with adaptwin."""
    return list(known_models())


def read_model(name_or_path: str | Path, vllm_version: str | None = None) -> ModelSheet:
    """Read the shape of a model; raises `SpecError` naming file, field, value and what is allowed.

    Args:
        name_or_path: The name of a shipped model, with or without its organisation; or the path of a Hugging Face
            configuration, or of the folder of its ``config.json``; or the start of a shipped name that no other has.
        vllm_version: Version of vLLM that serves it, on which LoRA of the embeddings depends; None: the oldest.
    """
    if isinstance(name_or_path, str):
        found = _shipped_names(name_or_path)
        exists = os.path.exists(name_or_path)
        if any(name_or_path in (name, _last_part(name)) for name in found) or (found and not exists):
            return _shipped_model(name_or_path, found, vllm_version)
        if not exists:
            raise SpecError(neither_file_nor(name_or_path, known_models()), "model")
    elif not isinstance(name_or_path, Path):
        raise SpecError(f"{quoted(name_or_path)} must be a name or a path", "model")
    return _read_file(Path(name_or_path), vllm_version)


def _shipped_names(wanted: str) -> list[str]:
    """Return the shipped models that a name means, with or without their organisation."""
    by_last = {_last_part(name): name for name in known_models()}
    return names_meant(wanted, known_models()) or [by_last[last] for last in names_meant(wanted, by_last)]


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def _shipped_model(wanted: str, found: list[str], vllm_version: str | None) -> ModelSheet:
    if len(found) > 1:
        raise several_meant(wanted, found, "model")
    [name] = found
    known = known_models()[name]
    config = {**known.config, "max_position_embeddings": known.names[name]}
    return _sheet(config, name, vllm_version, table_of_models())


def _read_file(path: Path, vllm_version: str | None) -> ModelSheet:
    file = path / CONFIG_FILE if os.path.isdir(path) else path
    config = plain(parse_json(read_text(file, MOST_CONFIG_BYTES), file))
    if not isinstance(config, dict):
        raise SpecError(f"expected a mapping of fields, found a {type(config).__name__}", file=file)
    if file.name == CONFIG_FILE and os.path.exists(file.parent / MODELOPT_FILE):
        raise SpecError(f"{MODELOPT_FILE} lies beside it: {_NOT_YET}", file=file)
    return _sheet(config, _name_in(config, file), vllm_version, file)


def _name_in(config: dict[str, Any], file: Path) -> str:
    """Return the name of a model: that in its configuration if it is one, or that of its folder or file."""
    name = config.get("_name_or_path")
    if isinstance(name, str) and name.isprintable() and name.strip() and not name.startswith("-"):
        return name
    return Path(os.path.abspath(file)).parent.name if file.name == CONFIG_FILE else file.name.removesuffix(".json")


def _sheet(config: dict[str, Any], name: str, vllm_version: str | None, file: Path) -> ModelSheet:
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
    return ModelSheet(shape, tuple(_notes(read, family, multimodal=text is not None)))


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
