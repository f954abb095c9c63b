"""dlora: replicas worked out by hand, and equal to those of a plain implementation of the rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import make_plan
from adaptwin.placement.strategies.dlora import Memory, replicated


def placed(loads, servers, memory, slot=10.0, needed=0.0):
    """Return a row for each server, with 1 for each adapter that it has and 0 for the others."""
    loads = np.array(loads, dtype=np.float64)
    found = replicated(loads, np.ones(len(loads), dtype=bool), Memory(memory, needed, slot), servers)
    return found.astype(int).tolist()


def test_the_hottest_is_replicated():
    """With 90 tokens free on each server, a unit of its load has 90/4; with another replica 170/4, then 250/4."""
    assert placed([4, 1, 1], servers=3, memory=100) == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]


def test_equals_are_not_replicated():
    """A replica of one adapter would take memory from another that has no more tokens per unit of load."""
    assert placed([1, 1, 1, 1], servers=2, memory=100) == [[1, 0, 1, 0], [0, 1, 0, 1]]


def test_a_replica_must_not_lower_the_lowest_memory_per_load():
    """The second has 30/2 tokens and would keep 20/2, as many as the first (30/3); of 28/2 too few would be left."""
    assert placed([3, 2], servers=2, memory=40) == [[1, 1], [1, 1]]
    assert placed([3, 2], servers=2, memory=38) == [[1, 0], [0, 1]]


def test_there_is_no_replica_without_memory():
    assert placed([1], servers=2, memory=10) == [[1], [1]]
    assert placed([1], servers=2, memory=9) == [[1], [0]]
    assert placed([1], servers=2, memory=14, needed=5) == [[1], [0]]


def test_base_model_traffic_takes_no_memory():
    """Base-model traffic is therefore replicated wherever it lags behind, however little memory there is."""
    found = replicated(np.array([8.0, 1.0]), np.array([False, True]), Memory(10.0, 0.0, 10.0), 2)
    assert found.astype(int).tolist() == [[1, 0], [1, 1]]


def plainly(loads, cost, memory, servers):
    """Apply the rule of dLoRA without shortcuts: everything is recomputed for each replica that is tried."""
    on = [[a for a in range(len(loads)) if a % servers == s] for s in range(servers)]

    def worst_off():
        free = [memory - cost * len(there) for there in on]
        return min(sum(free[s] for s in range(servers) if a in on[s]) / load for a, load in enumerate(loads))

    while True:
        replicas = [sum(a in there for there in on) for a in range(len(loads))]
        lags = [replicas[a] / sum(replicas) - load / sum(loads) for a, load in enumerate(loads)]
        adapter, before = lags.index(min(lags)), worst_off()
        for there in sorted(on, key=len):
            if adapter in there or memory - cost * len(there) < cost:
                continue
            there.append(adapter)
            if worst_off() >= before:
                break
            there.remove(adapter)
        else:
            return [[int(a in there) for a in range(len(loads))] for there in on]


@settings(derandomize=True, database=None, max_examples=100, deadline=None)
@given(
    loads=st.lists(st.sampled_from([1.0, 2.0, 4.0, 16.0, 64.0]), min_size=1, max_size=9),
    memory=st.sampled_from([16.0, 64.0, 256.0, 1024.0]),
    servers=st.integers(1, 5),
)
def test_replicas_follow_the_rule_of_dlora(loads, memory, servers):
    """All numbers are powers of two, so both implementations round equally."""
    falling = sorted(loads, reverse=True)
    assert placed(falling, servers, memory, slot=8.0) == plainly(falling, 8.0, memory, servers)


def test_the_traffic_of_replicas_is_split_evenly(h100, fleet):
    plan = make_plan(h100, fleet(("hot", 8, 60.0), *[(f"cold-{i}", 8, 0.2) for i in range(9)]), strategy="dlora")
    shares = [server.adapters["hot"] for server in plan.servers if "hot" in server.adapters]
    assert len(shares) == plan.gpus > 1
    assert shares == [pytest.approx(1 / len(shares))] * len(shares)
    assert [server.server.max_loras for server in plan.servers] == [len(server.adapters) for server in plan.servers]
