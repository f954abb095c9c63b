"""Tables of a training for the terminal: its scores, its weakest regimes, and how often the twin is still run."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType

from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Text
from adaptwin.report.training.sentences import asked_sentence, error_text, score_text, source_sentence
from adaptwin.report.training.weakest import FEWEST_RUNS, weakest
from adaptwin.surrogate.findings import Findings, RegimeLine, ScoreLine
from adaptwin.surrogate.surrogate import Surrogate


def training_table(findings: Findings, surrogates: Mapping[str, Surrogate]) -> RenderableType:
    """Show the scores on held-out mixes by profile, the weakest regimes, and how often the twin is still run."""
    parts: list[RenderableType] = [Text(source_sentence(surrogates), style="bold")]
    for profile, lines in findings.scores.items():
        parts += [heading(f"Scores on held-out mixes, {profile}"), _scores_table(lines)]
    parts += [heading("Where the distilled models are weakest"), _weakest_table(findings.regimes)]
    return Group(*parts, Text(f"\n{asked_sentence(findings, surrogates)}"))


def _scores_table(lines: Sequence[ScoreLine]) -> RenderableType:
    table = plain_table()
    table.add_column("Figure")
    add_numbers(table, "Large models", "Distilled")
    for line in lines:
        table.add_row(line.figure, *(score_text(score, line.unit) for score in (line.teacher, line.distilled)))
    return table


def _weakest_table(regimes: Sequence[RegimeLine]) -> RenderableType:
    found = weakest(regimes, most=2)
    if not found:
        return Text(f"No regime has the {FEWEST_RUNS} runs that a comparison needs.")
    table = plain_table()
    table.add_column("Figure", no_wrap=True)
    table.add_column("Regime", overflow="fold")
    add_numbers(table, "Runs", "Error")
    table.add_column("", no_wrap=True)
    before = ""
    for one in found:
        figure, before = "" if one.figure == before else one.figure, one.figure
        table.add_row(figure, Text(one.where), f"{one.regime.runs:,}", error_text(one.error), one.kind)
    return table
