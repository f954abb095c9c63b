"""docs/reference/laws.md names tests that exist, and docs/reference/glossary.md fields that exist."""

import ast
import re
from pathlib import Path

import pytest

from adaptwin import Run
from adaptwin.profile.step_cost import StepCost

ROOT = Path(__file__).resolve().parents[2]
LAWS = (ROOT / "docs" / "reference" / "laws.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", LAWS)))


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_named_in_the_laws_exists(file):
    assert {name for named_file, name in NAMED if named_file == file} <= names_in(file)


def test_every_law_names_its_test():
    rows = [line for line in LAWS.splitlines() if line.startswith("| ") and not line.startswith("| Law")]
    assert len(rows) > 25
    assert all("::test_" in row for row in rows)


def test_every_law_watched_at_each_step_is_in_the_document():
    assert names_in("tests/twin/test_laws.py") - {name for _, name in NAMED} <= {"test_another_seed_gives_another_run"}


def test_the_glossary_names_fields_that_exist():
    glossary = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    for spec in (Run, StepCost):
        fields = set(re.findall(rf"`{spec.__name__}\.(\w+)`", glossary))
        assert fields
        assert fields <= set(spec.model_fields)
