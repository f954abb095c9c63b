"""Prefix use: Che's approximation is near the twin, and without shared tokens nothing changes."""

import pytest

from adaptwin import Adapter, Lengths, Server, Template, Workload, load_profile, simulate
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on, steady_state
from adaptwin.workload.demand.traffic import sum_demands
from adaptwin.workload.sources.synthetic import synthesize
from adaptwin.workload.sources.turns import ConversationTurns

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")


def server_for(adapters, **settings):
    return Server(max_loras=min(64, adapters), max_lora_rank=8, max_cpu_loras=adapters, **settings)


def traffic(adapters, rate, prompt, tokens, popularity=0.0):
    weights = [(place + 1) ** -popularity for place in range(adapters)]
    return Workload(
        [Adapter(f"a{i}", 8, rate * weight / sum(weights)) for i, weight in enumerate(weights)],
        lengths=Lengths.lognormal(input_mean=prompt, input_cv=0.3, output_mean=200, output_cv=0.8),
        templates=(Template(tokens=tokens),) if tokens else (),
        duration=1200.0,
    )


def settled(workload, server):
    demand = sum_demands(demands_on(H100, server, workload))
    return steady_state(demand, server.limits(H100), costs_of(H100, server), workload.duration)


@pytest.mark.parametrize(
    "fleet", [(64, 6.0, 800, 500), (256, 3.0, 2000, 1500), (500, 3.0, 2000, 1500, 1.0), (500, 1.5, 3500, 3000)]
)
def test_hits_and_pace_are_near_those_of_the_twin(fleet):
    """Hot adapters and cold ones, from nearly all hits to nearly none."""
    workload, server = traffic(*fleet), server_for(fleet[0])
    run, state = simulate(H100, server, workload), settled(workload, server)
    assert state.hits == pytest.approx(run.prefix_hit_rate, abs=0.07)
    assert state.pace == pytest.approx(run.itl.mean, rel=0.1)
    without = settled(workload, server_for(fleet[0], enable_prefix_caching=False))
    assert without.hits == 0.0
    assert without.capacity < state.capacity


def test_a_server_that_shares_nothing_is_the_same_with_prefix_caching_and_without():
    workload = traffic(64, 6.0, 800, 0)
    on, off = (settled(workload, server_for(64, enable_prefix_caching=each)) for each in (True, False))
    assert on == off


def test_recorded_prefixes_count_like_the_templates_that_they_are():
    times = tuple(2.0 * place for place in range(300))
    own = {"arrivals": times, "lengths": Lengths.fixed(2000, 100)}
    alike = ((-1, 0), *[(0, 1800)] * 299)
    server = server_for(4)
    recorded, drawn = (
        settled(Workload([Adapter(f"a{i}", 8, 0.5, **own, **each) for i in range(4)], duration=600.0), server)
        for each in ({"prefixes": alike}, {"templates": (Template(tokens=1800),)})
    )
    assert recorded.hits == pytest.approx(drawn.hits, abs=0.01)
    assert recorded.capacity == pytest.approx(drawn.capacity, rel=0.02)


@pytest.mark.parametrize("think", [10.0, 30.0, 300.0])
def test_hits_of_conversations_are_near_those_of_the_twin(think):
    turns = ConversationTurns(8.0, think)
    workload = synthesize(
        adapters=8, rate=3.0, ranks=(8,), lengths=Lengths.fixed(250, 200), duration=1200.0, turns=turns
    )
    assert settled(workload, server_for(8)).hits == pytest.approx(
        simulate(H100, server_for(8), workload).prefix_hit_rate, abs=0.15
    )
