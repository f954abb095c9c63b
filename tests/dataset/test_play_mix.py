"""play_mix: the runs of a mix as rows."""

import math

import numpy as np
import pytest
from tests.dataset.designs import mixes_of, one, the_mix, tiny

from adaptwin import simulate
from adaptwin.dataset.dataset import DATASET_COLUMNS
from adaptwin.dataset.play_mix import play_mix
from adaptwin.workload.demand.traffic import OCTAVES, sum_demands

SAME_AS_RUN = (
    "arrived", "throughput", "offered_throughput", "starved", "verdict", "worst", "mean_running", "mean_waiting",
    "mean_adapters", "kv_usage", "preemptions", "adapter_loads", "steps", "kv_cache_tokens",
)  # fmt: skip
SEVERAL = {"adapters": (8,), "max_loras": (2,), "lengths": ("several",), "most_requests": 100_000, "base_share": (0.1,)}


def rows_of(**fields):
    return play_mix(one(**fields), the_mix(**fields))


@pytest.mark.parametrize("utilisation", [0.2, 0.8, 3.0])
def test_a_row_has_the_figures_of_simulate(utilisation):
    fields = {**SEVERAL, "utilisation": (utilisation,), "loads": 1, "duration": (120.0,)}
    mix, (row,) = the_mix(**fields), rows_of(**fields)
    run = simulate(mix.profile, mix.server, mix.workload.scaled(utilisation), seed=row["seed"])
    for name in SAME_AS_RUN:
        assert row[name] == pytest.approx(getattr(run, name)), name
    assert row["finished"] == run.finished
    for name in ("itl_mean", "itl_p99", "ttft_mean", "ttft_p50", "ttft_p99", "e2e_mean"):
        kind, figure = name.split("_")
        assert row[name] == pytest.approx(getattr(getattr(run, kind), figure)), name
    assert row["rate"] == pytest.approx(sum(run.adapters["arrivals"]) / 120, rel=0.1)
    assert (row["max_loras"], row["max_num_seqs"], row["max_num_batched_tokens"]) == (2, 256, 2048)


def test_a_row_has_the_columns_of_a_dataset():
    assert all(tuple(row) == DATASET_COLUMNS for row in rows_of(adapters=(2,)))


def test_the_traffic_of_a_row_is_that_of_its_mix_at_its_load():
    fields = {**SEVERAL, "utilisation": (0.25,), "loads": 1}
    mix, (row,) = the_mix(**fields), rows_of(**fields)
    traffic, by_octave = sum_demands(mix.demands, np.full(len(mix.workload), 0.25))
    assert {name: row[name] for name in traffic._fields} == pytest.approx(traffic._asdict())
    for octave in range(OCTAVES):
        assert (row[f"adapters_{octave:02}"], row[f"tokens_{octave:02}"]) == pytest.approx(tuple(by_octave[octave]))


def test_the_first_load_is_the_mixs_own_and_each_run_has_a_seed_of_its_own():
    rows = rows_of(adapters=(2,), utilisation=(0.2,), loads=3, boundary=0.0)
    assert [row["run"] for row in rows] == [0, 1, 2]
    assert [row["seed"] - rows[0]["seed"] for row in rows] == [0, 1, 2]
    assert [row["utilisation"] for row in rows] == [0.2] * 3
    assert len({row["arrived"] for row in rows}) > 1


@pytest.mark.parametrize(("boundary", "sought"), [(0.0, 0), (0.25, 1), (0.5, 2), (1.0, 4)])
def test_the_share_of_loads_that_close_in_is_the_designs(boundary, sought):
    chosen = [row["chosen"] for row in rows_of(adapters=(2,), loads=4, boundary=boundary)]
    assert chosen == ["drawn"] * (4 - sought) + ["boundary"] * sought


@pytest.fixture(scope="module")
def closed_in():
    """Return the rows of four mixes with few slots for many adapters; all loads close in on the boundary."""
    crowded = {"adapters": (16,), "max_loras": (2,), "popularity": ("hot:0.6",), "duration": (300.0,)}
    design = tiny(loads=6, boundary=1.0, most_requests=10**6, mixes=4, **crowded)
    return [play_mix(design, mix) for mix in mixes_of(design)]


@pytest.mark.parametrize("number", range(4))
def test_each_load_that_closes_in_lies_between_those_that_were_served_and_those_that_were_not(closed_in, number):
    starves = number // 2 == 1  # of two mixes on each profile, one closes in on where the server starves
    served, not_served = 0.01, 4.0
    for row in closed_in[number]:
        assert served <= row["utilisation"] <= not_served
        if not row["starved"] if starves else row["worst"] == "ok":
            served = row["utilisation"]
        else:
            not_served = row["utilisation"]
    assert not_served < 2 * served


def test_adapters_are_overloaded_before_their_server_is_starved(closed_in):
    """Mixes that close in on starved servers therefore end at higher loads than those for overloaded adapters."""
    assert any(row["worst"] != "ok" and not row["starved"] for rows in closed_in for row in rows)
    ends = [rows[-1]["utilisation"] for rows in closed_in]
    assert max(ends[:2]) < min(ends[2:])


def test_a_rate_that_is_too_high_is_lowered_and_marked():
    rows = rows_of(adapters=(2,), utilisation=(2.0,), loads=2, boundary=0.0, most_requests=200)
    assert all(row["capped"] and row["utilisation"] < 2.0 for row in rows)
    assert all(row["rate"] * row["duration"] == pytest.approx(200) for row in rows)
    assert all(140 < row["arrived"] < 260 for row in rows)
    free = rows_of(adapters=(2,), utilisation=(0.1,), loads=1, boundary=0.0, most_requests=100_000)
    assert [(row["capped"], row["utilisation"]) for row in free] == [(False, 0.1)]


def test_given_rates_are_simulated_unchanged():
    (row,) = rows_of(adapters=(4,), popularity=("rates:2,1",), utilisation=None, loads=1)
    assert (row["chosen"], row["rate"], row["utilisation"], row["capped"]) == ("given", 6.0, 1.0, False)


def test_the_worst_share_is_a_share_or_unknown():
    (busy,) = rows_of(
        adapters=(8,), max_loras=(1,), utilisation=(3.0,), loads=1, duration=(200.0,), most_requests=10**5
    )
    assert 0 <= busy["worst_share"] < 1
    (quiet,) = rows_of(adapters=(2,), popularity=("rates:0",), utilisation=None, loads=1)
    assert math.isnan(quiet["worst_share"])
    assert (quiet["arrived"], quiet["starved"], quiet["verdict"]) == (0, False, "ok")


def test_playing_a_mix_is_deterministic():
    first, again = (rows_of(adapters=(8,), lengths=("several",)) for _ in range(2))
    assert repr(first) == repr(again)
