"""Copies: parts are dealt once each, in the shares that the configurations have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin.placement.capacity.server_demand import AdapterPart, ServerDemand
from adaptwin.placement.configurations.classes import LikeParts
from adaptwin.placement.configurations.copies import _dealt


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
