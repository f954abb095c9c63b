"""loraserve: budgets and shares worked out by hand; the shares of every adapter sum to one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import make_plan
from adaptwin.placement.strategies.loraserve import Wanted, by_rank, largest_remainder

PLENTY = {0: 0, 8: 100, 16: 100, 64: 100}


def dealt(servers, *adapters, most=PLENTY):
    """Return the shares on each server, for adapters given as name, rank and utilisation."""
    wanted = [Wanted(name, rank, utilisation) for name, rank, utilisation in adapters]
    return [{name: pytest.approx(share) for name, share in shares.items()} for shares in by_rank(wanted, most, servers)]


def test_budgets_are_rounded_by_largest_remainder():
    assert largest_remainder({64: 0.4, 16: 1.3, 8: 2.3}, 4) == {64: 1, 16: 1, 8: 2}
    assert largest_remainder({64: 0.1, 16: 1.5, 8: 2.4}, 4) == {64: 0, 16: 2, 8: 2}
    assert largest_remainder({8: 3.0}, 3) == {8: 3}


def test_an_adapter_is_split_where_a_server_comes_to_its_target():
    """A load of 1.5 on two servers: up to 0.75, the second can take 0.25 of the 0.4 of c, and the first 0.15."""
    first, second = dealt(2, ("a", 8, 0.6), ("b", 8, 0.5), ("c", 8, 0.4))
    assert first == {"a": 1.0, "c": 0.375}
    assert second == {"b": 1.0, "c": 0.625}


def test_an_adapter_that_does_not_fit_at_its_rank_goes_to_a_higher_one():
    """Rank 16 has a load of 0.5 and gets a whole server, so the rest of rank 8 goes to its other half."""
    high, low = dealt(2, ("a", 16, 0.5), ("b", 8, 0.75), ("c", 8, 0.75))
    assert high == {"a": 1.0, "c": pytest.approx(2 / 3)}
    assert low == {"b": 1.0, "c": pytest.approx(1 / 3)}


def test_without_a_server_of_higher_rank_an_adapter_stays_at_its_rank():
    """Rank 16 has a load of 1.2 and gets one server, which is filled beyond its target of 1."""
    high, *low = dealt(3, ("a", 16, 0.6), ("b", 16, 0.6), ("c", 8, 0.9), ("d", 8, 0.9))
    assert high == {"a": 1.0, "b": 1.0}
    assert low == [{"c": 1.0}, {"d": 1.0}]


def test_adapters_of_a_rank_without_a_budget_share_one_server():
    """The first adapter of rank 64 goes to the least loaded server; the second follows, though it is no longer that."""
    adapters = [("x", 64, 0.04), ("y", 64, 0.02), ("a", 8, 0.98), ("b", 8, 0.96)]
    assert dealt(2, *adapters) == [{"a": 1.0}, {"b": 1.0, "x": 1.0, "y": 1.0}]


def test_a_server_without_another_slot_is_full():
    """The hot adapter fills the first server and leaves 0.04 of the second, to which the others go."""
    adapters = [("hot", 8, 0.9), *[(f"a{i}", 8, 0.01) for i in range(4)]]
    assert [len(shares) for shares in dealt(2, *adapters)] == [1, 5]
    assert [len(shares) for shares in dealt(2, *adapters, most={0: 0, 8: 3})] == [3, 3]


@settings(derandomize=True, database=None, max_examples=100, deadline=None)
@given(
    adapters=st.lists(
        st.tuples(st.sampled_from([0, 8, 16, 64]), st.floats(1e-9, 2.0, allow_nan=False)), min_size=1, max_size=20
    ),
    servers=st.integers(1, 8),
    slots=st.sampled_from([2, 100]),
)
def test_the_shares_of_every_adapter_sum_to_one(adapters, servers, slots):
    falling = sorted(adapters, key=lambda adapter: (-adapter[0], -adapter[1]))
    wanted = [Wanted(f"a{i}", *adapter) for i, adapter in enumerate(falling)]
    found = by_rank(wanted, {0: 0, 8: slots, 16: slots, 64: slots}, servers)
    assert len(found) == servers
    for adapter in wanted:
        shares = [shares[adapter.name] for shares in found if adapter.name in shares]
        assert sum(shares) == pytest.approx(1.0)
        assert min(shares) > 0.0


def test_ranks_that_fill_servers_are_kept_apart(h100, fleet):
    adapters = [(f"high-{i}", 64, 3.0) for i in range(6)] + [(f"low-{i}", 8, 3.0) for i in range(6)]
    plan = make_plan(h100, fleet(*adapters), strategy="loraserve")
    assert sorted(server.server.max_lora_rank for server in plan.servers) == [8, 64]
    assert [server.server.max_loras for server in plan.servers] == [len(server.adapters) for server in plan.servers]
