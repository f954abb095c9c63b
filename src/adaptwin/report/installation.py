"""The installation for the terminal: findings by section with their remedies, and what the twin does not model."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from adaptwin.installation.examination import Examination
from adaptwin.installation.finding import FindingState, InstallationFinding
from adaptwin.installation.gaps import EFFECTS, GAPS
from adaptwin.report.style.tables import heading
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import count

LIMITS_PAGE = "docs/explanation/limits.md"
_STATE_STYLES: dict[FindingState, str] = {"ok": "green", "note": "yellow", "wrong": "bold red"}
_UNSET = "not set"


def installation_report(examination: Examination) -> RenderableType:
    """Show what was found, what is not modelled, and whether anything is wrong."""
    parts: list[RenderableType] = []
    for title, findings in examination.sections.items():
        if findings:
            parts += [heading(title.capitalize()), _findings_table(_worth_showing(findings)), *_unset(findings)]
    return Group(*parts, *_not_modelled(), _verdict(examination.wrong))


def _findings_table(findings: Sequence[InstallationFinding]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=5)
    table.add_column(max_width=33, overflow="fold")
    table.add_column(overflow="fold")
    for each in findings:
        says = Text(each.says)
        if each.remedy:
            says.append(f"\nRemedy: {each.remedy}", style=_STATE_STYLES[each.state])
        table.add_row(Text(each.state, style=_STATE_STYLES[each.state]), Text(each.name), says)
    return table


def _worth_showing(findings: Sequence[InstallationFinding]) -> list[InstallationFinding]:
    return [each for each in findings if not each.says.startswith(_UNSET)]


def _unset(findings: Sequence[InstallationFinding]) -> list[Text]:
    """Return one line for all variables that are not set."""
    names = [each.name for each in findings if each.says.startswith(_UNSET)]
    return [Text(f"Not set: {', '.join(names)}", style="dim")] if names else []


def _not_modelled() -> Iterator[Text]:
    yield heading("What the twin does not model")
    for effect, meaning in EFFECTS.items():
        gaps = "; ".join(gap.what for gap in GAPS if gap.effect == effect)
        yield Text.assemble((effect, "bold"), f" ({meaning}): {gaps}.")
    yield Text(f"More, also on traffic and on what the profiles cover: {LIMITS_PAGE}.", style="dim")


def _verdict(wrong: Sequence[InstallationFinding]) -> Text:
    if not wrong:
        return Text("\nNothing is wrong.", style="bold green")
    names = ", ".join(each.name for each in wrong)
    return Text(f"\n{count(len(wrong), 'thing')} wrong: {names}.", style="bold red")
