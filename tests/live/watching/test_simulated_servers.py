"""adaptwin watch --simulate: rounds, totals and the page, and rates of stretches that cover several periods."""

import json

import numpy as np
import pytest
from tests.live.small_plans import placed, plan_of

from adaptwin import load_profile
from adaptwin.live.watching.simulated_fleet import SimulatedFleet
from adaptwin.plan.plans import Plans
from adaptwin.workload.rates_over_time import RatesOverTime

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")


def small_plan():
    return plan_of(LLAMA, placed(LLAMA, "gpu-0", "ab", 8), rates={"a": 1.0, "b": 1.0})


@pytest.fixture
def simulated(adaptwin, folder):
    """Watch servers of the twin for twenty minutes, in rounds of ten."""
    small_plan().write(folder / "plan.yaml")
    (folder / "rates.csv").write_text("name,0m,10m\na,1,3\nb,1,1\n")

    def call(*words):
        return adaptwin("watch", "--plan", "plan.yaml", "--simulate", "rates.csv", *words)

    return call


def test_rounds_totals_and_the_page(simulated, folder):
    done = simulated("--report", "day.html")
    assert done.code == 0, done.err
    first, second, totals = done.out.splitlines()[:3]
    assert first.startswith("1d 00:10  ")
    assert "1 GPU holds" in second
    assert totals.startswith("0.33 hours: 0.33 GPU-hours, at most 1 GPU; 0 moves, 0 restarts; 0 overloaded")
    page = (folder / "day.html").read_text(encoding="utf-8")
    assert "A fleet under watch, simulated" in page
    assert "overloaded" in page


def test_json_has_a_line_for_each_round_and_the_totals(simulated):
    done = simulated("--json")
    *rounds, last = map(json.loads, done.out.splitlines())
    assert [each["decision"] for each in rounds] == ["holds", "holds"]
    assert [each["requests_per_second"] for each in rounds] == pytest.approx([2.0, 4.0], rel=0.15)
    assert last["totals"]["moves"] == 0


def test_a_stretch_has_the_mean_rates_of_the_periods_that_it_covers():
    rates = RatesOverTime(("a", "b"), np.array([[0.0, 6.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]), 600.0)
    fleet = SimulatedFleet(rates, 1200.0)
    seen = [fleet.observe(Plans(plans=(small_plan(),))) for _ in range(len(fleet))]
    counts = [each.requests["a"].requests / each.seconds for each in seen]
    assert counts == pytest.approx([3.0, 2.0], rel=0.1)
