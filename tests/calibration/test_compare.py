"""compare and profile_error: the twin beside measured runs, and the mean errors worked out by hand."""

import math

import pytest

from adaptwin import Adapter, Lengths, Server, SpecError, Workload, load_profile, simulate
from adaptwin.calibration.compare import DEEP_OVERLOAD, compare, profile_error, rerun
from adaptwin.calibration.measurements import MeasuredRun

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")
SERVER = Server(max_loras=2, max_lora_rank=16, max_cpu_loras=4)


def traffic(rate):
    return Workload(
        [Adapter(f"a{i}", (8, 16)[i % 2], rate) for i in range(4)], lengths=Lengths.fixed(200, 50), duration=60.0
    )


def measured(name, rate, *, throughput=1.0, itl=1.0, ttft=1.0, starved=False, waiting=0.0):
    """A run of the twin as it might have been measured, its figures multiplied by the given factors."""
    run = simulate(H100, SERVER, traffic(rate))
    return MeasuredRun(
        name=name,
        model="llama",
        server=SERVER,
        workload=traffic(rate),
        throughput=run.throughput * throughput,
        starved=starved,
        itl_mean=run.itl.mean * itl,
        itl_p99=run.itl.p99,
        ttft_p50=run.ttft.p50 * ttft,
        mean_waiting=waiting,
    )


@pytest.fixture(scope="module")
def rows():
    """Twin over real: throughput 1.25 and 0.8, ITL 2 and 1, median TTFT 0.5 and 0.25; one label of two is wrong."""
    first = measured("first", 0.5, throughput=1 / 1.25, itl=0.5, ttft=2.0, waiting=3.0)
    second = measured("second", 1.0, throughput=1.25, itl=1.0, ttft=4.0, starved=True)
    return compare(H100, [first, second], jobs=1)


def test_there_is_a_row_for_every_run_with_its_settings(rows):
    assert rows["name"].to_list() == ["first", "second"]
    assert rows["max_loras"].to_list() == [2, 2]
    assert rows["max_lora_rank"].to_list() == [16, 16]
    assert rows["adapters"].to_list() == [4, 4]
    assert rows["rate"].to_list() == [2.0, 4.0]
    assert rows["deep_overload"].to_list() == [False, False]


def test_both_sides_are_in_the_row(rows):
    run = simulate(H100, SERVER, traffic(0.5))
    row = rows.row(0, named=True)
    assert row["twin_throughput"] == run.throughput
    assert row["twin_itl_mean"] == run.itl.mean
    assert row["twin_itl_p99"] == row["real_itl_p99"] == run.itl.p99
    assert row["twin_ttft_p50"] == run.ttft.p50
    assert row["real_throughput"] == pytest.approx(run.throughput / 1.25)
    assert row["twin_starved"] == row["real_starved"] is False


def test_errors_are_those_worked_out_by_hand(rows):
    error = profile_error(rows)
    assert error.runs == 2
    assert error.throughput == pytest.approx((25 + 20) / 2)
    assert error.itl == pytest.approx((100 + 0) / 2)
    assert error.ttft == pytest.approx((50 + 75) / 2)
    assert error.starvation == 50.0


def test_deep_overload_counts_for_everything_but_the_first_token():
    calm = measured("calm", 0.5, ttft=2.0)
    deep = measured("deep", 0.5, throughput=2.0, ttft=100.0, waiting=DEEP_OVERLOAD + 1.0)
    rows = compare(H100, [calm, deep])
    assert rows["deep_overload"].to_list() == [False, True]
    error = profile_error(rows)
    assert error.ttft == 50.0
    assert error.throughput == 25.0


def test_a_figure_that_was_not_measured_is_left_out():
    full = measured("full", 0.5, itl=0.5)
    blank = full.model_copy(update={"name": "blank", "itl_mean": None, "itl_p99": None, "ttft_p50": None})
    error = profile_error(compare(H100, [full, blank]))
    assert error.itl == 100.0
    assert not math.isnan(error.throughput)


def test_the_clients_connections_are_simulated_too():
    hammered = MeasuredRun(
        "m", "llama", SERVER, traffic(10.0), max_in_flight=2, throughput=1.0, starved=True
    )  # fmt: skip
    run = rerun(H100, hammered)
    assert run.mean_running + run.mean_waiting <= 2
    assert run.never_admitted > 0


def test_a_measured_run_reads_back_as_it_was_written(tmp_path):
    run = measured("first", 0.5)
    run.write(tmp_path / "run.yaml")
    assert MeasuredRun.read(tmp_path / "run.yaml") == run


def test_a_measured_run_without_throughput_is_refused(tmp_path):
    measured("first", 0.5).write(tmp_path / "run.yaml")
    lines = (tmp_path / "run.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "run.yaml").write_text("".join(x for x in lines if not x.startswith("throughput")), encoding="utf-8")
    with pytest.raises(SpecError, match=r"run\.yaml: throughput: missing"):
        MeasuredRun.read(tmp_path / "run.yaml")
