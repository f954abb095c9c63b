"""Kinds: adapters are taken off the fullest servers, as few as suffice, and none is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.configurations.kinds import load_of_parts, relieved_kind, server_of_kind, up_to


class Loads:
    """A capacity that knows loads only: those in the names of the parts."""

    def load_of(self, part):
        return float(part.name.split("-")[1]) * part.share


def parts_with(loads):
    return [AdapterPart(f"{number}-{load}", 1.0) for number, load in enumerate(loads)]


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=60), st.floats(0.0, 2.0))
def test_what_is_kept_is_below_the_limit_and_what_is_not_kept_is_left(loads, share):
    capacity, parts = Loads(), parts_with(loads)
    most = share * load_of_parts(capacity, parts)
    kept, left = up_to(capacity, parts, most)
    assert kept
    assert sorted(kept + left) == sorted(parts)
    assert len(kept) == 1 or load_of_parts(capacity, kept) <= most
    if share >= 1.0:
        assert left == []


def test_as_few_equal_parts_as_suffice_are_left_out_evenly():
    kept, left = up_to(Loads(), parts_with([0.25] * 12), 2.0)
    assert len(kept) == 8
    assert [int(part.name.split("-")[0]) for part in left] == [1, 4, 7, 10]


@pytest.fixture
def kind(capacity_of, fleet):
    """Return a capacity and two servers of a kind, the second with twice the traffic."""
    capacity = capacity_of(fleet(*[(f"a{i:02}", 8, 0.2 if i < 20 else 0.4) for i in range(40)]))
    names = capacity.names
    contents = ([AdapterPart(name, 1.0) for name in names[:20]], [AdapterPart(name, 1.0) for name in names[20:]])
    return capacity, [server_of_kind(capacity, list(parts), 16, 3) for parts in contents]


def test_only_the_fullest_servers_give_up_adapters(kind):
    capacity, (light, heavy) = kind
    (first, second), left = relieved_kind(capacity, [light, heavy], 0.1)
    assert first is light
    assert len(left) == 2
    assert {part.name for part in left} | set(second.shares) == set(heavy.shares)
    assert (second.kind, second.server.max_loras, second.server.max_cpu_loras) == (3, 16, 18)


def test_a_server_has_no_more_slots_than_adapters(kind):
    capacity, _ = kind
    few = server_of_kind(capacity, [AdapterPart(name, 1.0) for name in capacity.names[:5]], 16, 0)
    assert few.server.max_loras == 5
