"""Pace: the run of a slower server is simulated with its steps slowed down by the same factor."""

import math

import pytest
from tests.calibration.simulated_measurements import CONFIGURATIONS, measured, slower, true_profile

from adaptwin.calibration.pace import PACE_TOLERANCE, at_measured_pace
from adaptwin.twin.kernel.play import play
from adaptwin.twin.scenario import make_scenario

TRUE = true_profile()
CALM, CROWDED, STARVED = CONFIGURATIONS[6], CONFIGURATIONS[5], CONFIGURATIONS[11]
FLOODED = (8, 16, 8, 20.0)  # ten times the traffic that the server sustains


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.2, 3.0])
@pytest.mark.parametrize("configuration", [CALM, CROWDED, STARVED], ids=["calm", "crowded", "starved"])
def test_the_factor_of_a_slower_server_is_found(factor, configuration):
    run = measured(slower(TRUE, factor), *configuration)
    pace = at_measured_pace(TRUE, run)
    assert pace.factor == pytest.approx(factor, rel=0.01)
    assert abs(pace.miss) < PACE_TOLERANCE


def test_at_the_right_pace_the_steps_have_the_contents_of_the_real_ones():
    real = slower(TRUE, 1.2)
    run = measured(real, *CALM)
    pace = at_measured_pace(TRUE, run)
    outcome = play(make_scenario(real, run.server, run.workload, seed=run.workload.seed, step_totals=True))
    assert pace.step_totals == pytest.approx(tuple(outcome.step_totals), rel=0.02, abs=3)
    wrong = play(make_scenario(TRUE, run.server, run.workload, seed=run.workload.seed, step_totals=True))
    assert wrong.steps > 1.15 * outcome.steps


def test_the_time_to_first_token_excludes_api_server_and_client():
    run = measured(TRUE, *CALM)
    pace = at_measured_pace(TRUE, run)
    assert run.ttft_p50 - pace.ttft_p50 == pytest.approx(TRUE.request_latency, abs=3e-4)  # percentiles have bins


def test_a_run_without_time_per_token_has_no_pace():
    blank = measured(TRUE, *CALM, tpot_mean=None, itl_mean=None)
    assert at_measured_pace(TRUE, blank) is None


def test_without_time_per_output_token_the_inter_token_latency_is_taken():
    run = measured(slower(TRUE, 1.2), *CALM, tpot_mean=None)
    assert at_measured_pace(TRUE, run).factor == pytest.approx(1.2, rel=0.03)


def test_the_pace_of_a_starved_run_also_depends_on_its_throughput():
    """The run is as fast per token as the twin and serves a tenth less, so the errors in both are balanced."""
    run = measured(TRUE, *FLOODED)
    assert run.starved
    served_less = run.model_copy(update={"throughput": 0.9 * run.throughput})
    pace = at_measured_pace(TRUE, served_less)
    assert pace.factor > 1.02
    paced = measured(slower(TRUE, pace.factor), *FLOODED)
    too_slow = math.log(paced.tpot_mean / served_less.tpot_mean)
    too_much = math.log(paced.throughput / served_less.throughput)
    assert too_slow == pytest.approx(too_much, abs=2 * PACE_TOLERANCE)
    assert too_slow > 0.02


def test_the_pace_of_other_runs_does_not_depend_on_throughput():
    run = measured(TRUE, *CALM)
    assert not run.starved
    assert at_measured_pace(TRUE, run.model_copy(update={"throughput": 0.9 * run.throughput})).factor == 1.0


def test_a_scraper_and_few_connections_are_simulated_too():
    run = measured(TRUE, *STARVED, scrape_every=2.0, max_in_flight=20)
    pace = at_measured_pace(TRUE, run)
    assert pace.label_sets > 10
    assert pace.labels > pace.label_sets
    per_step = (pace.step_totals.sequences + pace.step_totals.waiting) / pace.step_totals.steps
    assert per_step <= 20
    unscraped = at_measured_pace(TRUE, run.model_copy(update={"scrape_every": None}))
    assert (unscraped.label_sets, unscraped.labels) == (0, 0)
