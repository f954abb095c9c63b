"""PeftConfig: what an adapter_config.json says of an adapter."""

import re
import stat
from pathlib import Path
from typing import Any, NamedTuple

from adaptwin.errors import SpecError
from adaptwin.spec import read_mapping
from adaptwin.visible import quoted
from adaptwin.workload.lora_ranks import MOST_RANK, SERVED_RANKS, listed
from adaptwin.workload.peft_features import PeftFeatures

PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")  # leave the base model as it is (PEFT)
PLAIN_SWITCHES = ("use_rslora", "use_dora")  # fields use_... that vLLM knows
OTHER_LORA = ("layer_replication", "alora_invocation_tokens", "kasa_config", "arrow_config", "monteclora_config")
LARGEST_CONFIG = 10_000_000  # bytes; those that PEFT writes have a few thousand
_WHOLE = re.compile(r"\s*\+?(\d{1,18})(\.0*)?\s*")


class PeftConfig(NamedTuple):
    """What an adapter_config.json says of an adapter."""

    r: int
    rank_pattern: dict[str, int]  # all that the file has, also those equal to `r`
    base_model: str | None
    target_modules: tuple[str, ...] | None
    excludes: bool  # whether some of the target modules are left out again
    features: PeftFeatures | None
    refusal: str  # why no version of vLLM serves the adapter; empty if some do
    warning: str  # what vLLM reads otherwise than meant; empty if nothing

    @property
    def rank(self) -> int:
        """The highest rank of a module, for which the adapter needs a slot."""
        return max((self.r, *self.rank_pattern.values()))


def read_peft_config(path: Path) -> PeftConfig:
    """Read an adapter_config.json; raises `SpecError` if it cannot be read, or holds what PEFT never writes."""
    config = _read_config(path)
    kind = config.get("peft_type")
    if kind != "LORA":
        reason = f"peft_type: {'missing' if kind is None else repr(kind)} must be 'LORA'"
        return PeftConfig(0, {}, None, None, excludes=False, features=None, refusal=reason, warning="")
    r, ranks = _ranks_in(config, path)
    features = PeftFeatures.parse(_features_in(config, r, ranks), file=path)
    base = config.get("base_model_name_or_path")
    highest = max((r, *ranks.values()))
    too_high = f"rank {highest}: {MOST_RANK} is the highest that vLLM serves ({listed(SERVED_RANKS)})"
    return PeftConfig(
        r=r,
        rank_pattern=ranks,
        base_model=base if isinstance(base, str) and base else None,
        target_modules=_target_modules(config, path),
        excludes=bool(config.get("exclude_modules")),
        features=None if features.is_plain else features,
        refusal=too_high if highest > MOST_RANK else "",
        warning=_odd_ranks(config),
    )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
    except OSError as error:
        what = "a link to a file that is not there" if path.is_symlink() else error.strerror
        raise SpecError(f"cannot be read: {what}", file=path) from None
    if not stat.S_ISREG(status.st_mode):
        raise SpecError("cannot be read: it is no file", file=path)
    if status.st_size > LARGEST_CONFIG:
        raise SpecError(f"has {status.st_size:,} bytes, at most {LARGEST_CONFIG:,} are read", file=path)
    return read_mapping(path)


def _ranks_in(config: dict[str, Any], path: Path) -> tuple[int, dict[str, int]]:
    """Return the rank ``r``, and those of ``rank_pattern`` by pattern; raises `SpecError` for what is no rank."""
    if "r" not in config:
        raise SpecError("missing", "r", path)
    pattern = config.get("rank_pattern") or {}
    if not isinstance(pattern, dict):
        raise SpecError(f"{quoted(pattern)} must be a mapping of modules to ranks", "rank_pattern", path)
    of_modules = {name: _whole_rank(rank, f"rank_pattern.{name}", path) for name, rank in pattern.items()}
    return _whole_rank(config["r"], "r", path), of_modules


def _whole_rank(value: Any, field: str, path: Path) -> int:
    """Return a rank that is written as a number or as text, such as 16, 16.0 or ``"16"``; raises `SpecError`."""
    text = repr(value) if type(value) in (int, float) else value
    found = _WHOLE.fullmatch(text) if isinstance(text, str) else None
    if not found or not int(found[1]):
        raise SpecError(f"{quoted(value)} must be a whole number, at least 1", field, path)
    return int(found[1])


def _odd_ranks(config: dict[str, Any]) -> str:
    """Return what is to be said of ranks that are not written as whole numbers."""
    ranks = [("r", config["r"]), *(config.get("rank_pattern") or {}).items()]
    odd = [f"{name}: {quoted(rank)}" for name, rank in ranks if type(rank) is not int]
    return f"{', '.join(odd)}: write a whole number, as vLLM may not load the adapter otherwise" if odd else ""


def _features_in(config: dict[str, Any], r: int, rank_pattern: dict[str, int]) -> dict[str, Any]:
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
        "rank_pattern": {name: rank for name, rank in rank_pattern.items() if rank != r},
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
    raise SpecError(f"{quoted(modules)} must be a name or a list of names", "target_modules", path)
