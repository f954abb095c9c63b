"""Quantization: in which widths a model's weights lie on the GPU, and with which kernels vLLM multiplies by them.

Read from the ``quantization_config`` of a Hugging Face configuration, or chosen by its name. Embeddings, the
output matrix, activations between layers and LoRA weights stay in 16 bits. Weights in groups have a scale of 16 bits
each, and with zero points those as well.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from adaptwin.errors import SpecError, not_one_of
from adaptwin.model_names import words_of_fewer_bits
from adaptwin.profile.model_shape import ATTENTION, ModelShape
from adaptwin.visible import quoted

Kernel = Literal["fp8", "fp8 blocks", "int8", "fp4", "weights only", "dequantised first"]

WHOLE_ROW = 1 << 20  # weights that share a scale, where there is one for a row: more than any row has
GROUP_SIZE = 128  # weights that share a scale, where a configuration does not say otherwise
_FP4_GROUPS = {"nvfp4": 16, "mxfp4": 32}  # weights that share a scale of 8 bits
QUANTIZATIONS = ("fp8", "int8", "awq", "gptq", "bitsandbytes", "nvfp4", "mxfp4")
ONLINE = ("fp8", "bitsandbytes")  # methods by which vLLM itself quantises weights of 16 bits while it loads them


class Quantization(NamedTuple):
    """How the weights of the linear layers are stored and used."""

    method: str  # one of `QUANTIZATIONS`
    words: str  # what it is, in words
    bytes_per_weight: float
    kernel: Kernel
    attention: bool = True  # whether the layers of the attention are quantised, too
    block: int = 1  # weights of a row that share a scale; each GPU of a group must have whole ones
    fp8_cache: bool = False  # whether the model's files ask for a KV cache in FP8
    notes: tuple[str, ...] = ()  # what is left out, in clauses

    @property
    def is_rough(self) -> bool:
        """Whether no table of its kernels was compared with the law."""
        return self.kernel not in ("fp8", "fp4")


def quantization_named(name: str) -> Quantization:
    """Return the usual form of a method, one of `QUANTIZATIONS`; raises `SpecError` for another name."""
    if name not in QUANTIZATIONS:
        raise SpecError(not_one_of(name, QUANTIZATIONS), "quantization")
    if name in _FP4_GROUPS:
        return _fp4(name)
    if name in ("awq", "gptq"):
        return _in_groups(name, 4, GROUP_SIZE, zero_points=name == "awq")
    return {"fp8": _fp8, "int8": _int8, "bitsandbytes": _bitsandbytes}[name]()


def quantization_in(config: Mapping[str, Any], field: str) -> Quantization | None:
    """Return the quantization that a ``quantization_config`` describes; None for one that leaves 16 bits.

    Raises:
        SpecError: The method, or the form of it, is not described here.
    """
    method = str(config.get("quant_method") or config.get("quant_algo") or "").lower()
    inner = config.get("quantization")
    if isinstance(inner, Mapping):  # hf_quant_config.json of NVIDIA's modelopt
        config, method = {**config, **inner}, "modelopt"
    elif not method and isinstance(config.get("quant_algo"), str):
        method = "modelopt"
    reader = _READERS.get("modelopt" if method in ("fp8", "nvfp4") and config.get("producer") else method)
    if reader is None:
        raise SpecError(not_one_of(method or "", _READERS), f"{field}.quant_method")
    found = reader(config, field)
    if found is None:
        return None
    return found._replace(
        attention=found.attention and not _leaves_attention(_kept_in_16_bits(config)),
        fp8_cache=_asks_for_fp8_cache(config),
        notes=(*found.notes, *_notes_on(_kept_in_16_bits(config))),
    )


_EIGHT_BITS = {"int8", "8bit", "w8a16"}  # words of names that say the bits of a method with several
_METHODS_OF_WORDS = {  # by words in the names of copies of a model; those further up go before the others
    "gptq": "gptq",
    "awq": "awq",
    "bnb": "bitsandbytes",
    "w8a8": "int8",
    "w8a16": "gptq",
    "w4a16": "gptq",
    "int4": "gptq",
    "fp4": "nvfp4",
    "nf4": "bitsandbytes",
    "4bit": "bitsandbytes",
    **{name: name for name in ("fp8", "nvfp4", "mxfp4", "int8")},
}


def words_of_methods(name: str) -> list[str]:
    """Return the words by which the name of a copy of a model says how its weights are quantised."""
    return [word for word in words_of_fewer_bits(name) if word in _METHODS_OF_WORDS]


def quantization_by_name(name: str) -> Quantization | None:
    """Return the quantization that the name of a copy of a model says, with a note; None if it says none.

    Raises:
        SpecError: The name says that there is one, but not which.
    """
    words = words_of_fewer_bits(name)
    if not words:
        return None
    method = next((method for word, method in _METHODS_OF_WORDS.items() if word in words), None)
    if method is not None:
        found = quantization_named(method)
        if _EIGHT_BITS.intersection(words) and method in ("gptq", "awq"):
            found = _in_groups(method, 8, GROUP_SIZE, zero_points=method == "awq")
        elif _EIGHT_BITS.intersection(words) and method == "bitsandbytes":
            found = _bitsandbytes(8)
        said = " and ".join(words)
        return found._replace(notes=(f"{found.words} is assumed, as {quoted(name)} says no more than {said}",))
    allowed = f"say which with quantization: {', '.join(QUANTIZATIONS)}"
    raise SpecError(f"{quoted(name)} is a copy in fewer than 16 bits ({words[0]}): {allowed}", "model")


def quantised(model: ModelShape, quantization: Quantization) -> ModelShape:
    """Return the shape of a model with its weights in these widths."""
    width = quantization.bytes_per_weight
    if model.experts:
        attention = width if quantization.attention else model.bytes_per_weight
        return model.model_copy(update={"bytes_per_weight": attention, "bytes_per_expert_weight": width})
    widths, kept = model.module_widths, () if quantization.attention else ATTENTION
    values = {module: inputs * outputs for module, (inputs, outputs) in widths.items()}
    share = sum(values[module] for module in kept) / sum(values.values())
    return model.model_copy(update={"bytes_per_weight": share * model.bytes_per_weight + (1.0 - share) * width})


def require_whole_blocks(part: ModelShape, quantization: Quantization, tensor_parallel_size: int) -> None:
    """Raise `SpecError` if vLLM would refuse what one GPU of a group holds: parts of blocks that share a scale."""
    for what, width in (("width of the MLP", part.intermediate), ("attention heads", part.heads * part.head_dim)):
        if width % quantization.block:
            message = (
                f"{tensor_parallel_size} leaves each GPU {width} of the {what} of {part.name}, which is no multiple of "
                f"the {quantization.block} weights that share a scale"
            )
            raise SpecError(message, "tensor_parallel_size")


def _fp8(*, blocks: bool = False) -> Quantization:
    if blocks:
        return Quantization("fp8", "FP8 in blocks of 128 x 128 weights", 1.0, "fp8 blocks", block=128)
    return Quantization("fp8", "FP8", 1.0, "fp8")


def _int8() -> Quantization:
    return Quantization("int8", "weights and activations in 8-bit integers", 1.0, "int8")


def _fp4(method: str) -> Quantization:
    group = _FP4_GROUPS[method]
    return Quantization(method, f"{method.upper()} in groups of {group}", 0.5 + 1.0 / group, "fp4")


def _in_groups(method: str, bits: int, group: int, *, zero_points: bool) -> Quantization:
    scales = (2.0 + (bits / 8.0 if zero_points else 0.0)) / group
    words = f"{method.upper()}, {bits} bits in groups of {group}"
    return Quantization(method, words, bits / 8.0 + scales, "weights only", block=group if group < WHOLE_ROW else 1)


def _bitsandbytes(bits: int = 4) -> Quantization:
    scales = 2.0 / 64 if bits == 4 else 0.0
    return Quantization("bitsandbytes", f"bitsandbytes in {bits} bits", bits / 8.0 + scales, "dequantised first")


def _read_fp8(config: Mapping[str, Any], field: str) -> Quantization:  # noqa: ARG001 (as all readers)
    return _fp8(blocks=bool(config.get("weight_block_size")))


def _read_awq(config: Mapping[str, Any], field: str) -> Quantization:
    bits, group = _bits_in(config, field, "bits", "w_bit"), _group(config, field)
    return _in_groups("awq", bits, group, zero_points=bool(config.get("zero_point", True)))


def _read_gptq(config: Mapping[str, Any], field: str) -> Quantization:
    return _in_groups("gptq", _bits_in(config, field, "bits"), _group(config, field), zero_points=False)


def _read_bitsandbytes(config: Mapping[str, Any], field: str) -> Quantization | None:  # noqa: ARG001 (as all readers)
    if config.get("load_in_4bit") or config.get("_load_in_4bit"):
        return _bitsandbytes(4)
    return _bitsandbytes(8) if config.get("load_in_8bit") or config.get("_load_in_8bit") else None


def _read_mxfp4(config: Mapping[str, Any], field: str) -> Quantization:  # noqa: ARG001 (as all readers)
    return _fp4("mxfp4")


def _read_modelopt(config: Mapping[str, Any], field: str) -> Quantization:
    algorithm = str(config.get("quant_algo") or "").upper()
    if algorithm.startswith("FP8"):
        return _fp8(blocks="BLOCK" in algorithm)
    if algorithm == "NVFP4":
        return _fp4("nvfp4")
    if algorithm in ("W4A16_AWQ", "INT4_AWQ"):
        return _in_groups("awq", 4, GROUP_SIZE, zero_points=False)
    raise SpecError(not_one_of(algorithm, ("FP8", "NVFP4", "W4A16_AWQ")), f"{field}.quant_algo")


def _read_compressed_tensors(config: Mapping[str, Any], field: str) -> Quantization:
    """Read the first group of weights; a checkpoint with several has its layers in several widths."""
    groups = config.get("config_groups")
    if not isinstance(groups, Mapping) or not groups or not all(isinstance(each, Mapping) for each in groups.values()):
        raise SpecError("missing: no group says in which width the weights are", f"{field}.config_groups")
    read = [_of_group(each, f"{field}.config_groups.{name}") for name, each in groups.items()]
    widest = max(read, key=lambda each: each.bytes_per_weight)
    if len({each.words for each in read}) > 1:
        note = f"several groups of weights are quantised in different ways; all count as {widest.words}"
        return widest._replace(notes=(note,))
    return widest


def _of_group(group: Mapping[str, Any], field: str) -> Quantization:
    weights, inputs = group.get("weights"), group.get("input_activations")
    if not isinstance(weights, Mapping):
        raise SpecError("missing: the group does not say in which width its weights are", f"{field}.weights")
    bits, kind, size = weights.get("num_bits"), weights.get("type", "int"), weights.get("group_size") or GROUP_SIZE
    if bits in (4, 8) and kind == "float":
        blocks = weights.get("strategy") == "block"
        found = _fp8(blocks=blocks) if bits == 8 else _fp4("nvfp4" if size == _FP4_GROUPS["nvfp4"] else "mxfp4")
        return found if inputs else found._replace(kernel="weights only", words=f"{found.words}, weights alone")
    if bits in (4, 8) and not inputs:
        return _in_groups("gptq", bits, _positive(size, f"{field}.weights.group_size"), zero_points=False)
    if bits == 8:
        return _int8()
    raise SpecError(f"{quoted(bits)} bits of type {quoted(kind)} are not described", f"{field}.weights.num_bits")


_READERS = {
    "fp8": _read_fp8,
    "fbgemm_fp8": _read_fp8,
    "awq": _read_awq,
    "awq_marlin": _read_awq,
    "gptq": _read_gptq,
    "gptq_marlin": _read_gptq,
    "compressed-tensors": _read_compressed_tensors,
    "bitsandbytes": _read_bitsandbytes,
    "modelopt": _read_modelopt,
    "mxfp4": _read_mxfp4,
}


def _bits_in(config: Mapping[str, Any], field: str, *names: str) -> int:
    bits = next((config[name] for name in names if config.get(name) is not None), None)
    if isinstance(bits, bool) or bits not in (4, 8):
        raise SpecError(f"{quoted(bits)} is not one of 4, 8", f"{field}.{names[0]}")
    return int(bits)


def _group(config: Mapping[str, Any], field: str) -> int:
    return _positive(config.get("group_size", GROUP_SIZE), f"{field}.group_size")


def _positive(size: Any, field: str) -> int:
    """Return the weights of a group; -1 stands for a whole row, whose one scale does not count."""
    if size == -1:
        return WHOLE_ROW
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise SpecError(f"{quoted(size)} is not a positive whole number, or -1", field)
    return size


def _kept_in_16_bits(config: Mapping[str, Any]) -> list[str]:
    """Return the names, or patterns of names, of layers that stay in 16 bits."""
    names: list[str] = []
    for field in ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules"):
        value = config.get(field)
        names += [str(each) for each in value] if isinstance(value, list) else []
    return names


_ONE_LAYER = re.compile(r"layers\.\d+\.")


def _leaves_attention(names: Iterable[str]) -> bool:
    """Whether the attention of all layers stays in 16 bits: as a whole, or each of its four linear layers."""
    every = [name for name in _of_text(names) if "self_attn" in name and not _ONE_LAYER.search(name)]
    kept = {re.sub(r"[.\\*$]+$", "", name).rpartition(".")[2].lstrip("*") for name in every}
    return "self_attn" in kept or kept.issuperset(ATTENTION)


def _of_text(names: Iterable[str]) -> list[str]:
    return [name for name in names if "vision" not in name and "visual" not in name]


def _notes_on(names: Iterable[str]) -> list[str]:
    """Return a note on linear layers of single transformer layers that stay in 16 bits, if there are any."""
    linear = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "self_attn", "mlp.experts")
    of_one_layer = [name for name in _of_text(names) if _ONE_LAYER.search(f"{name}.")]
    some = [name for name in of_one_layer if any(each in name for each in linear)]
    whole = [name for name in names if re.fullmatch(r"(model\.)?layers\.\d+\.?", name)]
    count = len(some) + len(whole)
    return [f"{count} linear layers that stay in 16 bits count as quantised"] if count else []


def _asks_for_fp8_cache(config: Mapping[str, Any]) -> bool:
    scheme = config.get("kv_cache_scheme") or config.get("kv_cache_quant_algo")
    if isinstance(scheme, Mapping):
        return (scheme.get("num_bits"), scheme.get("type")) == (8, "float")
    return isinstance(scheme, str) and scheme.upper().startswith("FP8")
