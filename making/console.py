"""Run the commands that the documentation pages show, and write what they print into the pages: make console.

A line of a ``console`` block that begins with ``$ `` is a command, which a backslash at the end of the line continues.
The lines below the command are its output; a line ``...`` stands for lines that are left out. The commands of a page
run in order in one temporary folder, which has a copy of examples/. A ``yaml`` block whose first line is a comment with
the name of a file, such as ``# fleet.yaml``, is written to that file.
"""

import difflib
import hashlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from adaptwin.surrogate.compilation import compile_planning

PROJECT = Path(__file__).resolve().parents[1]
PAGES = (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("**/*.md")))
LEFT_OUT = "..."
COLUMNS = "80"
_BLOCK = re.compile(r"^```(console|bash|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w-]+\.yaml)\n")
_OPTIONS_OF_PLAN = re.compile(r"^Objective (?:.*\n)*?.*\.$", re.MULTILINE)  # its line breaks depend on the durations
_SECONDS = re.compile(r"\b(planned in|search) \d[\d.,]* (?:ms|s|min|h)\b")

Run = Callable[[str, Path], str]


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str  # console, bash or yaml
    code: str
    line: int  # of the page, from 1


class Example(NamedTuple):
    """A command of a console block and the output that the page shows."""

    command: str  # as typed, continuation lines included
    output: str  # whole lines


class _Outcome(NamedTuple):
    printed: str
    written: dict[str, bytes]  # files that the command wrote or changed, by path in the folder


class Shell:
    """Runs commands in a folder. A command that was run before on the same files is not run again.

    What commands did is kept in a folder of its own, which several processes may share.
    """

    def __init__(self, known: Path) -> None:
        self._known = known

    def __call__(self, command: str, folder: Path) -> str:
        """Return what the command prints, and leave in the folder what it writes."""
        before = _files(folder)
        kept = self._known / hashlib.sha256(repr((command, sorted(before.items()))).encode()).hexdigest()
        if kept.exists():
            outcome = _Outcome(*pickle.loads(kept.read_bytes()))  # noqa: S301 (written below)
            for name, content in outcome.written.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            return outcome.printed
        printed = run(command, folder)
        outcome = _Outcome(printed, dict(_files(folder).items() - before.items()))
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(pickle.dumps(tuple(outcome)))
        unfinished.replace(kept)
        return printed


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page that have commands or the content of a file."""
    return [Block(found[1], found[2], text.count("\n", 0, found.start()) + 1) for found in _BLOCK.finditer(text)]


def examples(code: str) -> list[Example]:
    """Return the examples of a console block."""
    start, *parts = re.split(r"^\$ ", code, flags=re.MULTILINE)
    if start.strip() or not parts:
        raise ValueError(f"a console block begins with '$ ', not with {start.strip()[:60]!r}")
    return [_example(part) for part in parts]


def _example(text: str) -> Example:
    lines = text.splitlines(keepends=True)
    end = next((number for number, line in enumerate(lines, start=1) if not line.endswith("\\\n")), len(lines))
    return Example("".join(lines[:end]).rstrip("\n"), "".join(lines[end:]))


def updated(text: str, folder: Path, shell: Run) -> str:
    """Return a page with the output that its commands have now; they are run in the folder.

    An output that differs only in how long planning took stays as it is.
    """

    def replaced(found: re.Match[str]) -> str:
        language, code = found.groups()
        if language == "console":
            code = "".join(_updated_example(example, folder, shell) for example in examples(code))
        elif language == "yaml" and (name := _FILE_NAME.match(code)):
            (folder / name[1]).write_text(code, encoding="utf-8")
        return f"```{language}\n{code}```"

    return _BLOCK.sub(replaced, text)


def _updated_example(example: Example, folder: Path, shell: Run) -> str:
    printed = shell(example.command, folder)
    try:
        now = shortened_alike(example.output, printed)
    except ValueError as error:
        raise ValueError(f"{example.command}: {error}") from None
    output = example.output if without_durations(now) == without_durations(example.output) else now
    return f"$ {example.command}\n{output}"


def without_durations(output: str) -> str:
    """Return an output without the durations of planning, and without the line breaks that depend on them."""
    return _OPTIONS_OF_PLAN.sub(lambda found: _SECONDS.sub(r"\1 ...", " ".join(found[0].split())), output)


def shortened_alike(shown: str, printed: str) -> str:
    """Return what a command prints, without the lines that the page leaves out.

    As many lines as the page shows are kept at the beginning and at the end. Lines between two that say ``...`` are
    found by the first of them.

    Raises:
        ValueError: If the first line of a part between two ``...`` is no longer printed.
    """
    parts = [part.splitlines() for part in re.split(rf"^{re.escape(LEFT_OUT)}\n", shown, flags=re.MULTILINE)]
    lines = printed.splitlines()
    if len(parts) == 1:
        return printed
    kept, at = lines[: len(parts[0])], len(parts[0])
    for part in parts[1:-1]:
        if part[0] not in lines[at:]:
            raise ValueError(f"no longer prints {part[0]!r}: shorten the output anew")
        at = lines.index(part[0], at)
        kept += [LEFT_OUT, *lines[at : at + len(part)]]
        at += len(part)
    kept += [LEFT_OUT, *lines[max(at, len(lines) - len(parts[-1])) :]]
    return "".join(f"{line}\n" for line in kept)


def run(command: str, folder: Path) -> str:
    """Return what a command prints in a folder: output and errors in order, without blanks at the ends of lines."""
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=kept | {"PATH": programs, "COLUMNS": COLUMNS, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
    )
    if done.returncode:
        print(f"exit code {done.returncode}: {command}", file=sys.stderr)
    return re.sub(r"[ \t]+$", "", done.stdout, flags=re.MULTILINE)


def prepare(folder: Path) -> None:
    """Copy what the commands of the pages read into a folder."""
    shutil.copytree(PROJECT / "examples", folder / "examples")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def difference(old: str, new: str) -> str:
    """Return the lines that differ between two versions of a page."""
    return "".join(difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), n=1))


def main() -> None:
    """Update the output on all pages, and say what has changed."""
    compile_planning()  # so that no command says that it compiles
    with tempfile.TemporaryDirectory() as known:
        for page in PAGES:
            _update(page, Shell(Path(known)))


def _update(page: Path, shell: Run) -> None:
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        try:
            now = updated(text, Path(folder), shell)
        except ValueError as error:
            sys.exit(f"{page.relative_to(PROJECT)}: {error}")
    if now != text:
        page.write_text(now, encoding="utf-8")
        print(f"{page.relative_to(PROJECT)}:\n{difference(text, now)}")


if __name__ == "__main__":
    main()
