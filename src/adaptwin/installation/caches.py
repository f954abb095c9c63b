"""caches: where machine code is kept, and whether that for this processor is there."""

import os
from pathlib import Path

from adaptwin.cache_folders import CHOSEN_FOLDERS, cache_folders, is_usable_folder
from adaptwin.installation.finding import InstallationFinding
from adaptwin.jit import COMPILED_PACKAGES

_PACKAGE = Path(__file__).resolve().parents[1]
NO_FOLDER = "name a folder that you can write to in ADAPTWIN_CACHE_DIR"


def caches() -> list[InstallationFinding]:
    """Return where machine code is kept and how much of it, and whether all of it is there for this processor."""
    return [*_unusable_choices(), _folder(), _machine_code()]


def _unusable_choices() -> list[InstallationFinding]:
    """Return the variables that name a folder which cannot be used: adaptwin then takes another one."""
    named = [(name, Path(os.environ[name])) for name in CHOSEN_FOLDERS if os.environ.get(name)]
    says = "{} cannot be written to, another folder is used"
    remedy = "make the folder writable, or unset {}"
    return [
        InstallationFinding(name, "wrong", says.format(folder), remedy.format(name))
        for name, folder in named
        if not is_usable_folder(folder)
    ]


def _folder() -> InstallationFinding:
    """Return the folder of the kernel's machine code and the size of what all folders hold."""
    candidates = list(cache_folders(_PACKAGE / "twin" / "kernel" / "play.py"))
    writable = next((folder for folder in candidates if _is_writable(folder)), None)
    size = f"{_kept_bytes() / 1e6:.1f} MB of machine code"
    if writable is None:
        says = f"no folder can be written to ({', '.join(map(str, candidates))}); {size}"
        return InstallationFinding("folder", "note" if _is_compiled() else "wrong", says, NO_FOLDER)
    is_beside = writable.name == "__pycache__"
    where = f"__pycache__ beside the sources ({_PACKAGE})" if is_beside else str(writable.parent)
    return InstallationFinding("folder", "ok", f"{where}: can be written to, {size}")


def _machine_code() -> InstallationFinding:
    if _is_compiled():
        return InstallationFinding("machine code", "ok", "compiled for this processor")
    says = "not compiled for this processor: the first plan takes about a minute longer"
    return InstallationFinding("machine code", "note", says, "run adaptwin doctor without --skip-self-test once")


def _is_compiled() -> bool:
    from adaptwin.surrogate.compilation import PLANNING

    return all(job.is_on_disk for job in PLANNING)


def _kept_bytes() -> int:
    """Return the size of all machine code, for any processor, in all folders from which it may be loaded."""
    sources = {path.parent for name in COMPILED_PACKAGES for path in (_PACKAGE / name).rglob("*.py")}
    folders = {folder for source in sources for folder in cache_folders(source / "any.py")}
    return sum(file.stat().st_size for folder in folders for file in folder.glob("*.machine-code"))


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself can be made."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)
