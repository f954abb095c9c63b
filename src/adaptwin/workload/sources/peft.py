"""PEFT: adapters from folders of LoRA weights, each with an adapter_config.json."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from adaptwin.errors import SpecError
from adaptwin.model_names import model_key
from adaptwin.spec import read_mapping
from adaptwin.workload.lora_support import ServedModel, named_with_reasons, not_applied, refusals
from adaptwin.workload.peft_features import PeftFeatures
from adaptwin.workload.workload import SERVED_RANKS, Adapter

CONFIG = "adapter_config.json"
PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")  # leave the base model as it is (PEFT)
PLAIN_SWITCHES = ("use_rslora", "use_dora")  # fields use_... that vLLM knows
OTHER_LORA = ("layer_replication", "alora_invocation_tokens", "kasa_config", "arrow_config", "monteclora_config")


class PeftFolder(NamedTuple):
    """What a folder of adapters holds: adapters that vLLM serves, and what is to be said about them and the others."""

    adapters: tuple[Adapter, ...]
    skipped: dict[str, str]  # why an adapter was left out, by name
    warnings: dict[str, str]  # what vLLM serves otherwise than it was trained, by name


class _Config(NamedTuple):
    """What an adapter_config.json says of an adapter."""

    rank: int
    base_model: str | None
    target_modules: tuple[str, ...] | None
    features: PeftFeatures | None


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
    served: ServedModel | None = None,
    skip_unsupported: bool = False,
) -> PeftFolder:
    """Read every adapter in a folder and its sub-folders, sorted by path and named after its own folder.

    Adapters in folders of the same name are named after their path below `folder`. The rank is the lowest one that vLLM
    serves and that holds ``r`` and every rank in ``rank_pattern``.

    Args:
        folder: The folder; links to folders are followed.
        rate: Requests per second of adapters that are not in `rates`.
        rates: Requests per second, by name.
        served: The model that will be served, and the version of vLLM. Without it, all adapters must have the base
            model that most of them name, and they must suit every version.
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
    found = {name: _config_in(place / CONFIG) for name, place in zip(names, folders, strict=True)}
    configs = {name: config for name, config in found.items() if isinstance(config, _Config)}
    served = served or ServedModel(name=_usual_base(configs))
    skipped = {name: reason for name, config in found.items() if (reason := _reason(config, served))}
    if skipped and (not skip_unsupported or len(skipped) == len(names)):
        raise SpecError(named_with_reasons(skipped, len(names), served), file=folder)
    kept = [name for name in names if name not in skipped]
    rate_of = _adapter_rates(names, kept, rate, rates or {})
    place_of = dict(zip(names, folders, strict=True))
    return PeftFolder(
        adapters=tuple(
            Adapter(name=name, rate=rate_of[name], artifact=str(place_of[name]), **configs[name]._asdict())
            for name in kept
        ),
        skipped=skipped,
        warnings={
            name: "; ".join(told)
            for name in kept
            if (told := not_applied(configs[name].base_model, configs[name].features, served))
        },
    )


def _reason(config: "_Config | str", served: ServedModel) -> str:
    """Return why vLLM cannot serve an adapter; empty if it can."""
    if isinstance(config, str):
        return config
    return "; ".join(refusals(config.base_model, config.target_modules, config.features, served))


def _usual_base(configs: Mapping[str, _Config]) -> str | None:
    """Return the base model that most adapters name; None if none does."""
    bases = [config.base_model for config in configs.values() if config.base_model]
    keys = Counter(map(model_key, bases))
    return max(bases, key=lambda base: keys[model_key(base)], default=None)


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


def _config_in(path: Path) -> _Config | str:
    """Return what a file says of an adapter, or why the adapter is none that vLLM serves; raises `SpecError`."""
    config = _read_config(path)
    if (kind := config.get("peft_type")) != "LORA":
        return f"peft_type: {'missing' if kind is None else repr(kind)} must be 'LORA'"
    rank_pattern = _rank_pattern(config, path)
    needed = max(_ranks(config, rank_pattern, path).values())
    if needed > SERVED_RANKS[-1]:
        return f"rank {needed}: {SERVED_RANKS[-1]} is the highest that vLLM serves"
    features = PeftFeatures.parse(_features_in(config, rank_pattern), file=path)
    base = config.get("base_model_name_or_path")
    return _Config(
        rank=next(rank for rank in SERVED_RANKS if rank >= needed),
        base_model=base if isinstance(base, str) and base else None,
        target_modules=_target_modules(config, path),
        features=None if features.is_plain else features,
    )


def _read_config(path: Path) -> dict[str, Any]:
    return read_mapping(path)


def _rank_pattern(config: dict[str, Any], path: Path) -> dict[str, Any]:
    pattern = config.get("rank_pattern") or {}
    if not isinstance(pattern, dict):
        raise SpecError(f"{pattern!r} must be a mapping of modules to ranks", "rank_pattern", path)
    return pattern


def _ranks(config: dict[str, Any], rank_pattern: dict[str, Any], path: Path) -> dict[str, int]:
    """Return the ranks of the adapter's modules by field; raises `SpecError` for what is no rank."""
    if "r" not in config:
        raise SpecError("missing", "r", path)
    ranks = {"r": config["r"], **{f"rank_pattern.{name}": rank for name, rank in rank_pattern.items()}}
    for field, rank in ranks.items():
        if type(rank) is not int or rank < 1:
            raise SpecError(f"{rank!r} must be a whole number, at least 1", field, path)
    return ranks


def _features_in(config: dict[str, Any], rank_pattern: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `PeftFeatures` that the configuration sets; vLLM and PEFT take null for the default."""
    init = config.get("init_lora_weights")
    changes_base = isinstance(init, str) and init.lower() not in PLAIN_INITS
    alphas = config.get("alpha_pattern") or {}
    if isinstance(alphas, dict):
        alphas = {name: alpha for name, alpha in alphas.items() if alpha != config.get("lora_alpha")}
    fields = {
        "use_dora": bool(config.get("use_dora")),
        "modules_to_save": _names(config.get("modules_to_save")),
        "bias": config.get("bias"),
        "lora_bias": bool(config.get("lora_bias")),
        "rank_pattern": {name: rank for name, rank in rank_pattern.items() if rank != config["r"]},
        "alpha_pattern": alphas,
        "target_parameters": _names(config.get("target_parameters")),
        "trainable_token_indices": bool(config.get("trainable_token_indices")),
        "task_type": config.get("task_type"),
        "init_lora_weights": init if changes_base else None,
        "variants": _variants(config),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _variants(config: dict[str, Any]) -> list[str]:
    """Return the fields that make another variant of LoRA; PEFT switches most of them on by a field ``use_...``."""
    switches = [name for name in config if name.startswith("use_") and name not in PLAIN_SWITCHES]
    return [name for name in (*OTHER_LORA, *switches) if config.get(name)]


def _names(value: Any) -> Any:
    return [value] if isinstance(value, str) else value or []


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
