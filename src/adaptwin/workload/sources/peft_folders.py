"""Folders of PEFT adapters: which adapters lie in them, in trainer runs, caches of the hub, or alone."""

import os
import re
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import SpecError

CONFIG = "adapter_config.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,18})")  # as the Trainer of transformers names them
_REPOSITORY = re.compile(r"models--(.+)")  # a repository in a cache of the hub
_NAME_FORMS = 4  # forms of a name, each longer than the one before


class FoundAdapter(NamedTuple):
    """An adapter on the disk."""

    name: str
    folder: Path
    checkpoints: tuple[int, ...]  # steps of the checkpoints of its training, in rising order
    taken: int | None  # step of the checkpoint that `folder` is; None if it is the final adapter


class FoundAdapters(NamedTuple):
    """The adapters in some folders, and what was passed over."""

    adapters: tuple[FoundAdapter, ...]
    bad: dict[str, str]  # folders that cannot be read, with the reasons
    older: dict[str, tuple[str, ...]]  # snapshots beside the one that counts, by repository


class _AdapterPlace(NamedTuple):
    """A folder with a configuration, below one of the folders that were given."""

    root: Path
    folder: Path

    @property
    def run(self) -> Path:
        """The folder without those of checkpoints: that of the training run."""
        return self.root.joinpath(*(part for part in self._parts if not _CHECKPOINT.fullmatch(part)))

    @property
    def step(self) -> int | None:
        """The step of the checkpoint; None if it is none. The folder that was given counts as a final adapter."""
        steps = [int(found[1]) for part in self._parts if (found := _CHECKPOINT.fullmatch(part))]
        return steps[-1] if steps else None

    @property
    def _parts(self) -> tuple[str, ...]:
        return self.folder.relative_to(self.root).parts


def find_adapters(places: Sequence[str | Path], checkpoint: int | None = None) -> FoundAdapters:
    """Find the adapters in folders and below them; each folder counts once, however many links lead to it.

    Of a training run, the final adapter counts, or else the checkpoint with the highest step. Of a repository in a
    cache of the Hugging Face hub, the snapshot counts that ``refs/main`` names, or else the newest one.

    Args:
        places: Folders, and files ``adapter_config.json``, each of which stands for the adapter in its folder only.
        checkpoint: Step of the checkpoint to take of every run that has checkpoints.

    Raises:
        SpecError: There is no such folder, no adapter in one of them, or no checkpoint with this step.
    """
    walk = _Walk()
    for place in places:
        walk.enter(place)
    runs: dict[Path, dict[int | None, _AdapterPlace]] = {}
    for found in walk.found:
        runs.setdefault(found.run, {})[found.step] = found
    adapters, bad = [], walk.bad
    names = distinct_names([(next(iter(run.values())).root, path) for path, run in runs.items()])
    for name, (path, run) in zip(names, runs.items(), strict=True):
        steps = sorted(step for step in run if step is not None)
        taken = _step_to_take(run, steps, checkpoint)
        if taken in run:
            adapters.append(FoundAdapter(name, run[taken].folder, tuple(steps), taken))
        else:
            bad[shown(path)] = f"has no checkpoint-{checkpoint}, but {', '.join(map(str, steps))}"
    if checkpoint is not None and not any(found.taken == checkpoint for found in adapters):
        raise SpecError(f"no adapter has a folder checkpoint-{checkpoint}", "checkpoint")
    return FoundAdapters(tuple(sorted(adapters, key=lambda found: found.folder)), bad, walk.older)


def _step_to_take(run: dict[int | None, _AdapterPlace], steps: Sequence[int], checkpoint: int | None) -> int | None:
    if checkpoint is not None and steps:
        return checkpoint
    return None if None in run else steps[-1]


class _Walk:
    """A walk through folders; it owns what it has found and where it has been."""

    def __init__(self) -> None:
        self.found: list[_AdapterPlace] = []
        self.bad: dict[str, str] = {}
        self.older: dict[str, tuple[str, ...]] = {}
        self._seen: set[tuple[int, int]] = set()  # devices and inodes of folders

    def enter(self, place: str | Path) -> None:
        """Visit a folder and all below it, those behind links last, so that an adapter has the name of its folder."""
        root = _resolved(place)
        if root.name == CONFIG and not root.is_dir():
            if self._is_new(root.parent):
                self.found.append(_AdapterPlace(root.parent, root.parent))
            return
        if not root.is_dir():
            raise SpecError(f"is a file: give a folder, or a file {CONFIG}", file=place)
        before = len(self._seen), len(self.bad), len(self.found)
        self._visit(root)
        is_visited = (len(self._seen), len(self.bad)) == before[:2]
        if not is_visited and (len(self.bad), len(self.found)) == before[1:]:
            raise SpecError(f"no {CONFIG} in this folder or below it", file=place)

    def _visit(self, root: Path) -> None:
        folders, links = deque([root]), deque[Path]()
        while folders or links:
            folder = folders.popleft() if folders else links.popleft()
            entries = self._entries(folder)
            if any(entry.name == CONFIG for entry in entries):
                self.found.append(_AdapterPlace(root, folder))
            for entry in self._below(folder, entries):
                path = folder / entry.name
                if not entry.is_symlink():
                    folders.append(path)
                elif not root.is_relative_to(path.resolve()):
                    links.append(path)

    def _entries(self, folder: Path) -> list["os.DirEntry[str]"]:
        """Return the entries of a folder by name; none if it was visited before, or cannot be read."""
        try:
            if not self._is_new(folder):
                return []
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.bad[shown(folder)] = f"cannot be read: {error.strerror}"
            return []

    def _is_new(self, folder: Path) -> bool:
        status = folder.stat()
        before = len(self._seen)
        self._seen.add((status.st_dev, status.st_ino))
        return len(self._seen) > before

    def _below(self, folder: Path, entries: list["os.DirEntry[str]"]) -> list["os.DirEntry[str]"]:
        """Return the sub-folders to visit: of a repository in a cache of the hub, only those of its snapshot."""
        below = [entry for entry in entries if _is_folder(entry)]
        if _REPOSITORY.fullmatch(folder.name) and any(entry.name == "snapshots" for entry in below):
            return [entry for entry in below if entry.name == "snapshots"]
        if folder.name == "snapshots" and (repository := _REPOSITORY.fullmatch(folder.parent.name)):
            return self._current_snapshot(folder.parent, _repository_name(repository[1]), below)
        return below

    def _current_snapshot(
        self, cache: Path, repository: str, snapshots: list["os.DirEntry[str]"]
    ) -> list["os.DirEntry[str]"]:
        try:
            current = (cache / "refs" / "main").read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            current = max(snapshots, key=lambda entry: (entry.stat().st_mtime, entry.name)).name if snapshots else ""
        except OSError as error:
            self.bad[shown(cache / "refs" / "main")] = f"cannot be read: {error.strerror}"
            return []
        if current not in {entry.name for entry in snapshots}:
            self.bad[shown(cache)] = f"refs/main names the snapshot {current[:60]!r}, which is not there"
            return []
        if older := tuple(entry.name for entry in snapshots if entry.name != current):
            self.older[repository] = older
        return [entry for entry in snapshots if entry.name == current]


def _resolved(place: str | Path) -> Path:
    """Return a path without links; raises `SpecError` if nothing is there."""
    try:
        return Path(place).resolve(strict=True)
    except FileNotFoundError:
        raise SpecError("no such folder", file=place) from None
    except (OSError, RuntimeError) as error:  # such as a link to itself
        raise SpecError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=place) from None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def distinct_names(places: Sequence[tuple[Path, Path]]) -> list[str]:
    """Return a name for each folder, given with the folder that it was found in: the shortest that tells it apart.

    That is its own name, or else its path below the folder that it was found in, that path with the name of the
    latter, or its whole path. In a cache of the Hugging Face hub, it is the name of the repository.
    """
    lengths = [0] * len(places)
    while True:
        names = [_name_form(*place, length) for place, length in zip(places, lengths, strict=True)]
        count = Counter(names)
        short = [number for number, name in enumerate(names) if count[name] > 1 and lengths[number] < _NAME_FORMS - 1]
        if not short:
            return names
        for number in short:
            lengths[number] += 1


def _name_form(root: Path, folder: Path, length: int) -> str:
    if repository := _name_in_hub(folder):
        forms = (repository, repository, f"{root.name}/{repository}", str(folder))
    elif folder == root:
        forms = (root.name, root.name, root.name, str(folder))
    else:
        below = folder.relative_to(root).as_posix()
        forms = (folder.name, below, f"{root.name}/{below}", str(folder))
    return forms[length] or str(folder)


def _name_in_hub(folder: Path) -> str | None:
    """Return ``org/name`` for a snapshot of this repository, and ``org/name/path`` for a folder in it; else None."""
    parts = folder.parts
    for place in range(len(parts) - 2):
        if (found := _REPOSITORY.fullmatch(parts[place])) and parts[place + 1] == "snapshots":
            return "/".join((_repository_name(found[1]), *parts[place + 3 :]))
    return None


def _repository_name(text: str) -> str:
    return text.replace("--", "/", 1)


def shown(path: str | Path) -> str:
    """Return a path as text that can be printed, even if it is not valid UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()
