"""The table of a sweep's results."""

import io
import re

import polars as pl
import pytest
from rich.console import Console

from adaptwin.dataset.dataset import Dataset
from adaptwin.dataset.design import Design
from adaptwin.report.sweep import summary, sweep_table

ROWS = pl.DataFrame(
    {
        "mix": [0, 0, 1, 1, 2, 2],
        "profile": ["one", "one", "two", "two", "one", "one"],
        "duration": [3600.0, 3600.0, 1800.0, 1800.0, 3600.0, 3600.0],
        "arrived": [1000, 2000, 30, 40, 500, 500],
        "rate": [0.25, 0.5, 0.02, 0.02, 0.125, 0.125],
        "capped": [False, True, False, False, True, False],
        "worst": ["ok", "starved", "ok", "backlogged", "ok", "ok"],
    }
)


def shown(rows) -> list[str]:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(sweep_table(Dataset(Design(profiles=("one", "two"), seed=3, most_requests=2000), rows)))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_sums_and_shares_on_paper():
    assert summary(ROWS) == {
        "runs": 6,
        "mixes": 3,
        "simulated_hours": 5.0,
        "requests": 4070,
        "capped": 2,
        "ok": pytest.approx(4 / 6),
        "backlogged": pytest.approx(1 / 6),
        "starved": pytest.approx(1 / 6),
    }


def test_each_profile_has_a_line():
    lines = shown(ROWS)
    assert lines[0] == "3 mixes, 6 runs, seed 3"
    cells = [re.split(r"\s{2,}", line) for line in lines if line.startswith(("one", "two"))]
    assert cells == [
        ["one", "4", "4.0", "4,000", "75 %", "0 %", "25 %"],
        ["two", "2", "1.0", "70", "50 %", "50 %", "0 %"],
    ]


def test_it_says_how_many_rates_were_lowered_and_how_low():
    assert " ".join(shown(ROWS)[-2:]) == (
        "Rates lowered to keep a run within 2,000 requests: 2 (33.3 %), the lowest to 0.12 requests/s."
    )
    assert shown(ROWS.filter(~pl.col("capped")))[-1] == "No rate was lowered to keep a run within 2,000 requests."


def test_no_runs_make_a_table_too():
    assert shown(ROWS.clear())[0] == "0 mixes, 0 runs, seed 3"
