"""ServerDemand: the demands of two sets of adapters add up to the demand of their union."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Server, load_surrogate
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import LeadingSets, ServerDemand, total
from adaptwin.placement.capacity.slots import expected_prediction
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.workload.demand.traffic import SUMS
from adaptwin.workload.sources.synthetic import synthesize

law = settings(derandomize=True, database=None, max_examples=60, deadline=None)
COUNT = 8


def sums(load=0.1, rank=8, loras=1, slo_ttft=inf, slo_itl=inf):
    return ServerDemand(load, rank, loras, slo_ttft, slo_itl, load, np.full(SUMS, load))


@pytest.fixture(scope="module")
def capacity(h100):
    """Return the capacity for adapters of several ranks and the base model, some of them with objectives."""
    dealt = synthesize(adapters=COUNT - 1, rate=5.0, ranks=(8, 64), popularity="zipf:1.0", base_share=0.2)
    slos = [{}, {"slo_ttft": 2.0}, {"slo_itl": 0.05}, {"slo_ttft": 0.5, "slo_itl": 0.2}]
    adapters = [a.model_copy(update=slos[i % 4]) for i, a in enumerate(dealt.adapters)]
    workload = dealt.model_copy(update={"adapters": tuple(adapters)})
    surrogate = load_surrogate(h100.name).on(h100)
    return Capacity(h100, workload, Server(), 1.1, WorkloadSurrogate(surrogate, workload, Server()))


def assert_same(one: ServerDemand, other: ServerDemand):
    assert one[:5] == pytest.approx(other[:5])
    assert one.traffic == pytest.approx(other.traffic)


def test_two_sets_on_paper():
    both = sums(0.25, 8, 1, 2.0, inf).plus(sums(0.5, 64, 3, 1.0, 0.2))
    assert both[:5] == (0.75, 64, 4, 1.0, 0.2)
    assert both.traffic[0] == 0.75


def test_without_adapters_there_is_no_demand(capacity):
    none = capacity.demand_of([])
    assert none[:5] == (0.0, 0, 0, inf, inf)
    assert not none.traffic.any()
    some = capacity.demand_of([(capacity.names[1], 1.0)])
    assert_same(some.plus(none), some)


def test_sums_are_of_load_rank_slots_and_objectives(capacity):
    adapters = {name: capacity.adapter(name) for name in capacity.names}
    everything = capacity.demand_of((name, 1.0) for name in adapters)
    assert everything.load == pytest.approx(capacity.load(dict.fromkeys(adapters, 1.0)))
    assert everything.rank == 64
    assert everything.loras == sum(adapter.rank > 0 for adapter in adapters.values()) < COUNT
    assert (everything.slo_ttft, everything.slo_itl) == (0.5, 0.05)
    assert everything.traffic[0] == pytest.approx(5.0)


@law
@given(data=st.data(), cut=st.integers(0, COUNT))
def test_sums_of_two_sets_are_those_of_both(capacity, data, cut):
    shares = data.draw(st.lists(st.floats(0.01, 1.0), min_size=COUNT, max_size=COUNT))
    named = list(zip(data.draw(st.permutations(capacity.names)), shares, strict=True))
    parts = capacity.demand_of(named[:cut]), capacity.demand_of(named[cut:])
    assert_same(parts[0].plus(parts[1]), capacity.demand_of(named))
    assert_same(parts[1].plus(parts[0]), capacity.demand_of(named))


@law
@given(order=st.permutations(range(COUNT)))
def test_prefixes_are_sums_of_the_first_ones(capacity, order):
    each = [capacity.demand_of([(capacity.names[i], 1.0)]) for i in order]
    prefixes = LeadingSets(each)
    grown = each[0]
    for count, one in enumerate(each, start=1):
        grown = grown.plus(one) if count > 1 else one
        assert_same(prefixes.first(count), grown)
    assert_same(total(each), grown)


def test_a_prefix_has_python_numbers():
    first = total([sums(), sums()])
    assert [type(value) for value in first[:5]] == [float, int, int, float, float]


def test_predictions_do_not_modify_the_demand(capacity):
    named = [(name, 1.0) for name in capacity.names]
    given_, again = capacity.demand_of(named), capacity.demand_of(named)
    capacity.likelihood_of_overload(given_, 1.5)
    expected_prediction(capacity, given_, 0.5)
    assert_same(given_, again)
