"""PEFT: adapters from folders of LoRA weights, each with an adapter_config.json."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from adaptwin.errors import SpecError
from adaptwin.model_names import differs, model_key
from adaptwin.spec import read_text
from adaptwin.workload.sources.peft_features import not_applied, refusals
from adaptwin.workload.workload import SERVED_RANKS, Adapter

CONFIG = "adapter_config.json"
MOST_LISTED = 20  # adapters named in an error


class PeftFolder(NamedTuple):
    """What a folder of adapters holds: adapters that vLLM serves, and what is to be said about them and the others."""

    adapters: tuple[Adapter, ...]
    skipped: dict[str, str]  # why an adapter was left out, by name
    warnings: dict[str, str]  # what vLLM loads of an adapter but does not apply, by name


def adapters_from_peft(
    folder: str | Path, *, rate: float | None = None, rates: Mapping[str, float] | None = None
) -> tuple[Adapter, ...]:
    """Return every adapter in a folder and its sub-folders; see `read_peft_folder`, which can also leave some out."""
    return read_peft_folder(folder, rate=rate, rates=rates).adapters


def read_peft_folder(
    folder: str | Path,
    *,
    rate: float | None = None,
    rates: Mapping[str, float] | None = None,
    base_model: str | None = None,
    skip_unsupported: bool = False,
) -> PeftFolder:
    """Read every adapter in a folder and its sub-folders, sorted by path and named after its own folder.

    Adapters in folders of the same name are named after their path below `folder`. The rank is the lowest one that vLLM
    serves and that holds ``r`` and every rank in ``rank_pattern``.

    Args:
        folder: The folder; links to folders are followed.
        rate: Requests per second of adapters that are not in `rates`.
        rates: Requests per second, by name.
        base_model: The model that will be served. An adapter that was trained on another one cannot be. Without it, all
            adapters must have been trained on the same model.
        skip_unsupported: Leave out adapters that vLLM cannot serve. Otherwise they are an error.

    Raises:
        SpecError: A configuration is wrong, a rate is missing, or vLLM cannot serve an adapter; it names all of those.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise SpecError("no such folder", file=folder)
    folders = _adapter_folders(root)
    if not folders:
        raise SpecError(f"no {CONFIG} in this folder or below it", file=folder)
    names = _adapter_names(root, folders)
    configs = {name: _read_config(place / CONFIG) for name, place in zip(names, folders, strict=True)}
    wanted = base_model or _usual_base(configs)
    reasons = {name: "; ".join(_reasons(config, wanted)) for name, config in configs.items()}
    skipped = {name: reason for name, reason in reasons.items() if reason}
    if skipped and not skip_unsupported:
        raise SpecError(_unsupported(skipped, len(names)), file=folder)
    kept = [name for name in names if name not in skipped]
    if not kept:
        raise SpecError(_unsupported(skipped, len(names)), file=folder)
    rate_of = _adapter_rates(names, kept, rate, rates or {})
    return PeftFolder(
        adapters=tuple(
            _adapter_in(place, name, configs[name], rate_of[name])
            for place, name in zip(folders, names, strict=True)
            if name not in skipped
        ),
        skipped=skipped,
        warnings={name: "; ".join(told) for name in kept if (told := not_applied(configs[name]))},
    )


def _reasons(config: dict[str, Any], base_model: str | None) -> list[str]:
    reasons = refusals(config)
    base = _base_model(config)
    if base_model is not None and differs(base, base_model):
        reasons.append(f"base model {base}: not {base_model}")
    return reasons


def _base_model(config: dict[str, Any]) -> str | None:
    base = config.get("base_model_name_or_path")
    return base if isinstance(base, str) and base else None


def _usual_base(configs: Mapping[str, dict[str, Any]]) -> str | None:
    """Return the base model that most adapters name; None if none does."""
    bases = [base for config in configs.values() if (base := _base_model(config))]
    keys = Counter(map(model_key, bases))
    return max(bases, key=lambda base: keys[model_key(base)], default=None)


def _unsupported(skipped: Mapping[str, str], count: int) -> str:
    told = [f"{name} ({reason})" for name, reason in list(skipped.items())[:MOST_LISTED]]
    more = f" and {len(skipped) - MOST_LISTED:,} more" if len(skipped) > MOST_LISTED else ""
    head = f"vLLM cannot serve {len(skipped):,} of {count:,} adapters together with the others"
    return f"{head} (--skip-unsupported leaves them out): {', '.join(told)}{more}"


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


def _adapter_rates(
    names: list[str], kept: list[str], rate: float | None, rates: Mapping[str, float]
) -> dict[str, float]:
    """Return the rate of every adapter kept; raises `SpecError` for a missing rate or an unknown name in `rates`."""
    for name in rates:
        if name not in names:
            raise SpecError(f"{name!r} is not one of the adapters found: {_listed(names)}", "rates")
    for name in kept:
        if name not in rates and rate is None:
            message = f"no rate for {name!r}: give one rate for all adapters, or one for each"
            raise SpecError(message, "rates" if rates else "rate")
    return {name: rates[name] if rate is None else rates.get(name, rate) for name in kept}


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" ... ({len(names)} in all)" if len(names) > 8 else "")


def _adapter_in(folder: Path, name: str, config: dict[str, Any], rate: float) -> Adapter:
    path = folder / CONFIG
    return Adapter(
        name=name,
        rank=_served_rank(config, path),
        rate=rate,
        artifact=str(folder),
        base_model=_base_model(config),
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
