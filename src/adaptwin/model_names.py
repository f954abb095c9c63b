"""Names of base models: whether two of them mean the same model.

Names are compared without organisation, case and separators, and without words that tell apart files of one
architecture. Words of precision (``fp8``, ``bnb-4bit``) name copies of the same weights. Words of tuning
(``Instruct``, ``base``) name other weights of the same shapes, on which an adapter loads too.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

_PRECISION = re.compile(
    r"[-_.](hf|bf16|fp16|fp8|fp4|nvfp4|mxfp4|nf4|w8a8|w8a16|w4a16|int4|int8|awq|gptq|bnb|mlx|4bit|8bit|quantized|dynamic"
    r"|unsloth)(?=$|[-_.])"
)
_SIXTEEN_BITS = {"hf", "bf16", "fp16", "mlx", "dynamic", "unsloth"}
_TUNING = re.compile(r"[-_.](instruct|chat|it|base)(?=$|[-_.])")
_SEPARATORS = re.compile(r"[-_ ]")


@lru_cache(maxsize=4096)
def model_key(name: str) -> str:
    """Return the part of a model's name that all variants share: ``llama3.1-8b`` of the 8B models of Llama 3.1."""
    return _joined(_stripped(_TUNING, _weights_name(name)))


def same_shapes(one: str, other: str) -> bool:
    """Whether two names mean variants of one model, which have the same shapes but perhaps other weights."""
    return model_key(one) == model_key(other)


@lru_cache(maxsize=4096)
def differs(base: str | None, model: str) -> bool:
    """Whether an adapter of the base model `base` was trained for another model than `model`.

    An adapter that does not name its base, or that names a path or a URL, may be for any model.
    """
    return base is not None and not same_shapes(base, model) and not _is_place(base) and not _is_place(model)


@lru_cache(maxsize=4096)
def same_weights(one: str, other: str) -> bool:
    """Whether two names mean the same weights, perhaps in different precisions."""
    return _joined(_weights_name(one)) == _joined(_weights_name(other))


def model_among(base: str | None, models: Iterable[str]) -> str | None:
    """Return the model that a base means among those served: the same weights, or else the only one of its shapes.

    None stands for none of them, or for a base that might be several.
    """
    if base is None:
        return None
    names = list(models)
    alike = [name for name in names if same_weights(base, name)] or [name for name in names if same_shapes(base, name)]
    return alike[0] if len(alike) == 1 else None


def quantised_in(name: str) -> str | None:
    """Return the word by which a name says that the weights have fewer than 16 bits, such as ``fp8``; None: no word."""
    return next(iter(words_of_fewer_bits(name)), None)


def words_of_fewer_bits(name: str) -> list[str]:
    """Return all words by which a name says that the weights have fewer than 16 bits: ``quantized`` and ``w8a8``."""
    words = (match[1] for match in _PRECISION.finditer(name.lower()))
    return [word for word in words if word not in _SIXTEEN_BITS]


def _weights_name(name: str) -> str:
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    return _stripped(_PRECISION, last.removeprefix("meta-"))


def _stripped(words: re.Pattern[str], name: str) -> str:
    while (shorter := words.sub("", name)) != name:
        name = shorter
    return name


def _joined(name: str) -> str:
    """Return a name without separators between letters and numbers: ``qwen-2.5-7b`` is ``qwen2.5-7b``."""
    return re.sub(r"(?<=[a-z])-(?=\d)", "", _SEPARATORS.sub("-", name))


def _is_place(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or "\\" in name or "://" in name
