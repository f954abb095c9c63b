"""The designs of sweeps that come with adaptwin."""

from pathlib import Path

from adaptwin.shipped_files import shipped_files


def shipped_designs() -> dict[str, Path]:
    """Return the files of the shipped designs by name."""
    return shipped_files("adaptwin.dataset", ".yaml")
