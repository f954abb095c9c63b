"""Shipped files: data files that come with a package of adaptwin."""

import importlib.resources
from pathlib import Path


def shipped_files(package: str, suffix: str) -> dict[str, Path]:
    """Return the files with this suffix in the package's folder ``data``, by name without the suffix, sorted."""
    names = sorted(entry.name for entry in _data_of(package).iterdir() if entry.name.endswith(suffix))
    return {name.removesuffix(suffix): Path(str(_data_of(package) / name)) for name in names}


def _data_of(package: str) -> importlib.resources.abc.Traversable:
    return importlib.resources.files(package) / "data"
