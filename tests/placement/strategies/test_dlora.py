"""dlora: replicas worked out by contents, and the same as by the rule written down plainly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import make_plan
from adaptwin.placement.strategies.dlora import Memory, replicated


def placed(loads, servers, memory, slot=10.0, needed=0.0):
    """Which server has which adapter, as rows of 0 and 1."""
    loads = np.array(loads, dtype=np.float64)
    found = replicated(loads, np.ones(len(loads), dtype=bool), Memory(memory, needed, slot), servers)
    return found.astype(int).tolist()


def test_the_hottest_is_replicated():
    """Of 90 tokens on each server, 90/4 tokens are for a unit of its load; with one replica more 170/4, then 250/4."""
    assert placed([4, 1, 1], servers=3, memory=100) == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]


def test_equals_are_not_replicated():
    """A replica of one would take memory from another that is no better off."""
    assert placed([1, 1, 1, 1], servers=2, memory=100) == [[1, 0, 1, 0], [0, 1, 0, 1]]


def test_a_replica_must_not_make_the_worst_off_worse_off():
    """The second has 30/2 tokens and would keep 20/2, as much as the first has: 30/3. From 28/2 too little is left."""
    assert placed([3, 2], servers=2, memory=40) == [[1, 1], [1, 1]]
    assert placed([3, 2], servers=2, memory=38) == [[1, 0], [0, 1]]


def test_there_is_no_replica_without_memory():
    assert placed([1], servers=2, memory=10) == [[1], [1]]
    assert placed([1], servers=2, memory=9) == [[1], [0]]
    assert placed([1], servers=2, memory=14, needed=5) == [[1], [0]]


def test_base_model_traffic_takes_no_memory():
    """So it is replicated wherever it lags behind, however little memory there is."""
    found = replicated(np.array([8.0, 1.0]), np.array([False, True]), Memory(10.0, 0.0, 10.0), 2)
    assert found.astype(int).tolist() == [[1, 0], [1, 1]]


def plainly(loads, cost, memory, servers):
    """The rule as dLoRA has it: all is counted anew for each replica that is tried."""
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
def test_it_is_the_rule_of_dlora(loads, memory, servers):
    """Powers of two, so that both round alike."""
    falling = sorted(loads, reverse=True)
    assert placed(falling, servers, memory, slot=8.0) == plainly(falling, 8.0, memory, servers)


def test_the_traffic_of_replicas_is_split_evenly(h100, fleet):
    plan = make_plan(h100, fleet(("hot", 8, 30.0), *[(f"cold-{i}", 8, 0.2) for i in range(9)]), strategy="dlora")
    shares = [server.adapters["hot"] for server in plan.servers if "hot" in server.adapters]
    assert len(shares) == plan.gpus > 1
    assert shares == [pytest.approx(1 / len(shares))] * len(shares)
    assert [server.server.max_loras for server in plan.servers] == [len(server.adapters) for server in plan.servers]
