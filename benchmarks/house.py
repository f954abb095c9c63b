"""The shape of the source: modules and lines by package, the largest file and function, names defined in several files.

    python benchmarks/house.py                              # this checkout
    python benchmarks/house.py ../adaptwin-0.1/src/adaptwin  # the sources of another one

A module-level name - function, class or constant, private ones included - that is defined in two files means two
things, or one thing twice. `tests/test_house.py` lists the exceptions, each with its reason.
"""

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

SOURCE = Path(__file__).resolve().parents[1] / "src" / "adaptwin"


class Package(NamedTuple):
    """A package, with all modules below it."""

    name: str
    modules: int
    lines: int
    largest_file: tuple[int, str]  # lines, and its path inside the package
    largest_function: tuple[int, str]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", type=Path, default=SOURCE, help="the folder of the package")
    source = parser.parse_args().source
    console = Console(width=120)
    console.print(_table(packages(source)))
    twice = names_in_several_files(source)
    console.print(f"{len(twice)} module-level names are defined in several files")
    for name, files in sorted(twice.items()):
        console.print(f"  {name}: {', '.join(files)}", highlight=False)


def packages(source: Path) -> list[Package]:
    """Return the packages of a source folder; the modules beside them come first, as one entry."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).parts
        groups[parts[0] if len(parts) > 1 else ""].append(path)
    found = []
    for name, paths in sorted(groups.items()):
        files = [(len(path.read_text(encoding="utf-8").splitlines()), _inside(path, source)) for path in paths]
        functions = [measured for path in paths for measured in _functions(path)]
        lines = sum(count for count, _ in files)
        found.append(Package(name, len(paths), lines, max(files), max(functions, default=(0, ""))))
    return found


def names_in_several_files(source: Path) -> dict[str, list[str]]:
    """Return the module-level names that are defined in more than one file, with these files."""
    files: dict[str, list[str]] = defaultdict(list)
    for path in sorted(source.rglob("*.py")):
        for name in dict.fromkeys(_defined(ast.parse(path.read_text(encoding="utf-8")))):
            files[name].append(_inside(path, source))
    return {name: found for name, found in files.items() if len(found) > 1}


def _defined(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))


def _functions(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield (node.end_lineno or 0) - node.lineno + 1, node.name


def _inside(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()


def _table(found: list[Package]) -> Table:
    table = Table(title="The source, by package", title_justify="left")
    table.add_column("package")
    for header in ("modules", "lines"):
        table.add_column(header, justify="right")
    for header in ("largest file", "largest function"):
        table.add_column(header)
    for package in found:
        (lines, file), (length, function) = package.largest_file, package.largest_function
        name = package.name or "(beside the packages)"
        table.add_row(name, str(package.modules), f"{package.lines:,}", f"{file} ({lines})", f"{function} ({length})")
    table.add_row("all", str(sum(p.modules for p in found)), f"{sum(p.lines for p in found):,}", "", "")
    return table


if __name__ == "__main__":
    main()
