"""Lengths as the text of an option."""

import pytest

from adaptwin import Lengths, SpecError
from adaptwin.workload.sources.lengths_text import parse_lengths


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("sharegpt", Lengths.named("sharegpt")),
        ("fixed:250,231", Lengths.fixed(250, 231)),
        ("lognormal:600,300", Lengths.lognormal(input_mean=600, input_cv=1, output_mean=300, output_cv=1)),
        ("lognormal:600,300,2,0.5", Lengths.lognormal(input_mean=600, input_cv=2, output_mean=300, output_cv=0.5)),
    ],
)
def test_a_text_names_lengths(text, lengths):
    assert parse_lengths(text) == lengths


def test_a_file_holds_pairs(tmp_path):
    (tmp_path / "pairs.csv").write_text("input,output\n12,80\n300,40\n", encoding="utf-8")
    assert parse_lengths(str(tmp_path / "pairs.csv")) == Lengths.empirical([(12, 80), (300, 40)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pile", "lengths: 'pile' is not one of sharegpt, fixed:250,231, lognormal:250,231"),
        ("fixed:250", "'fixed:250' is not one of"),
        ("fixed:250,many", "'fixed:250,many' is not one of"),
        ("fixed:2.5,3", "'fixed:2.5,3' is not one of"),
        ("fixed:0,3", "from 1 to"),
        ("lognormal:600,300,1", "'lognormal:600,300,1' is not one of"),
        ("lognormal:nan,300", "input_mean"),
        ("missing.csv", "missing.csv: no such file"),
    ],
)
def test_another_text_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_lengths(text)


def test_a_file_without_rows_or_with_text_is_refused(tmp_path):
    for content, message in (("input,output\n", "has no rows"), ("input,output\n3,x\n", "line 2: output: 'x' is not")):
        (tmp_path / "pairs.csv").write_text(content, encoding="utf-8")
        with pytest.raises(SpecError, match=message):
            parse_lengths(str(tmp_path / "pairs.csv"))
