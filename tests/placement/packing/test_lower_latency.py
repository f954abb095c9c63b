"""Lower latency by moves: no adapter is lost or placed twice, and the worst server is no slower."""

import time

import pytest

from adaptwin import Server, load_profile
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.surrogate_choice import workload_surrogate_for
from adaptwin.placement.lower_bound.lower_bound import lower_bound
from adaptwin.placement.packing import lower_latency
from adaptwin.placement.packing.lower_latency import with_lower_latency
from adaptwin.placement.packing.moves import ScoredBins
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.pack import pack
from adaptwin.plan.constraints import Constraints
from adaptwin.progress import silent
from adaptwin.workload.sources.synthetic import synthesize


def packed(seed, **fields):
    """Return a problem that the surrogate knows, and its placement by `pack`."""
    profile, given = load_profile("h100-64gb-llama-3.1-8b-instruct"), Server()
    workload = synthesize(adapters=40, rate=50, ranks=(8, 16, 32), popularity="zipf:0.9", seed=seed)
    capacity = Capacity(profile, workload, given, 1.0, workload_surrogate_for("shipped", profile, workload, given))
    bound = lower_bound([profile], workload, given)
    problem = Problem(capacity, bound, silent, time.perf_counter() + 60.0, **fields)
    placed = pack(problem)
    assert capacity.surrogate_knows
    return problem, placed


def placed_shares(assignments):
    shares = {}
    for assignment in assignments:
        for name, share in assignment.shares.items():
            shares[name] = shares.get(name, 0.0) + share
    return shares


@pytest.mark.parametrize("seed", range(6))
def test_every_adapter_keeps_its_traffic(seed):
    problem, before = packed(seed)
    after = with_lower_latency(problem, before, "itl")
    assert after is None or placed_shares(after) == pytest.approx(placed_shares(before))
    assert after is None or len(after) == len(before)


def test_a_server_that_swaps_an_adapter_for_another_one_changes(monkeypatch):
    """Its number of adapters stays, and its contents do not."""
    problem, before = packed(0)
    assert len(before) > 1

    def swapped(_, bins, *__):
        one, other = (sorted(contents, key=lambda item: item.load) for contents in bins[:2])
        one[0], other[0] = other[0], one[0]
        return ScoredBins([one, other, *bins[2:]], [0.0] * len(bins))

    monkeypatch.setattr(lower_latency, "improved", swapped)
    after = with_lower_latency(problem, before, "itl")
    assert after is not None
    assert placed_shares(after) == pytest.approx(placed_shares(before))
    assert [set(each.shares) for each in after[:2]] != [set(each.shares) for each in before[:2]]


def test_pinned_adapters_stay_where_they_are():
    problem, before = packed(1, constraints=Constraints(pinned={"a00": "gpu-0"}))
    assert with_lower_latency(problem, before, "itl") is None
