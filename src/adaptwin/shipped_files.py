"""Shipped files: data files that come with a package of adaptwin."""

import importlib.resources
from pathlib import Path


def shipped_files(package: str, suffix: str, folder: str = "data") -> dict[str, Path]:
    """Return the files with this suffix in a folder of the package, by name without the suffix, sorted."""
    entries = importlib.resources.files(package) / folder
    names = sorted(entry.name for entry in entries.iterdir() if entry.name.endswith(suffix))
    return {name.removesuffix(suffix): Path(str(entries / name)) for name in names}
