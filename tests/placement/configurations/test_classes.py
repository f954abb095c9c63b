"""Classes of like adapters: nothing is lost, and the pieces of a rank have about the same load."""

from itertools import pairwise

import numpy as np
import pytest

from adaptwin import Adapter, Workload
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.configurations.classes import classes_of
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture
def fleet_of_ranks():
    return synthesize(adapters=300, rate=30.0, ranks=(8, 16), popularity="zipf:0.9")


def whole(workload):
    return [AdapterPart(adapter.name, 1.0) for adapter in workload.adapters]


def test_every_part_is_in_one_class_of_its_rank(capacity_of, fleet_of_ranks):
    capacity = capacity_of(fleet_of_ranks)
    classes = classes_of(capacity, whole(fleet_of_ranks))
    assert sorted(part.name for each in classes for part in each.parts) == sorted(capacity.names)
    assert all({capacity.slot_rank(part.name) for part in each.parts} == {each.demand.rank} for each in classes)


def test_pieces_of_a_rank_have_about_the_same_load_and_the_hottest_adapters_come_first(capacity_of, fleet_of_ranks):
    classes = classes_of(capacity_of(fleet_of_ranks), whole(fleet_of_ranks))
    for rank in (8, 16):
        pieces = [each for each in classes if each.demand.rank == rank]
        assert len(pieces) == 3
        largest = max(each.loads.max() for each in pieces)
        assert np.ptp([each.load for each in pieces]) <= 2 * largest
        assert all(np.all(np.diff(each.loads) <= 0) for each in pieces)
        assert all(hot.loads.min() >= cold.loads.max() for hot, cold in pairwise(pieces))


def test_adapters_with_other_objectives_are_other_classes(capacity_of):
    strict = [Adapter(f"strict-{i}", 8, 0.1, slo_ttft=1.0) for i in range(5)]
    workload = Workload([*strict, *(Adapter(f"lax-{i}", 8, 0.1) for i in range(5))])
    classes = classes_of(capacity_of(workload), whole(workload))
    assert {frozenset(part.name.split("-")[0] for part in each.parts) for each in classes} == {
        frozenset({"strict"}),
        frozenset({"lax"}),
    }


def test_a_share_of_a_class_is_spread_evenly_over_it(capacity_of):
    workload = Workload([Adapter(f"a{i:02}", 8, 10.0 - i / 10) for i in range(40)])
    (hot, *_) = classes_of(capacity_of(workload), whole(workload))
    half = hot.spread(len(hot.parts) // 2, 0.5)
    assert len(set(half)) == len(hot.parts) // 2
    assert hot.loads[half].sum() == pytest.approx(0.5 * hot.load, rel=0.1)
    assert hot.spread(len(hot.parts), 0.2) == list(range(len(hot.parts)))
    assert hot.spread(3, 0.2) != hot.spread(3, 0.8)
    assert hot.spread(0, 0.5) == []
