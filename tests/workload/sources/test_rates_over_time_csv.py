"""Rates over time from CSV files: both forms, the times of their periods, and what is wrong with damaged ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin import SpecError
from adaptwin.workload.rates_over_time import RatesOverTime
from adaptwin.workload.sources.rates_over_time_csv import read_rates_over_time, write_rates_over_time


@pytest.fixture
def read(tmp_path):
    def call(text):
        path = tmp_path / "rates.csv"
        path.write_text(text, encoding="utf-8")
        return read_rates_over_time(path)

    return call


@pytest.mark.parametrize(
    ("header", "period", "start"),
    [
        ("0,1,2", 3600, 0),
        ("00:00,01:00,02:00", 3600, 0),
        ("6:30,7:00,7:30", 1800, 23400),
        ("0s,90s,180s", 90, 0),
        ("0m,30m,60m", 1800, 0),
        ("0h,12h,1d", 43200, 0),
        ("22:00,23:00,24:00", 3600, 79200),
    ],
)
def test_the_period_follows_from_the_headers(read, header, period, start):
    rates = read(f"name,{header}\na,1,2,3\nb,0,0.5,1e1\n")
    assert (rates.names, rates.period, rates.start) == (("a", "b"), period, start)
    assert rates.rates.tolist() == [[1, 2, 3], [0, 0.5, 10]]


@pytest.mark.parametrize(
    ("starts", "period", "start"),
    [
        (("0", "3600"), 3600, 0),
        (("90m", "180m"), 5400, 5400),
        (("07:00", "08:00"), 3600, 25200),
        (("2024-05-01T23:00", "2024-05-02T00:00"), 3600, 82800),
        (("2024-05-01T07:00:00+02:00", "2024-05-01 07:30:00+02:00"), 1800, 25200),
    ],
)
def test_the_long_form_has_a_row_for_each_pair_and_missing_pairs_are_0(read, starts, period, start):
    rates = read(f"start,name,rate\n{starts[1]},b,2\n{starts[0]},a,1\n{starts[1]},a,3\n")
    assert (rates.names, rates.period, rates.start) == (("b", "a"), period, start)
    assert rates.rates.tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("name,0,1\n", "has no rows"),
        ("0,1\n1,2\n", "name: missing column"),
        ("name,0\na,1\n", "1 period: at least 2"),
        ("name,0,1,3\na,1,2,3\n", "column '1' lasts 7200 s, but the first period 3600 s"),
        ("name,1,0\na,1,2\n", "column '0' must be later than column '1'"),
        ("name,0,3600\na,1,2\n", "3600 is no hour from 0 to 168"),
        ("name,rank,0,1\na,8,1,2\n", "'rank' is not a time"),
        ("name,0s,1s\na,1,2\n", "periods of 1 s are too short"),
        ("name,0,1\na,1,-2\n", "line 2: 1: -2 must be from 0"),
        ("name,0,1\na,1,inf\n", "line 2: 1: 'inf' is not a finite number"),
        ("name,0,1\na,1,nan\n", "is not a finite number"),
        ("name,0,1\na,1,x\n", "'x' is not a number"),
        ("name,0,1\na,1\n", "line 2: 1: missing: write 0"),
        ("name,0,1\na,1,2\na,1,2\n", "duplicate name 'a': lines 2 and 3"),
        ("name,0,1\n,1,2\n", "line 2: name: missing"),
        ("start,name,rate\n0,a,1\n", "1 period"),
        ("start,name,rate\n", "has no rows"),
        ("start,name,rate\n0,a,1\n0,a,1\n", "duplicate rate of 'a' at 0: lines 2 and 3"),
        ("start,name,rate\n0,a,1\n60,a,1\n180,a,1\n", "the period at 60 lasts 120 s"),
        ("start,name,rate\n0,a,1\n2024-05-01T07:00,a,1\n", "some times have a date"),
        ("start,name,rate\nsoon,a,1\n", "'soon' is not a time"),
        ("start,name,rate\n0,a,-1\n", "-1 must be from 0"),
        ("start,name,rate,rank\n0,a,1,8\n", "rank: unknown column"),
        ("start,rate\n0,1\n", "name: missing column"),
        ("name,rank,rate\na,8,1\n", "this is a CSV of adapters, not a CSV of rates over time"),
    ],
)
def test_damage_is_named(read, text, message):
    with pytest.raises(SpecError, match=r"rates\.csv") as caught:
        read(text)
    assert message in str(caught.value)


def names():
    letters = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
    return st.lists(st.text(letters, min_size=1, max_size=8), min_size=1, max_size=5, unique=True)


@given(
    names=names(),
    rates=st.lists(st.lists(st.floats(0, 1e6), min_size=3, max_size=3), min_size=5, max_size=5),
    period=st.sampled_from([60.0, 90.5, 900.0, 3600.0, 86400.0]),
    start=st.sampled_from([0.0, 0.25, 30.0, 7 * 3600.0]),
)
def test_what_is_written_is_read_again(tmp_path_factory, names, rates, period, start):
    path = tmp_path_factory.mktemp("rates") / "rates.csv"
    written = RatesOverTime(tuple(names), np.array(rates[: len(names)]), period, start=start)
    write_rates_over_time(written, path)
    found = read_rates_over_time(path)
    assert (found.names, found.period, found.start) == (written.names, period, start)
    assert found.rates == pytest.approx(written.rates, rel=1e-9)
