"""Copies: parts are dealt once each, in the shares that the configurations have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin.placement.capacity.server_demand import AdapterPart, ServerDemand
from adaptwin.placement.configurations.classes import LikeParts
from adaptwin.placement.configurations.copies import _dealt, _tight


def class_of(name, loads):
    falling = np.sort(np.array(loads))[::-1]
    demand = ServerDemand(float(falling.sum()), 8, len(falling), np.inf, np.inf, 0.0, np.zeros(1))
    return LikeParts([AdapterPart(f"{name}{i}", 1.0) for i in range(len(falling))], falling, demand)


@given(
    st.lists(st.floats(0.001, 0.02), min_size=60, max_size=200),
    st.lists(st.tuples(st.floats(0.02, 0.1), st.integers(2, 4)), min_size=1, max_size=2),
)
def test_every_part_is_dealt_once_and_each_server_gets_its_share(loads, whole):
    alike = class_of("a", loads)
    dealt = _dealt([alike], [(np.array([share]), copies) for share, copies in whole])
    servers = [parts for copies in dealt.copies for parts in copies]
    assert [len(copies) for copies in dealt.copies] == [copies for _, copies in whole]
    assert sorted(p.name for parts in [*servers, dealt.left] for p in parts) == sorted(p.name for p in alike.parts)
    load_of = dict(zip((part.name for part in alike.parts), alike.loads.tolist(), strict=True))
    wanted = [share * alike.load for share, copies in whole for _ in range(copies)]
    for parts, want in zip(servers, wanted, strict=True):
        assert sum(load_of[part.name] for part in parts) == pytest.approx(want, abs=1.5 * alike.loads.max())


def test_servers_with_equal_shares_have_equally_many_hot_parts():
    alike = class_of("a", [0.02] * 10 + [0.001] * 90)
    (copies,) = _dealt([alike], [(np.array([0.2]), 5)]).copies
    assert [sum(int(part.name[1:]) < 10 for part in parts) for parts in copies] == [2] * 5
    assert [len(parts) for parts in copies] == [20] * 5


def test_what_a_server_has_too_much_of_one_class_is_made_up_for_by_the_next():
    """Two servers get a large part each, which is more than their share, and the two others get more small ones."""
    hot, cold = class_of("hot", [0.4, 0.4]), class_of("cold", [0.01] * 160)
    (copies,) = _dealt([hot, cold], [(np.array([0.25, 0.25]), 4)]).copies
    loads = [sum(0.4 if part.name.startswith("hot") else 0.01 for part in parts) for parts in copies]
    assert loads == pytest.approx([0.6] * 4, abs=0.02)


class Loads:
    """A capacity that knows loads only: a tenth of a server for each part."""

    def load_of(self, _part):
        return 0.1


def test_servers_that_are_not_full_are_dealt_anew_to_fewer():
    servers = [[AdapterPart(f"a{server}{i}", 1.0) for i in range(6)] for server in range(4)]
    fewer = _tight(Loads(), servers, full=0.9)
    assert [len(parts) for parts in fewer] == [8, 8, 8]
    assert sorted(part for parts in fewer for part in parts) == sorted(part for parts in servers for part in parts)


def test_servers_that_are_full_stay():
    servers = [[AdapterPart(f"a{server}{i}", 1.0) for i in range(6)] for server in range(4)]
    assert _tight(Loads(), servers, full=0.62) is servers
