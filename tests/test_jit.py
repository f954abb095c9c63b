"""Compilation: machine code is cached, and used only with the sources it was made from."""

import re
from pathlib import Path

import pytest

from adaptwin import jit
from adaptwin.twin.kernel.play import _play_chapter

SOURCE = Path(jit.__file__).parent
COMPILES = re.compile(r"^@(compiled|borrowing)|= compiled\(", re.MULTILINE)


@pytest.fixture
def stamp(tmp_path, monkeypatch):
    """Return the function that stamps the sources in `tmp_path`, where each package has a file and a sub-folder."""
    for package in jit.COMPILED_PACKAGES:
        (tmp_path / package / "inner").mkdir(parents=True)
        (tmp_path / package / "cost.py").write_text("a = 1")
        (tmp_path / package / "inner" / "loop.py").write_text("a = 1")
    (tmp_path / "jit.py").write_text("a = 1")
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    return jit._stamp.__wrapped__


def test_machine_code_is_stamped_with_all_sources_it_may_come_from(stamp, tmp_path):
    assert jit._stamp().encode() in _play_chapter._cache._version
    before = stamp()
    assert stamp() == before
    (tmp_path / "profile" / "cost.py").write_text("a = 2")
    assert stamp() != before


@pytest.mark.parametrize("package", jit.COMPILED_PACKAGES)
def test_a_change_in_a_sub_folder_changes_the_stamp(stamp, tmp_path, package):
    before = stamp()
    (tmp_path / package / "inner" / "loop.py").write_text("a = 2")
    assert stamp() != before


def test_a_change_of_how_functions_are_compiled_changes_the_stamp(stamp, tmp_path):
    before = stamp()
    (tmp_path / "jit.py").write_text("a = 2")
    assert stamp() != before


def test_a_file_that_moves_changes_the_stamp(stamp, tmp_path):
    before = stamp()
    (tmp_path / "twin" / "cost.py").rename(tmp_path / "twin" / "price.py")
    assert stamp() != before


def test_every_file_that_compiles_lies_in_a_stamped_package():
    compiling = [path for path in SOURCE.rglob("*.py") if COMPILES.search(path.read_text())]
    assert len(compiling) > 10
    assert {path.relative_to(SOURCE).parts[0] for path in compiling} <= set(jit.COMPILED_PACKAGES)
