"""PEFT: adapters from folders of LoRA weights, each with an adapter_config.json."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptwin.errors import SpecError
from adaptwin.spec import read_text
from adaptwin.workload.workload import SERVED_RANKS, Adapter

CONFIG = "adapter_config.json"


def adapters_from_peft(
    folder: str | Path, *, rate: float | None = None, rates: Mapping[str, float] | None = None
) -> tuple[Adapter, ...]:
    """Return every adapter in a folder and its sub-folders, sorted by path and named after its own folder.

    Adapters in folders of the same name are named after their path below `folder`. The rank is the lowest one that vLLM
    serves and that holds ``r`` and every rank in ``rank_pattern``. `rates` has requests per second by name; adapters
    that are not in it get `rate`. Raises `SpecError` naming file and field.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise SpecError("no such folder", file=folder)
    folders = _adapter_folders(root)
    if not folders:
        raise SpecError(f"no {CONFIG} in this folder or below it", file=folder)
    names = _adapter_names(root, folders)
    rate_of = _adapter_rates(names, rate, rates or {})
    return tuple(_adapter_in(place, name, rate_of[name]) for place, name in zip(folders, names, strict=True))


def _adapter_folders(root: Path) -> list[Path]:
    """Return the folders with a configuration, sorted; links to folders are followed unless they form a cycle."""
    found = []
    for place, below, files in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        below[:] = [name for name in below if not _leads_up(Path(place, name), real)]
        if CONFIG in files:
            found.append(Path(place))
    return sorted(found)


def _leads_up(folder: Path, place: str) -> bool:
    """Return whether `folder` is a link to `place` or to one of its parents."""
    return folder.is_symlink() and Path(place).is_relative_to(folder.resolve())


def _adapter_names(root: Path, folders: list[Path]) -> list[str]:
    count = Counter(folder.name for folder in folders)
    return [folder.relative_to(root).as_posix() if count[folder.name] > 1 else folder.name for folder in folders]


def _adapter_rates(names: list[str], rate: float | None, rates: Mapping[str, float]) -> dict[str, float]:
    """Return the rate of every adapter; raises `SpecError` for a missing rate or an unknown name in `rates`."""
    for name in rates:
        if name not in names:
            raise SpecError(f"{name!r} is not one of the adapters found: {_listed(names)}", "rates")
    for name in names:
        if name not in rates and rate is None:
            message = f"no rate for {name!r}: give one rate for all adapters, or one for each"
            raise SpecError(message, "rates" if rates else "rate")
    return {name: rates[name] if rate is None else rates.get(name, rate) for name in names}


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" ... ({len(names)} in all)" if len(names) > 8 else "")


def _adapter_in(folder: Path, name: str, rate: float) -> Adapter:
    path = folder / CONFIG
    config = _read_config(path)
    if (kind := config.get("peft_type")) != "LORA":
        raise SpecError("missing, must be 'LORA'" if kind is None else f"{kind!r} must be 'LORA'", "peft_type", path)
    return Adapter(
        name=name,
        rank=_served_rank(config, path),
        rate=rate,
        artifact=str(folder),
        target_modules=_target_modules(config, path),
    )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise SpecError(f"not valid JSON: {error.msg}", f"line {error.lineno}", path) from None
    if not isinstance(config, dict):
        raise SpecError(f"expected a mapping of fields, found a {type(config).__name__}", file=path)
    return config


def _served_rank(config: dict[str, Any], path: Path) -> int:
    """Return the lowest rank that vLLM serves and that is not below the rank of any module."""
    if "r" not in config:
        raise SpecError("missing", "r", path)
    pattern = config.get("rank_pattern") or {}
    if not isinstance(pattern, dict):
        raise SpecError(f"{pattern!r} must be a mapping of modules to ranks", "rank_pattern", path)
    needed = 0
    for field, rank in {
        "r": config["r"],
        **{f"rank_pattern.{name}": rank for name, rank in pattern.items()},
    }.items():
        if type(rank) is not int or not 1 <= rank <= SERVED_RANKS[-1]:
            message = f"{rank!r} must be a whole number from 1 to {SERVED_RANKS[-1]}, the highest rank that vLLM serves"
            raise SpecError(message, field, path)
        needed = max(needed, rank)
    return next(rank for rank in SERVED_RANKS if rank >= needed)


def _target_modules(config: dict[str, Any], path: Path) -> tuple[str, ...] | None:
    """Return the names of the target modules, or a single pattern such as ``all-linear``; None when not given."""
    modules = config.get("target_modules")
    if modules is None:
        return None
    if isinstance(modules, str):
        return (modules,)
    if isinstance(modules, list) and all(isinstance(module, str) for module in modules):
        return tuple(modules)
    raise SpecError(f"{modules!r} must be a name or a list of names", "target_modules", path)
