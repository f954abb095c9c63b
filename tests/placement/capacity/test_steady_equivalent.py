"""The steady equivalent: arrivals that the surrogate was not trained on are planned with its guidance."""

import pytest

from adaptwin import Server, load_profile, make_plan
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.surrogate_choice import workload_surrogate_for
from adaptwin.workload.sources.synthetic import synthesize

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
STEADY = synthesize(adapters=60, rate=12.0, ranks=(8, 16), popularity="zipf:0.8", seed=2)


@pytest.fixture
def following(tmp_path):
    """Return a function that makes the arrivals of `STEADY` follow these rates."""

    def write(*rates, workload=STEADY):
        path = tmp_path / f"rates{len(list(tmp_path.iterdir()))}.csv"
        path.write_text("\n".join(("start,factor", *(f"{start},{factor}" for start, factor in rates), "")))
        return workload.with_arrivals(f"rates:{path}")

    return write


def surrogate_of(workload):
    return workload_surrogate_for("shipped", LLAMA, workload, Server())


def test_a_constant_rate_needs_no_factor(following):
    assert surrogate_of(STEADY).steady_factor is None
    assert surrogate_of(following((0, 2.0))).steady_factor == pytest.approx(1.0, abs=0.05)


def test_traffic_that_comes_in_one_third_of_the_time_is_harder_to_bear(following):
    """Half of the mean rate, then twice it: a server must bear nearly the peak, which the surrogate only guesses."""
    uneven = surrogate_of(following((0, 0.5), (1200, 2.0), (2400, 0.5)))
    assert 1.3 < uneven.steady_factor < 2.1


def test_a_guide_gives_no_answer(following):
    workload = following((0, 1.0))
    capacity = Capacity(LLAMA, workload, Server(), surrogate=surrogate_of(workload))
    shares = {adapter.name: 0.3 for adapter in workload.adapters}
    assert capacity.estimate(shares, 16).ok
    assert capacity.twin_runs == 1
    assert capacity.surrogate_knows
    assert capacity.likelihood_of_overload(capacity.demand_of(shares.items())) < 0.5


def test_adapters_with_known_arrivals_need_no_twin(following):
    """Of two kinds of adapters, the surrogate answers for servers that hold only those whose arrivals it knows."""
    workload = following((0, 0.5), (1200, 2.0), (2400, 0.5))
    steady = tuple(adapter.model_copy(update={"arrivals": "poisson"}) for adapter in workload.adapters[:30])
    mixed = workload.model_copy(update={"adapters": steady + workload.adapters[30:]})
    capacity = Capacity(LLAMA, mixed, Server(), surrogate=surrogate_of(mixed))
    assert capacity.estimate({adapter.name: 0.2 for adapter in mixed.adapters[:30]}, 16).ok
    assert capacity.twin_runs == 0
    assert capacity.estimate({adapter.name: 0.2 for adapter in mixed.adapters[20:40]}, 16).ok
    assert capacity.twin_runs == 1


def test_a_file_of_rates_is_planned_as_a_csv_with_the_same_rates(following):
    """The plan has the GPUs of the doubled rates, and takes about as many runs of the twin."""
    double = make_plan(LLAMA, STEADY.scaled(2.0))
    by_file = make_plan(LLAMA, following((0, 2.0)))
    assert by_file.gpus == double.gpus
    assert by_file.verified
    assert by_file.twin_runs <= 2 * double.twin_runs + 20
    assert sum(server.forecast.request_rate for server in by_file.servers) == pytest.approx(24.0)


def test_a_fleet_that_replays_timestamps_is_planned_with_guidance():
    times = tuple(i / 24.0 for i in range(24 * 3600))
    plan = make_plan(LLAMA, STEADY.model_copy(update={"arrivals": times}))
    assert plan.verified
    assert plan.twin_runs < 100
    assert abs(plan.gpus - make_plan(LLAMA, STEADY.scaled(2.0)).gpus) <= 1
