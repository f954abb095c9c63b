"""A fit to files for the terminal: what was taken from each, errors before and after, and what stays derived."""

from collections.abc import Iterator

from rich.console import Group, RenderableType

from adaptwin.calibration.file_fit.corrected_evidence import constants_of_profile
from adaptwin.calibration.file_fit.file_fit import ComparedFigure, FileFit
from adaptwin.calibration.file_fit.file_use import FileUse
from adaptwin.profile.profile import Profile
from adaptwin.report.derived import GRADES, constant_in_units
from adaptwin.report.fit import constants_in_words
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import duration


def file_fit_report(fitted: FileFit) -> RenderableType:
    """Show a profile that was corrected with files."""
    profile = fitted.profile
    parts: list[RenderableType] = [
        Text(f"{profile.name}: {profile.model.name} on {profile.hardware}, vLLM {profile.vllm_version}", style="bold"),
        Text(f"Grade: {profile.grade}. {GRADES.get(profile.grade, '')}".rstrip()),
        heading("Files"),
        *(line for use in fitted.files for line in _file(use)),
        heading("The server, and the twin before and after the correction"),
        _before_and_after(fitted.compared),
        heading("Constants that were corrected"),
        *_corrected(fitted),
        heading("Constants that stay derived, or are known only together with others"),
        Text(_constants_left(profile)),
    ]
    notes = [*fitted.said, *fitted.uncovered]
    return Group(*parts, heading("Assumed, contradictory or not covered"), *(_note(note) for note in notes))


def _file(use: FileUse) -> Iterator[Text]:
    yield Text(f"{use.file}{f' ({use.kind})' if use.kind else ''}")
    if use.refused:
        yield Text(f"  not used: {use.refused}", style="yellow")
        return
    for clause in use.taken:
        yield Text(f"  taken: {clause}", style="green")
    for clause in use.left:
        yield Text(f"  not taken: {clause}", style="yellow")
    for clause in use.assumed:
        yield Text(f"  assumed: {clause}", style="yellow")


def _before_and_after(rows: list[ComparedFigure]) -> Table:
    table = plain_table()
    table.add_column("", overflow="fold")
    add_numbers(table, "measured", "derived", "corrected")
    for row in rows:
        table.add_row(row.figure, _written(row.figure, row.measured), *_errors_of_row(row))
    return table


def _written(figure: str, value: float) -> str:
    return f"{value:,.0f}" if figure.endswith("tokens") else duration(value)


def _errors_of_row(row: ComparedFigure) -> list[str]:
    return [f"{round(100 * (value / row.measured - 1), 1) + 0.0:+.1f} %" for value in (row.derived, row.corrected)]


def _corrected(fitted: FileFit) -> Iterator[Text]:
    for name, (before, after) in fitted.corrected.items():
        yield Text(f"  {name:<36}{constant_in_units(name, before):>12} -> {constant_in_units(name, after):>12}")


def _constants_left(profile: Profile) -> str:
    """Name the constants that the files do not determine; a part of the profile with all its constants by its name."""
    parts: dict[str, list[str]] = {}
    for constant in profile.undetermined:
        parts.setdefault(constant.partition(".")[0], []).append(constant)
    every = [name.partition(".")[0] for name in constants_of_profile(profile)]
    whole = [part for part, names in parts.items() if len(names) == every.count(part)]
    rest = [constant for part, names in parts.items() if part not in whole for constant in names]
    return "; ".join(filter(None, (constants_in_words(rest), f"all of {', '.join(whole)}" if whole else "")))


def _note(sentence: str) -> Text:
    return Text(f"- {sentence}", style="yellow")
