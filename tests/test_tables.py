"""Tables: Parquet and CSV files that are damaged, of another kind or too large are refused in one line."""

import random

import polars as pl
import pytest

from adaptwin import SpecError, tables
from adaptwin.tables import read_csv_table, read_parquet, read_parquet_metadata


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": range(1000), "b": [None, 0.5] * 500}).write_parquet(path, metadata={"x": "1"})
    return path


def test_a_table_is_read(parquet):
    assert read_parquet(parquet).shape == (1000, 2)
    assert read_parquet_metadata(parquet)["x"] == "1"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 20 + b"PAR1", b"name,rank\n" * 10])
def test_what_is_no_parquet_file_is_refused(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    for read in (read_parquet, read_parquet_metadata):
        with pytest.raises(SpecError, match=r"t\.parquet: cannot be read as Parquet: "):
            read(tmp_path / "t.parquet")


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(SpecError, match=r"cannot be read as Parquet: Is a directory"):
        read_parquet(tmp_path)


def test_a_damaged_file_is_refused_without_a_word_on_the_error_stream(parquet, capfd):
    content, said = parquet.read_bytes(), []
    for number in range(200):
        draw = random.Random(number)
        damaged = bytearray(content)
        for _ in range(5):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        parquet.write_bytes(bytes(damaged))
        said.append(refusal(parquet))
    assert sum(map(bool, said)) > 20
    assert not any("\n" in each for each in said)
    assert capfd.readouterr() == ("", "")


def refusal(path):
    """Return the error of reading a table, or nothing."""
    try:
        read_parquet(path)
    except SpecError as error:
        return str(error)
    return ""


def test_a_table_with_too_many_values_is_refused_before_it_is_read(parquet, monkeypatch):
    monkeypatch.setattr(tables, "MOST_CELLS", 1999)
    with pytest.raises(SpecError, match=r"holds 1,000 rows of 2 columns: at most 1,999 values"):
        read_parquet(parquet)


def test_a_large_csv_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_CSV_BYTES", 3)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SpecError, match=r"cannot be read: it is too large"):
        read_csv_table(tmp_path / "t.csv")
