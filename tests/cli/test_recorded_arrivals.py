"""Fleets with recorded arrivals or files of rates, on the command line."""

import json

import pytest

from adaptwin import Workload

TIMES = [round(0.5 * i, 1) for i in range(620)]  # 600 of them before second 300
LATE = "warning: 20 of 620 timestamps are left out: they lie at or after the end of the window (300 s)"


@pytest.fixture
def recorded(folder):
    """A fleet of one adapter that replays a log."""
    (folder / "recorded.yaml").write_text(
        f"profile: h100-64gb-llama-3.1-8b-instruct\nduration: 300\narrivals: {TIMES}\n"
        "adapters:\n- {name: a0, rank: 8, rate: 1}\n",
        encoding="utf-8",
    )
    return "recorded.yaml"


def test_simulate_says_how_many_timestamps_lie_after_the_window(adaptwin, recorded):
    done = adaptwin("simulate", recorded, "--json")
    assert (done.code, LATE in done.err) == (0, True)
    assert json.loads(done.out)["adapters"]["arrivals"] == [600]
    assert "timestamps" not in adaptwin("simulate", recorded, "--json", "--duration", 400).err


def test_plan_and_verify_say_how_many_timestamps_lie_after_the_window(adaptwin, recorded):
    done = adaptwin("plan", recorded, "--out", "plan.yaml")
    assert (done.code, LATE in done.err) == (0, True)
    done = adaptwin("verify", "plan.yaml")
    assert (done.code, LATE in done.err) == (0, True)
    assert "timestamps" not in adaptwin("verify", "plan.yaml", "--arrivals", "poisson").err


def test_a_file_of_rates_with_an_option_is_found_wherever_the_fleet_is_written(adaptwin, folder):
    (folder / "day.csv").write_text("start,factor\n0,2\n", encoding="utf-8")
    (folder / "fleets").mkdir()
    words = ("--rate", 2, "--ranks", 8, "--arrivals", "rates:cv=2,day.csv", "--out", "fleets/made.yaml")
    done = adaptwin("workload", "synth", "--adapters", 3, *words)
    assert (done.code, done.err) == (0, "")
    made = Workload.read(folder / "fleets" / "made.yaml")
    assert made.arrivals == f"rates:cv=2,{(folder / 'day.csv').resolve()}"
