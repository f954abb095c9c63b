"""Models: the shape of one by its name, or from its Hugging Face configuration (``config.json``)."""

import os
from pathlib import Path
from typing import Any

from adaptwin.errors import SpecError, neither_file_nor
from adaptwin.file_kinds import MODEL, recognised
from adaptwin.model_names import quantised_in, same_weights, words_of_fewer_bits
from adaptwin.plain_data import kind_of_data, parse_json, plain
from adaptwin.profile.hardware.model_sheet import ModelSheet, model_sheet
from adaptwin.profile.hardware.quantization import (
    Quantization,
    quantization_by_name,
    quantization_in,
    quantization_named,
    words_of_methods,
)
from adaptwin.profile.hardware.shipped_models import known_models, table_of_models
from adaptwin.profile.hardware.shipped_names import names_meant, several_meant
from adaptwin.spec import read_text
from adaptwin.visible import quoted

MOST_CONFIG_BYTES = 1 << 24  # of a configuration: 16 MiB
CONFIG_FILE = "config.json"
MODELOPT_FILE = "hf_quant_config.json"  # beside the config.json of a model that NVIDIA's modelopt quantised


def shipped_models() -> list[str]:
    """Return the names of the models that come with adaptwin."""
    return list(known_models())


def read_model(
    name_or_path: str | Path, vllm_version: str | None = None, quantization: str | None = None
) -> ModelSheet:
    """Read the shape of a model; raises `SpecError` naming file, field, value and what is allowed.

    Args:
        name_or_path: The name of a shipped model, with or without its organisation; or the path of a Hugging Face
            configuration, or of the folder of its ``config.json``; or the start of a shipped name that no other has; or
            the name of a copy of a shipped model in fewer bits, such as ``Llama-3.1-8B-Instruct-FP8``.
        vllm_version: Version of vLLM that serves it, on which LoRA of the embeddings and experts depends; None: the
            oldest.
        quantization: Method by which the weights are quantised, one of `QUANTIZATIONS`; None: as the configuration or
            the name of the model says.
    """
    if not isinstance(name_or_path, str | Path):
        raise SpecError(f"{quoted(name_or_path)} must be a name or a path", "model")
    meant = model_meant(name_or_path) if isinstance(name_or_path, str) else name_or_path
    sheet = _read_file(meant, vllm_version) if isinstance(meant, Path) else _shipped_model(meant, vllm_version)
    asked = None if quantization is None else quantization_named(quantization)
    stored = sheet.quantization or (quantization_by_name(sheet.shape.name) if _says_method(sheet, asked) else None)
    if stored is None:
        is_stored = bool(words_of_fewer_bits(sheet.shape.name))
        return sheet if asked is None else sheet.quantised(asked)._replace(is_stored=is_stored)
    if asked and stored.method != asked.method:
        what = f"the weights of {quoted(str(name_or_path))} are stored as {stored.words}"
        raise SpecError(f"{quoted(asked.method)}: {what}", "quantization")
    return sheet if sheet.quantization else sheet.quantised(stored)


def _says_method(sheet: ModelSheet, asked: Quantization | None) -> bool:
    """Whether to read the method in the name of a model: not if it says none of those that are asked for."""
    return asked is None or bool(words_of_methods(sheet.shape.name))


def model_meant(name_or_path: str, folder: Path = Path()) -> str | Path:
    """Return the whole name of the shipped model that is meant, or else a path; raises `SpecError`.

    A whole name goes before a path, which is relative to `folder`, and a path before the start of a name. The name of a
    copy in fewer bits is returned as it is.
    """
    found = _shipped_names(name_or_path)
    if (
        quantised_in(name_or_path)
        and not found
        and not os.path.exists(folder / name_or_path)
        and _of_copy(name_or_path)
    ):
        return name_or_path
    whole = [name for name in found if name_or_path in (name, _last_part(name))]
    if name_or_path and not whole and os.path.exists(folder / name_or_path):
        return folder / name_or_path
    if not found:
        raise SpecError(neither_file_nor(name_or_path, known_models()), "model")
    if len(found) > 1:
        raise several_meant(name_or_path, found, "model")
    return found[0]


def _shipped_names(wanted: str) -> list[str]:
    """Return the shipped models that a name means, with or without their organisation."""
    by_last = {_last_part(name): name for name in known_models()}
    return names_meant(wanted, known_models()) or [by_last[last] for last in names_meant(wanted, by_last)]


def _of_copy(name: str) -> str | None:
    """Return the shipped model of which a name means a copy; None if there is none."""
    return next((known for known in known_models() if same_weights(known, name)), None)


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def _shipped_model(name: str, vllm_version: str | None) -> ModelSheet:
    known_name = name if name in known_models() else _of_copy(name) or name
    known = known_models()[known_name]
    config = {**known.config, "max_position_embeddings": known.names[known_name]}
    return model_sheet(config, name, vllm_version, table_of_models())


def _read_file(path: Path, vllm_version: str | None) -> ModelSheet:
    file = path / CONFIG_FILE if os.path.isdir(path) else path
    try:
        sheet = model_sheet(config := _mapping_in(file), _name_in(config, file), vllm_version, file)
    except SpecError as error:
        raise recognised(error, file, MODEL) from None
    if sheet.quantization is not None:
        return sheet
    for beside in (MODELOPT_FILE, f"{file.stem}.{MODELOPT_FILE}"):
        if os.path.exists(file.parent / beside):
            try:
                found = quantization_in(_mapping_in(file.parent / beside), "quantization")
            except SpecError as error:
                raise SpecError(error.message, error.field, file.parent / beside) from None
            return sheet if found is None else sheet.quantised(found)
    return sheet


def _mapping_in(file: Path) -> dict[str, Any]:
    found = plain(parse_json(read_text(file, MOST_CONFIG_BYTES), file))
    if not isinstance(found, dict):
        raise SpecError(f"expected a mapping of fields, found {kind_of_data(found)}", file=file)
    return found


def _name_in(config: dict[str, Any], file: Path) -> str:
    """Return the name of a model: the folder of its ``config.json``, which ``vllm serve`` takes.

    A file of another name is no model that can be served: its model has the name in the configuration, if there is one,
    or that of the file. A trained model has the name of its parent there, so a folder goes before it.
    """
    if file.name == CONFIG_FILE:
        return os.path.abspath(file.parent)
    name = config.get("_name_or_path")
    if isinstance(name, str) and name.isprintable() and name.strip() and not name.startswith("-"):
        return name
    return file.name.removesuffix(".json")
