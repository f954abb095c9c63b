"""Features: independent of names and order; close to the twin where nothing is scarce."""

import numpy as np
import pytest

from adaptwin import Adapter, Lengths, Server, Workload, load_profile, simulate
from adaptwin.profile.profile import shipped_profiles
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import SteadyState, demands_on, solve
from adaptwin.surrogate.features import (
    Features,
    SteadyStateAnswer,
    _features,
    _steady_answer,
    features_of,
    features_of_servers,
    features_of_table,
    server_table,
)
from adaptwin.workload.demand.traffic import Demand, sum_demands

SERVER = Server(max_loras=4, max_lora_rank=16, max_cpu_loras=8, max_num_batched_tokens=2048)
PROFILES = [load_profile(name) for name in shipped_profiles()]


def looked_at(workload, server=SERVER, profile=PROFILES[0]):
    demands = demands_on(profile, server, workload)
    features, steady_answer = features_of(
        sum_demands(demands), server.limits(profile), costs_of(profile, server), workload.duration
    )
    return Features(*features), SteadyStateAnswer(*steady_answer)


def adapters(*rates, rank=8):
    return [Adapter(name=f"a{i}", rank=rank, rate=rate) for i, rate in enumerate(rates)]


def test_names_and_order_of_adapters_do_not_matter():
    there = Workload(adapters(0.1, 0.2, 0.4, 0.8))
    back = Workload([Adapter(name=f"other-{a.name}", rank=a.rank, rate=a.rate) for a in reversed(there.adapters)])
    assert looked_at(there)[0] == pytest.approx(looked_at(back)[0])
    assert looked_at(there)[1] == pytest.approx(looked_at(back)[1])


def test_features_worked_out_by_hand():
    lengths = Lengths.fixed(100, 50)
    features, steady_answer = looked_at(Workload(adapters(1.0, 3.0), lengths=lengths, duration=1000.0))
    assert np.exp(features.prompt) == pytest.approx(100)
    assert np.exp(features.answer) == pytest.approx(50)
    assert features.prompt_spread == pytest.approx(0.0, abs=1e-6)
    assert np.expm1(features.adapters) == pytest.approx(2)
    assert np.expm1(features.slots) == pytest.approx(4)
    assert np.exp(features.hottest) == pytest.approx(0.75)
    assert np.exp(features.evenness) == pytest.approx(16 / 10)
    assert np.exp(features.requests) == pytest.approx(4000)
    assert features.slot_supply == 0.0
    assert steady_answer.offered == pytest.approx(4 * 150)


def test_each_feature_is_in_the_column_of_its_name():
    profile, workload = PROFILES[0], Workload(adapters(0.1, 0.4, 3.0, 0.8, 0.3), arrivals="gamma:cv=3")
    traffic, by_octave = sum_demands(demands_on(profile, SERVER, workload))
    limits, costs = SERVER.limits(profile), costs_of(profile, SERVER)
    state = solve(traffic, by_octave, limits, costs, 3600.0)
    named = _features(state, traffic, by_octave, limits, costs, 3600.0)
    answered = _steady_answer(state, traffic, limits, costs, 3600.0)
    columns = features_of(Demand(traffic, by_octave), limits, costs, 3600.0)
    for figures, row in zip((named, answered), columns, strict=True):
        assert {name: getattr(figures, name) for name in figures._fields} == dict(
            zip(figures._fields, row.tolist(), strict=True)
        )
    assert (type(state), type(named), type(answered)) == (SteadyState, Features, SteadyStateAnswer)
    assert answered.itl_mean == state.pace == pytest.approx(np.exp(named.pace))


def test_base_model_traffic_needs_no_slot():
    features, _ = looked_at(Workload([Adapter("base", 0, 2.0)]), Server(max_loras=0))
    assert features.lora_share == 0.0
    assert features.slot_pressure == -12.0
    assert features.slots_full == 0.0


def test_more_traffic_means_more_of_everything_that_is_scarce():
    scarce = ("utilisation", "fullness", "kv_fullness", "step_fullness", "slot_pressure", "slots_full", "slot_wait")
    light, heavy = (
        looked_at(Workload(adapters(*[rate] * 8)), SERVER.model_copy(update={"max_loras": 2}))[0]
        for rate in (0.02, 0.5)
    )
    for name in scarce:
        assert getattr(light, name) < getattr(heavy, name), name


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("rate", [0.05, 0.5, 2.0])
def test_the_steady_answer_is_near_the_twins_where_nothing_is_scarce(profile, rate):
    workload = Workload(adapters(*[rate] * 4), duration=1800.0)
    _, steady_answer = looked_at(workload, profile=profile)
    run = simulate(profile, SERVER, workload)
    assert steady_answer.itl_mean == pytest.approx(run.itl.mean, rel=0.05)
    assert steady_answer.served == pytest.approx(run.throughput / run.offered_throughput, abs=0.02)
    assert steady_answer.e2e_mean == pytest.approx(run.e2e.mean, rel=0.1)
    assert steady_answer.ttft_p50 == pytest.approx(run.ttft.p50, rel=0.35)


def test_servers_with_the_same_traffic_are_looked_at_as_one_by_one():
    profile, workload = PROFILES[0], Workload(adapters(0.1, 0.2, 0.4, 0.8, rank=16), duration=600.0)
    servers = [SERVER.model_copy(update={"max_loras": slots, "max_lora_rank": 16 * slots}) for slots in (1, 2, 4)]
    table = [(server.limits(profile), costs_of(profile, server)) for server in servers]
    demand = sum_demands(demands_on(profile, SERVER, workload))
    features, steady_answers = features_of_servers(demand, server_table(table), workload.duration)
    assert features.shape == (3, len(Features._fields))
    assert steady_answers.shape == (3, len(SteadyStateAnswer._fields))
    for i, (limits, costs) in enumerate(table):
        alone = features_of(demand, limits, costs, workload.duration)
        assert features[i].tolist() == alone[0].tolist()
        assert steady_answers[i].tolist() == alone[1].tolist()
    assert len({row.tobytes() for row in features}) == 3


def test_a_table_has_the_features_of_each_of_its_rows(dataset):
    """A row of the dataset holds everything that its features need."""
    profiles = {profile.name: profile for profile in PROFILES}
    some = dataset.rows.sample(20, seed=0)
    together, steady_answers = features_of_table(some, profiles)
    assert together.shape == (20, len(Features._fields))
    assert steady_answers.shape == (20, len(SteadyStateAnswer._fields))
    assert np.isfinite(together).all()
    for i in range(20):
        alone, _ = features_of_table(some[i], profiles)
        assert alone[0].tolist() == together[i].tolist()
