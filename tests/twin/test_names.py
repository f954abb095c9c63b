"""Named tuples and the records and tables that hold their values have the same names in the same order."""

import pytest

from adaptwin.twin import statistics
from adaptwin.twin.kernel import ledger
from adaptwin.twin.run import SERIES_COLUMNS
from adaptwin.twin.scenario import Sample
from adaptwin.twin.statistics import AdapterTotals
from adaptwin.twin.step_totals import STEP_TOTALS, StepTotals


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (STEP_TOTALS.names, StepTotals._fields),
        (ledger._SAMPLE.names, Sample._fields),
        ([name.replace("kv_usage", "kv_blocks") for name in SERIES_COLUMNS], Sample._fields),
        ([*statistics._ADAPTER_SUMS.names, "wait_p50", "wait_p99"], AdapterTotals._fields),
    ],
    ids=["step totals", "samples", "series", "sums by adapter"],
)
def test_names_and_columns_agree(names, fields):
    assert tuple(names) == fields


def test_records_of_samples_and_step_totals_are_rows_of_whole_numbers():
    for record in (STEP_TOTALS, ledger._SAMPLE):
        assert record.itemsize == 8 * len(record.names)
