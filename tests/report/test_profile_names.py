"""Names of profiles in narrow tables: what all have in common is left out, and long names are broken between parts."""

import pytest
from rich.console import Console

from adaptwin.report.plan.profile_names import short_profile_names
from adaptwin.report.style.line_breaks import line_breaks
from adaptwin.report.style.tables import plain_table
from adaptwin.report.style.terminal import Text

H100, L40S = "h100-64gb-llama-3.1-8b-instruct", "l40s-48gb-llama-3.1-8b-instruct"


@pytest.mark.parametrize(
    ("names", "short"),
    [
        ([H100, L40S], ["h100-64gb-…", "l40s-48gb-…"]),
        ([H100], [H100]),
        ([H100, H100], [H100, H100]),
        ([H100, "my-gpu"], [H100, "my-gpu"]),
        (["llama-3.1-8b-instruct", H100], ["llama-3.1-8b-instruct", H100]),  # nothing would be left of the first
        (["a-x", "b-x"], ["a-x", "b-x"]),
    ],
)
def test_the_name_of_a_model_that_all_share_is_left_out(names, short):
    assert [short_profile_names(names)[name] for name in names] == short


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        (H100, 18, ["h100-64gb-llama-", "3.1-8b-instruct"]),
        (H100, 31, [H100]),
        ("meta-llama/Llama-3.1-8B", 16, ["meta-llama/", "Llama-3.1-8B"]),
        ("on " + L40S, 20, ["on", "l40s-48gb-llama-3.1-", "8b-instruct"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("日本語-日本語", 8, ["日本語-", "日本語"]),
        ("ab-" * 3, 1, ["a", "b", "-"] * 3),
    ],
)
def test_a_name_is_broken_between_its_parts(text, width, lines):
    assert [line.plain.rstrip() for line in Text(text).wrap(Console(), width)] == lines


def test_no_place_no_breaks():
    assert line_breaks(H100, 0) == []


def test_a_narrow_column_keeps_the_whole_name_and_its_style():
    table = plain_table()
    table.add_column("Profile", max_width=20)
    table.add_row(Text.assemble((H100, "bold"), "\n", "measured"))
    terminal = Console(width=80, force_terminal=True, color_system="standard")
    with terminal.capture() as shown:
        terminal.print(table)
    assert shown.get().count("\x1b[1m") >= 2
    assert "…" not in shown.get()
