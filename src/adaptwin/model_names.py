"""Names of base models: whether two of them mean the same model.

An adapter fits one base model. Names are compared without organisation, case, and the words that tell apart files of
one architecture (``Instruct``, ``fp8``): an adapter trained on a base model loads on its instruction-tuned variant.
"""

import re

_VARIANTS = re.compile(
    r"[-_.](instruct|chat|it|base|hf|bf16|fp16|fp8|w8a8|w4a16|int4|int8|awq|gptq|bnb|4bit|8bit|quantized|dynamic|unsloth)"
    r"(?=$|[-_.])"
)


def model_key(name: str) -> str:
    """Return the part of a model's name that its variants share: ``llama-3.1-8b`` of the 8B models of Llama 3.1."""
    key = name.rstrip("/").rpartition("/")[2].lower().removeprefix("meta-")
    while (shorter := _VARIANTS.sub("", key)) != key:
        key = shorter
    return key.replace("_", "-")


def differs(base: str | None, model: str) -> bool:
    """Whether an adapter of the base model `base` was trained for another model than `model`.

    An adapter that does not name its base, or that names a path on some machine, may be for any model.
    """
    if base is None or model_key(base) == model_key(model):
        return False
    return not _is_path(base) and not _is_path(model)


def _is_path(name: str) -> bool:
    return name.startswith(("/", "./", "../", "~")) or "\\" in name
