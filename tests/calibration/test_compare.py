"""compare, profile_error, spreads: the twin against measured runs, with errors worked out by hand; intervals."""

import math

import polars as pl
import pytest

from adaptwin import Adapter, Lengths, Run, Server, Workload, compare, load_profile, simulate
from adaptwin.calibration.compare import DEEP_OVERLOAD, MOST_REPEATS, profile_error, rerun, spreads
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.profile.profile import Spread

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")
SERVER = Server(max_loras=2, max_lora_rank=16, max_cpu_loras=4)


def traffic(rate):
    return Workload(
        [Adapter(f"a{i}", (8, 16)[i % 2], rate) for i in range(4)], lengths=Lengths.fixed(200, 50), duration=60.0
    )


def measured(name, rate, **fields):
    """Return a run with made-up measurements."""
    figures = {"throughput": 500.0, "itl_mean": 0.02, "itl_p99": 0.05, "tpot_mean": 0.021, "ttft_p50": 0.1, **fields}
    return MeasuredRun(name=name, server=SERVER, workload=traffic(rate), **figures)


def twin_of(rate, repeats=MOST_REPEATS):
    """Simulate a run at this rate, by default with the repeats of a short run."""
    return simulate(H100, SERVER, traffic(rate), repeats=repeats)


# Rows


@pytest.fixture(scope="module")
def rows():
    return compare(H100, [measured("first", 0.5, mean_waiting=3.0), measured("second", 1.0, starved=True)], jobs=1)


def test_there_is_a_row_for_every_run_with_its_settings(rows):
    assert rows["name"].to_list() == ["first", "second"]
    assert rows["max_loras"].to_list() == [2, 2]
    assert rows["max_lora_rank"].to_list() == [16, 16]
    assert rows["adapters"].to_list() == [4, 4]
    assert rows["rate"].to_list() == [2.0, 4.0]
    assert rows["deep_overload"].to_list() == [False, False]


def test_both_sides_are_in_the_row(rows):
    run, row = twin_of(0.5), rows.row(0, named=True)
    assert [row[f"real_{name}"] for name in ("throughput", "itl_mean", "itl_p99", "tpot_mean", "ttft_p50")] == [
        500.0, 0.02, 0.05, 0.021, 0.1,
    ]  # fmt: skip
    assert row["twin_throughput"] == run.throughput
    assert row["twin_itl_mean"] == run.itl.mean
    assert row["twin_itl_p99"] == run.itl.p99
    assert row["twin_tpot_mean"] == run.tpot.mean
    assert row["twin_ttft_p50"] == run.ttft.p50
    assert rows["twin_starved"].to_list() == [False, False]
    assert rows["real_starved"].to_list() == [False, True]
    assert rows["regime"].to_list() == ["calm", "calm"]


def test_figures_that_were_not_measured_are_empty_in_any_row():
    blank = {"itl_mean": None, "itl_p99": None, "tpot_mean": None, "ttft_p50": None}
    runs = [*(measured(f"r{i}", 0.01, **blank) for i in range(101)), measured("last", 0.01)]
    assert compare(H100, runs, jobs=1)["real_ttft_p50"].to_list() == [None] * 101 + [0.1]


def test_a_queue_of_thousands_is_deep_overload():
    runs = [measured("deep", 0.1, mean_waiting=DEEP_OVERLOAD + 1.0), measured("not", 0.1, mean_waiting=DEEP_OVERLOAD)]
    assert compare(H100, runs, jobs=1)["deep_overload"].to_list() == [True, False]


def test_a_long_run_is_repeated_fewer_times():
    """Runs of 120, 12,000, 16,800 and 60,000 requests are repeated up to 60,000 requests, 3 to 12 times."""
    assert [rerun(H100, measured("r", rate)).repeats for rate in (0.5, 50.0, 70.0, 250.0)] == [12, 5, 4, 3]


def test_the_clients_connections_and_the_scraper_are_simulated_too():
    hammered = measured("m", 10.0, max_in_flight=2, scrape_every=1.0)
    run = rerun(H100, hammered)
    assert run.mean_running + run.mean_waiting <= 2
    assert run.never_admitted > 0
    assert run.metrics_stall > 0


# Errors and spreads, by hand

HEAD = ("regime", "deep_overload", "real_starved", "twin_starved", "throughput", "itl_mean", "ttft_p50")


def table(*lines):
    """Make a table of lines: regime, deep overload, starved (real, twin), then (real, twin) of each figure."""
    columns = {name: [line[i] for line in lines] for i, name in enumerate(HEAD[:4])}
    for i, name in enumerate(HEAD[4:], start=4):
        columns[f"real_{name}"] = [line[i][0] for line in lines]
        columns[f"twin_{name}"] = [line[i][1] for line in lines]
    return pl.DataFrame(columns)


FOUR = table(
    ("calm", False, False, False, (100.0, 110.0), (0.010, 0.012), (1.0, 1.1)),  # errors of 10, 20 and 10 %
    ("busy", False, True, False, (200.0, 180.0), (None, 0.020), (1.0, 1.3)),  # 10, -, 30 %; the label is wrong
    ("starved", True, True, True, (100.0, 125.0), (0.020, 0.020), (1.0, 9.0)),  # 25, 0, 800 %, in deep overload
    ("calm", False, False, False, (100.0, 95.0), (0.010, 0.009), (2.0, 0.8)),  # 5, 10 and 60 %
)


def test_errors_are_those_worked_out_by_hand():
    error = profile_error(FOUR)
    assert error.runs == 4
    assert error.throughput == pytest.approx((10 + 10 + 25 + 5) / 4)
    assert error.itl == pytest.approx((20 + 0 + 10) / 3)
    assert error.ttft == pytest.approx(30.0)  # the median without the run in deep overload
    assert error.starvation == 75.0


def shifted(regime, throughput, itl, ttft=None, deep=False):
    """Make a line with real figures that are exp(shift) times those of the twin."""
    real = [value * math.exp(shift) for value, shift in ((500.0, throughput), (0.02, itl))]
    first = None if ttft is None else 0.1 * math.exp(ttft)
    return regime, deep, False, False, (real[0], 500.0), (real[1], 0.02), (first, 0.1)


def test_spreads_are_those_worked_out_by_hand():
    rows = table(
        # calm: root mean squares of 0.1 five times, of 0.3, 0.4 and three zeros, and of 0.2 five times
        *(
            shifted("calm", sign * 0.1, itl, -sign * 0.2)
            for sign, itl in ((1, 0.3), (-1, -0.4), (1, 0), (-1, 0), (1, 0))
        ),
        # busy: only four runs, too few
        *(shifted("busy", 0.1, 0.1, 0.1) for _ in range(4)),
        # starved: six runs, two of them in deep overload and one without TTFT
        *(shifted("starved", 0.05, 0.0, 0.5, deep=i < 2) for i in range(5)),
        shifted("starved", 0.05, 0.0),
    )
    assert spreads(rows) == (
        Spread(regime="calm", runs=5, throughput=0.1, itl=round(math.sqrt(0.25 / 5), 4), ttft=0.2),
        Spread(regime="starved", runs=6, throughput=0.05, itl=0.0, ttft=None),
    )


def test_too_few_runs_have_no_spread():
    assert spreads(FOUR) == ()


# Regimes and intervals


@pytest.fixture(scope="module")
def run():
    return twin_of(0.5, repeats=1)


@pytest.mark.parametrize(
    ("served", "waiting", "regime"),
    [
        (1.0, 0.0, "calm"),
        (1.0, 1.0, "calm"),
        (1.0, 1.1, "busy"),
        (0.9, 50.0, "busy"),
        (0.89, 50.0, "starved"),
        (0.89, 0.0, "starved"),
    ],
)
def test_a_run_is_starved_or_busy_or_calm(run, served, waiting, regime):
    figures = {"offered_throughput": 1000.0, "throughput": 1000.0 * served, "mean_waiting": waiting}
    assert run.model_copy(update=figures).regime == regime


INSIDE = Server(max_loras=8, max_lora_rank=16)  # settings and lengths within those of the measured runs


def served(rate):
    return traffic(rate).model_copy(update={"lengths": Lengths.fixed(200, 150), "duration": 300.0})


def with_spread(*spread):
    return H100.model_copy(update={"spread": spread})


def test_intervals_hold_the_middle_nine_tenths():
    """For a spread of 0.1, exp(+-1.645 x 0.1) is 0.848 and 1.179."""
    profile = with_spread(Spread(regime="calm", runs=9, throughput=0.1, itl=0.2, ttft=0.3))
    run = simulate(profile, INSIDE, served(0.5))
    low, high = run.intervals["throughput"]
    assert (low / run.throughput, high / run.throughput) == pytest.approx((0.8483, 1.1788), abs=1e-4)
    low, high = run.intervals["itl.mean"]
    assert (low / run.itl.mean, high / run.itl.mean) == pytest.approx((0.7196, 1.3896), abs=1e-4)
    low, high = run.intervals["ttft.p50"]
    assert (low / run.ttft.p50, high / run.ttft.p50) == pytest.approx((0.6105, 1.6381), abs=1e-4)


def test_intervals_are_wider_where_the_spread_is():
    narrow, wide = (
        simulate(with_spread(Spread(regime="calm", runs=9, throughput=s, itl=s, ttft=s)), INSIDE, served(0.5))
        for s in (0.01, 0.05)
    )
    assert narrow.throughput == wide.throughput
    for name, value in (("throughput", wide.throughput), ("itl.mean", wide.itl.mean), ("ttft.p50", wide.ttft.p50)):
        assert wide.intervals[name][0] < narrow.intervals[name][0] < value
        assert value < narrow.intervals[name][1] < wide.intervals[name][1]


def test_a_figure_without_spread_has_no_interval():
    profile = with_spread(Spread(regime="calm", runs=9, throughput=0.1, itl=0.1))
    assert set(simulate(profile, INSIDE, served(0.5)).intervals) == {"throughput", "itl.mean"}


def test_intervals_are_those_of_the_runs_regime():
    profile = with_spread(
        Spread(regime="busy", runs=9, throughput=0.1), Spread(regime="starved", runs=9, throughput=0.2)
    )
    assert simulate(profile, INSIDE, served(0.5)).intervals == {}  # calm
    starved = simulate(profile, INSIDE, served(40.0))
    assert starved.regime == "starved"
    assert starved.intervals["throughput"][1] / starved.throughput == pytest.approx(math.exp(0.329))
    assert simulate(H100.model_copy(update={"spread": ()}), INSIDE, served(0.5)).intervals == {}


def test_where_nothing_finished_there_is_no_interval():
    profile = with_spread(Spread(regime="calm", runs=9, throughput=0.1, itl=0.1, ttft=0.1))
    silent = simulate(profile, INSIDE, served(0.0))
    assert (silent.regime, silent.intervals) == ("calm", {})


def test_repeats_have_intervals_around_their_mean():
    profile = with_spread(Spread(regime="calm", runs=9, throughput=0.1, itl=0.1, ttft=0.1))
    run = simulate(profile, INSIDE, served(0.5), repeats=3)
    assert run.intervals["itl.mean"][0] * math.exp(0.1645) == pytest.approx(run.itl.mean)


def test_intervals_are_in_the_runs_file(tmp_path):
    run = simulate(H100, INSIDE, served(0.5))
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json").intervals == run.intervals
    assert set(run.intervals) == {"throughput", "itl.mean", "ttft.p50"}
