"""Fits, to measurements and to files, as a notebook shows them."""

from adaptwin.calibration.file_fit.file_fit import FileFit
from adaptwin.calibration.fit import Fit
from adaptwin.report.notebook.html_table import SHOWN_ROWS, HtmlTable, and_more, html_view, line_view
from adaptwin.report.notebook.profile_view import profile_facts
from adaptwin.report.style.words import count


def fit_facts(fitted: Fit) -> list[str]:
    """Return what a fit is in a line: the profile, how far it is from the measurements, and what is left open."""
    return [
        *profile_facts(fitted.profile),
        *(f"{part.part} {part.mean:.1f} % off" for part in fitted.residuals),
        f"{count(len(fitted.undetermined), 'constant')} not determined",
        count(len(fitted.warnings), "warning"),
    ]


def fit_line(fitted: Fit) -> str:
    """Return a fit in a line."""
    return line_view("Fit", fit_facts(fitted))


def fit_html(fitted: Fit) -> str:
    """Return a fit as HTML: its facts, the errors of its parts, and its warnings."""
    rows = [(each.part, f"{each.points:,}", f"{each.mean:.1f} %", f"{each.worst:.1f} %") for each in fitted.residuals]
    parts = HtmlTable(("part", "points", "mean error", "worst error"), rows)
    return html_view("Fit", fit_facts(fitted), parts, *_table_of_sentences("warning", fitted.warnings))


def file_fit_facts(fitted: FileFit) -> list[str]:
    """Return what a fit to files is in a line: the profile, the files, and how many constants they corrected."""
    refused = sum(bool(use.refused) for use in fitted.files)
    return [
        *profile_facts(fitted.profile),
        count(len(fitted.files), "file"),
        *([f"{refused:,} not used"] if refused else []),
        f"{count(len(fitted.corrected), 'constant')} corrected",
        f"{count(len(fitted.uncovered), 'thing')} not covered",
    ]


def file_fit_line(fitted: FileFit) -> str:
    """Return a fit to files in a line."""
    return line_view("FileFit", file_fit_facts(fitted))


def file_fit_html(fitted: FileFit) -> str:
    """Return a fit to files as HTML: its facts, what was taken from each file, and what is assumed or not covered."""
    uses = [(use.file, use.kind, use.refused or "; ".join(use.taken)) for use in fitted.files[:SHOWN_ROWS]]
    files = HtmlTable(("file", "kind", "taken"), uses, and_more(len(fitted.files), "file"), numbers=False)
    notes = _table_of_sentences("assumed or not covered", [*fitted.said, *fitted.uncovered])
    return html_view("FileFit", file_fit_facts(fitted), files, *notes)


def _table_of_sentences(header: str, sentences: list[str]) -> list[HtmlTable]:
    """Return a table of sentences; none where there are no sentences."""
    return [HtmlTable((header,), [(each,) for each in sentences])] if sentences else []
