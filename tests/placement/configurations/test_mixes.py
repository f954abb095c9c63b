"""Mixes: demands of parts of classes, and the largest multiple that a server likely serves."""

import numpy as np
import pytest

from adaptwin import Server, load_surrogate
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.caution import FILL_LIKELIHOOD
from adaptwin.placement.configurations.classes import classes_of
from adaptwin.placement.configurations.mixes import Mixes
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture(scope="module")
def capacity():
    workload = synthesize(adapters=400, rate=40.0, ranks=(8, 32), popularity="zipf:0.9")
    surrogate = load_surrogate("h100-64gb-llama-3.1-8b-instruct")
    known = WorkloadSurrogate(surrogate, workload, Server())
    return Capacity(surrogate.profile, workload, Server(), surrogate=known)


@pytest.fixture(scope="module")
def mixes(capacity):
    return Mixes(capacity, classes_of(capacity, [AdapterPart(name, 1.0) for name in capacity.names]))


def test_all_of_every_class_is_the_whole_fleet(capacity, mixes):
    demand, whole = mixes.demand_of(np.ones(len(mixes.classes))), capacity.demand_of((n, 1.0) for n in capacity.names)
    assert demand.traffic == pytest.approx(whole.traffic)
    assert demand[:6] == pytest.approx(whole[:6])


def test_less_than_a_part_counts_as_one(mixes):
    mix = np.zeros(len(mixes.classes))
    mix[0] = 1e-6
    one = mix.copy()
    one[0] = 1.0 / len(mixes.classes[0].parts)
    assert mixes.demand_of(mix).load == mixes.demand_of(one).load > 0


def test_the_largest_multiple_is_at_the_limit(mixes):
    direction = mixes.loads**-1
    largest = mixes.largest(direction)
    assert np.ptp(largest / direction) < 1e-12
    assert mixes.likelihood(largest) <= FILL_LIKELIHOOD < mixes.likelihood(1.02 * largest)


def test_no_multiple_has_more_than_all_of_a_class(mixes):
    one = np.zeros(len(mixes.classes))
    one[-1] = 0.2
    assert mixes.largest(one).max() <= 1.0


def test_the_mix_of_a_server_with_the_hottest_parts_of_a_class_counts_them(capacity, mixes):
    """Their share of the load is higher, but other servers with as much load would have more adapters."""
    index = max(range(len(mixes.classes)), key=lambda at: len(mixes.classes[at].parts))
    alike = mixes.classes[index]
    hottest = {part.name: part.share for part in alike.parts[:10]}
    coldest = {part.name: part.share for part in alike.parts[-10:]}
    by_number = 10 / len(alike.parts)
    assert mixes.mix_of(hottest)[index] == pytest.approx(by_number)
    assert mixes.mix_of(coldest)[index] == pytest.approx(capacity.load(coldest) / alike.load)
    assert mixes.mix_of(coldest)[index] < by_number
