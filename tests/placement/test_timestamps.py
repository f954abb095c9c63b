"""Plans of fleets with recorded arrivals: every timestamp is served once, by as many GPUs as Poisson arrivals need."""

import numpy as np
import pytest

from adaptwin import Adapter, Lengths, Workload, make_plan, replan, verify

SECONDS, RATE, ADAPTERS = 300.0, 20.0, 12
COUNT = round(RATE * SECONDS)
LENGTHS = Lengths.fixed(1000, 400)
TIMES = tuple(np.sort(np.random.default_rng(3).uniform(0.0, SECONDS, COUNT)).tolist())


def fleet(arrivals, rates=(RATE / ADAPTERS,) * ADAPTERS):
    adapters = [Adapter(f"a{i}", 8, rate) for i, rate in enumerate(rates)]
    return Workload(adapters, lengths=LENGTHS, arrivals=arrivals, duration=SECONDS)


def offered(runs):
    """Return how many requests came to these servers."""
    return sum(int(run.adapters["arrivals"].sum()) for run in runs)


@pytest.fixture(scope="module")
def plans(h100):
    return {arrivals: make_plan(h100, fleet(arrivals), surrogate=None) for arrivals in (TIMES, "poisson")}


def test_the_servers_of_a_plan_are_offered_every_timestamp_once(plans):
    assert plans[TIMES].gpus > 1
    for seed in (1, 2):
        check = verify(plans[TIMES], seed)
        assert check.ok
        assert offered(check.runs) == COUNT


def test_timestamps_drawn_at_random_need_as_many_gpus_as_poisson_arrivals_of_their_rate(plans):
    assert plans[TIMES].gpus == plans["poisson"].gpus
    assert plans[TIMES].lower_bound == plans["poisson"].lower_bound


def test_headroom_is_that_of_poisson_arrivals_of_the_same_rate(plans):
    least = {arrivals: min(server.forecast.headroom for server in plan.servers) for arrivals, plan in plans.items()}
    mean = {
        arrivals: np.mean([server.forecast.headroom for server in plan.servers]) for arrivals, plan in plans.items()
    }
    assert 0.0 < least[TIMES] < 0.5
    assert mean[TIMES] == pytest.approx(mean["poisson"], abs=0.15)


def test_forecasts_count_the_timestamps_of_their_server(plans):
    rates = [server.forecast.request_rate for server in plans[TIMES].servers]
    assert sum(rates) == pytest.approx(RATE)
    assert max(rates) < RATE


def test_headroom_that_is_asked_for_is_there(h100):
    plan = make_plan(h100, fleet(TIMES), headroom=0.5, surrogate=None)
    assert min(server.forecast.headroom for server in plan.servers) >= 0.48
    raised = plan.model_copy(update={"workload": plan.workload.scaled(1.4)})
    check = verify(raised, 5)
    assert check.ok
    assert offered(check.runs) == pytest.approx(1.4 * COUNT, abs=ADAPTERS)


def test_servers_that_share_an_adapter_divide_its_timestamps_in_every_state(h100):
    plan = make_plan(h100, fleet(TIMES, (18.0, 0.5, 0.5, 0.5, 0.5)), spare=1, surrogate=None)
    assert sum(0.0 < server.adapters.get("a0", 0.0) < 1.0 for server in plan.servers) > 1
    check = verify(plan, 3)
    assert check.ok
    assert offered(check.runs) == COUNT
    for state in check.failovers:
        serving = {server.name for server in plan.servers} - set(state.failed)
        assert state.runs
        assert offered(state.runs) <= COUNT + len(serving)


def test_a_fleet_whose_recorded_traffic_grows_is_offered_all_of_it_after_replanning(h100, plans):
    grown = fleet(TIMES).scaled(1.6)
    plan = replan(plans[TIMES], grown, surrogate=None)
    assert plan.gpus > plans[TIMES].gpus
    check = verify(plan, 4)
    assert check.ok
    assert offered(check.runs) == sum(len(adapter.arrivals) for adapter in grown.adapters)


def test_the_same_recorded_traffic_changes_nothing(plans):
    plan = replan(plans[TIMES], fleet(TIMES), surrogate=None)
    assert not plan.migration.moves
    assert plan.gpus == plans[TIMES].gpus


def test_a_plan_file_keeps_the_timestamps_of_the_fleet(plans, tmp_path):
    plans[TIMES].write(tmp_path / "plan.yaml")
    assert type(plans[TIMES]).read(tmp_path / "plan.yaml").workload.arrivals == TIMES
