"""The generated reference pages: they are up to date and complete, and GitHub renders their tables."""

import re
import sys
from pathlib import Path

import pytest

from adaptwin import Explanation, Surrogate
from adaptwin.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
NAMES = ("command-line.md", "files.md", "python.md", "serving-stacks.md")

TAGS = {
    *("a", "code", "em", "h1", "h2", "h3", "h4", "hr", "li", "p", "pre", "strong", "ul"),
    *("table", "tbody", "td", "th", "thead", "tr"),
}

every_page = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def making():
    """Return the modules that make the pages: those of ``making``, which use those of ``benchmarks``."""
    folders = [str(ROOT / "making"), str(ROOT / "benchmarks")]
    sys.path[:0] = folders
    try:
        import field_tables
        import files_page
        import reference
    finally:
        for folder in folders:
            sys.path.remove(folder)
    return reference, files_page, field_tables


@pytest.fixture(scope="module")
def classes(making):
    """Return all classes whose fields the pages describe, with the parts of an explanation."""
    _, files_page, field_tables = making
    return [*files_page.described_classes(), *field_tables.classes_in(Explanation), Surrogate]


def text_of(name):
    return (REFERENCE / name).read_text(encoding="utf-8")


def rows_of(text):
    """Yield the rows of every table of a page as lists of cells, without those that a code block holds."""
    for line in re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        if line.startswith("|"):
            yield re.split(r"(?<!\\)\|", line)[1:-1]
        elif line:
            yield None


@every_page
def test_the_page_is_what_the_generator_makes_now(making, name):
    made = making[0].REFERENCE_PAGES[name]()
    assert made == text_of(name), f"docs/reference/{name} is out of date: run make reference"


def test_every_field_is_described(classes):
    missing = [
        f"{spec.__name__}.{name}" for spec in classes for name, f in spec.model_fields.items() if not f.description
    ]
    assert missing == []


def test_descriptions_are_phrases_that_do_not_end_as_sentences(classes):
    texts = {field.description for spec in classes for field in spec.model_fields.values()}
    assert [text for text in texts if text.endswith((".", ","))] == []
    assert [text for text in texts if text[0].isupper() and not re.match(r"[A-Z]{3}|LoRA", text)] == []


@every_page
def test_every_row_of_a_table_has_the_cells_of_its_header(name):
    header = None
    for row in rows_of(text_of(name)):
        if row is None:
            header = None
            continue
        header = header or row
        assert len(row) == len(header), row


@every_page
def test_the_page_renders_as_it_was_meant(name):
    """Every row of a table is a row of the rendered page, and no text is taken for markup."""
    text = text_of(name)
    html = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table").render(text)
    dividers = len(re.findall(r"^\|---", text, re.MULTILINE))
    rows = sum(row is not None for row in rows_of(text))
    assert html.count("<tr>") == rows - dividers
    assert html.count("<table>") == dividers
    assert set(re.findall(r"<(\w+)", html)) <= TAGS
    assert set(re.findall(r"<em>(.*?)</em>", html)) <= {"required", "none"}


def test_no_markup_of_the_terminal_is_left():
    text = text_of("command-line.md")
    assert not re.search(r"\[/?(dim|bold)\]|\\\[", text)
    assert "[default" not in text


def test_every_command_has_a_section():
    titles = re.findall(r"^## adaptwin (\w+)$", text_of("command-line.md"), re.MULTILINE)
    assert titles == list(COMMANDS)
