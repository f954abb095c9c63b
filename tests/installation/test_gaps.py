"""What the twin does not model: the list in the program is that of the page."""

import re
from pathlib import Path

from adaptwin.installation.gaps import EFFECTS, GAPS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "limits.md"
SECTIONS = ("Features of vLLM", "LoRA", "Servers and clusters")


def rows() -> list[tuple[str, str]]:
    """Return the first cell and the effect of every row that has an effect, in the order of the page."""
    text = PAGE.read_text(encoding="utf-8")
    found = []
    for section in SECTIONS:
        part = re.split(r"^##+ ", text.split(f"\n## {section}\n")[1], flags=re.MULTILINE)[0]
        for line in part.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            effect = re.match(r"\w+", cells[-1])
            if line.startswith("|") and effect and effect[0] in EFFECTS:
                found.append((cells[0], effect[0]))
    return found


def test_the_page_has_rows():
    assert len(rows()) > 20


def test_program_and_page_list_the_same_in_the_same_order():
    assert len(rows()) == len(GAPS)
    for (cell, effect), gap in zip(rows(), GAPS, strict=True):
        assert cell.startswith(gap.what)
        assert effect == gap.effect
