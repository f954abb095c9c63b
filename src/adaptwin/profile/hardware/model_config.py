"""Models: the shape of one by its name, or from its Hugging Face configuration (``config.json``)."""

import os
from pathlib import Path
from typing import Any

from adaptwin.errors import SpecError, neither_file_nor
from adaptwin.model_names import quantised_in
from adaptwin.plain_data import parse_json, plain
from adaptwin.profile.hardware.model_sheet import QUANTISED_NOT_YET, ModelSheet, model_sheet
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


def read_model(name_or_path: str | Path, vllm_version: str | None = None) -> ModelSheet:
    """Read the shape of a model; raises `SpecError` naming file, field, value and what is allowed.

    Args:
        name_or_path: The name of a shipped model, with or without its organisation; or the path of a Hugging Face
            configuration, or of the folder of its ``config.json``; or the start of a shipped name that no other has.
        vllm_version: Version of vLLM that serves it, on which LoRA of the embeddings depends; None: the oldest.
    """
    if not isinstance(name_or_path, str | Path):
        raise SpecError(f"{quoted(name_or_path)} must be a name or a path", "model")
    meant = model_meant(name_or_path) if isinstance(name_or_path, str) else name_or_path
    return _read_file(meant, vllm_version) if isinstance(meant, Path) else _shipped_model(meant, vllm_version)


def model_meant(name_or_path: str, folder: Path = Path()) -> str | Path:
    """Return the whole name of the shipped model that is meant, or else a path; raises `SpecError`.

    A whole name goes before a path, which is relative to `folder`, and a path before the start of a name.
    """
    found = _shipped_names(name_or_path)
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


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def _shipped_model(name: str, vllm_version: str | None) -> ModelSheet:
    known = known_models()[name]
    config = {**known.config, "max_position_embeddings": known.names[name]}
    return model_sheet(config, name, vllm_version, table_of_models())


def _read_file(path: Path, vllm_version: str | None) -> ModelSheet:
    file = path / CONFIG_FILE if os.path.isdir(path) else path
    config = plain(parse_json(read_text(file, MOST_CONFIG_BYTES), file))
    if not isinstance(config, dict):
        raise SpecError(f"expected a mapping of fields, found a {type(config).__name__}", file=file)
    for beside in (MODELOPT_FILE, f"{file.stem}.{MODELOPT_FILE}"):
        if os.path.exists(file.parent / beside):
            raise SpecError(f"{beside} lies beside it: {QUANTISED_NOT_YET}", file=file)
    parent = config.get("_name_or_path")
    if isinstance(parent, str) and (precision := quantised_in(parent)):
        raise SpecError(f"{quoted(parent)} is a copy in {precision}: {QUANTISED_NOT_YET}", "_name_or_path", file)
    return model_sheet(config, _name_in(config, file), vllm_version, file)


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
