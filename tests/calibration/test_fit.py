"""fit_step_cost: runs that the twin itself made give back what made them."""

from itertools import cycle

import numpy as np
import pytest

from adaptwin import Adapter, Lengths, Server, Workload, load_profile, simulate
from adaptwin.calibration.compare import rerun
from adaptwin.calibration.fit import HUBER, UNITS, _cost, _residuals, fit_step_cost
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.profile.step_cost import StepCost

TRUE = load_profile("h100-64gb-llama-3.1-8b-instruct")
FACTORS = (1.6, 0.6, 1.5, 0.7)  # in turn, of the constants that the search starts from
CONFIGS = (  # slots, rank, adapters, requests/s of each
    (1, 8, 1, 4.0),
    (8, 8, 8, 0.5),
    (8, 8, 8, 3.0),
    (32, 8, 32, 0.3),
    (32, 16, 32, 0.9),
    (96, 16, 96, 0.2),
    (16, 32, 48, 0.4),
    (48, 32, 48, 0.15),
)
HELD_OUT = (24, 16, 40, 0.5)


def measured(profile, slots, rank, adapters, rate):
    """What a benchmark of such a server would report, if the profile were true."""
    server = Server(max_loras=slots, max_lora_rank=rank, max_cpu_loras=max(slots, adapters))
    workload = Workload(
        [Adapter(f"a{i}", rank, rate) for i in range(adapters)],
        lengths=Lengths.lognormal(input_mean=250, input_cv=0.8, output_mean=120, output_cv=0.8),
        duration=200.0,
    )
    run = simulate(profile, server, workload)
    return MeasuredRun(
        name=f"{slots}/{rank}/{adapters}/{rate}",
        model="llama",
        server=server,
        workload=workload,
        throughput=run.throughput,
        starved=run.starved,
        itl_mean=run.itl.mean,
        itl_p99=run.itl.p99,
        tpot_mean=run.tpot.mean,
        ttft_p50=run.ttft.p50,
        mean_waiting=run.mean_waiting,
    )


@pytest.fixture(scope="module")
def runs():
    return [measured(TRUE, *config) for config in CONFIGS]


@pytest.fixture(scope="module")
def start():
    """The true profile with every constant of the step cost off by 30 to 60 per cent."""
    constants = zip(StepCost.model_fields, cycle(FACTORS), strict=False)
    off = {name: getattr(TRUE.step_cost, name) * factor for name, factor in constants}
    return TRUE.model_copy(update={"step_cost": StepCost(**off)})


@pytest.fixture(scope="module")
def costs():
    """The cost after every iteration of the fit below."""
    return []


@pytest.fixture(scope="module")
def fitted(start, runs, costs):
    return fit_step_cost(start, runs, iterations=5, progress=lambda _, cost: costs.append(cost))


def test_the_true_profile_has_no_residuals(runs):
    assert _cost(_residuals(TRUE, runs)) == 0.0


def test_the_fit_makes_the_cost_fall_with_every_iteration(start, runs, fitted, costs):
    before = _cost(_residuals(start, runs))
    assert 1 <= len(costs) <= 5
    assert [before, *costs] == sorted([before, *costs], reverse=True)
    assert _cost(_residuals(fitted, runs)) == pytest.approx(costs[-1])
    assert costs[-1] < before / 50


def test_the_fitted_profile_holds_on_a_run_it_never_saw(start, fitted):
    real = measured(TRUE, *HELD_OUT)
    far, near = rerun(start, real), rerun(fitted, real)
    assert near.throughput == pytest.approx(real.throughput, rel=0.03)
    assert near.itl.mean == pytest.approx(real.itl_mean, rel=0.05)
    assert abs(near.itl.mean / real.itl_mean - 1) < abs(far.itl.mean / real.itl_mean - 1) / 3


def test_only_what_is_fitted_changes(start, fitted):
    assert fitted.model_copy(update={"step_cost": start.step_cost, "request_latency": start.request_latency}) == start


def test_every_constant_of_the_step_cost_is_fitted():
    assert set(UNITS) >= set(StepCost.model_fields)


def test_a_true_profile_stays_as_it_is(runs):
    assert fit_step_cost(TRUE, runs[:2], iterations=1) == TRUE


def test_small_residuals_count_squared_and_large_ones_linearly():
    assert _cost(np.array([0.0, 1.0])) == 0.5
    assert _cost(np.array([HUBER])) == HUBER**2
    assert _cost(np.array([-10.0])) == 2 * HUBER * 10 - HUBER**2
