"""How reports call files with equal names."""

from pathlib import Path

import pytest

from adaptwin import SpecError
from adaptwin.calibration.file_fit.file_names import file_names


def names(*paths):
    return list(file_names([Path(path) for path in paths]).values())


def test_a_file_is_called_by_its_name_alone_where_that_is_enough():
    assert names("a/idle.json", "b/busy.json") == ["idle.json", "busy.json"]


def test_only_files_with_equal_names_are_called_by_more():
    assert names("x/a/r.json", "x/b/r.json", "x/b/s.json") == ["a/r.json", "b/r.json", "s.json"]


def test_a_path_that_is_the_end_of_another_is_called_as_a_whole():
    assert names("r.json", "b/r.json", "a/b/r.json") == ["r.json", "b/r.json", "a/b/r.json"]


def test_a_file_given_twice_is_refused_however_it_is_written():
    with pytest.raises(SpecError, match=r"r\.json: the file is given twice"):
        names("r.json", "a/../r.json")
