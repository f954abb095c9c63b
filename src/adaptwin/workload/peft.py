"""PEFT: adapters from a folder of LoRA weights, each with its adapter_config.json."""

import json
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
    """Every adapter in a folder or below it, in the order of their paths, named after its own folder.

    Where two folders have the same name, both adapters take their path below `folder`. The rank is the one vLLM
    pads the weights to, the highest of ``rank_pattern`` included. Requests/s come from `rates` by name, and are
    `rate` for those it leaves out. Raises `SpecError` naming file and field.
    """
    root = Path(folder)
    if not root.is_dir():
        raise SpecError("no such folder", file=folder)
    configs = sorted(root.rglob(CONFIG))
    if not configs:
        raise SpecError(f"holds no {CONFIG}, nor do its sub-folders", file=folder)
    names = _names(root, configs)
    _check_rates(names, rate, rates or {})
    return tuple(
        _adapter(config, name, {"": rate, **(rates or {})}) for config, name in zip(configs, names, strict=True)
    )


def _names(root: Path, configs: list[Path]) -> list[str]:
    """The folder's name of each, or the path below `root` of those whose names clash."""
    names = [config.parent.resolve().name for config in configs]
    count = Counter(names)
    paths = [config.parent.relative_to(root).as_posix() for config in configs]
    return [path if count[name] > 1 else name for name, path in zip(names, paths, strict=True)]
