"""squeeze: bin packing worked out by hand, on servers whose room is known."""

from typing import NamedTuple

import pytest

from adaptwin import Workload
from adaptwin.placement.problem import Problem
from adaptwin.placement.strategies.squeeze import squeeze
from adaptwin.progress import silent


class RoomForOne(NamedTuple):
    """Servers with room for a load of one, of adapters whose name says rank and load: ``8:0.25a``."""

    workload: Workload = Workload(adapters=())

    def adapter(self, name):
        return Named(int(name.split(":")[0]))

    def load_of(self, item):
        return float(item.name.split(":")[1].rstrip("abcdefgh")) * item.share

    def load(self, shares):
        return sum(self.load_of(Item(*item)) for item in shares.items())

    def likelihood_of_overload(self, shares):
        return float(self.load(shares) > 1.0 + 1e-9)

    def fit(self, shares):
        return self.load(shares) <= 1.0 + 1e-9


class Named(NamedTuple):
    rank: int


class Item(NamedTuple):
    name: str
    share: float


def squeezed(*hands, fewest=1):
    problem = Problem(RoomForOne(), fewest, silent, float("inf"))
    return squeeze(problem, [dict.fromkeys(hand, 1.0) for hand in hands], fewest)


def everybody(hands):
    return sorted(name for hand in hands for name in hand)


@pytest.mark.parametrize(
    ("hands", "servers"),
    [
        ([["8:0.6a"], ["8:0.6b"], ["8:0.4a", "8:0.4b"]], 2),
        ([["8:0.5a", "8:0.2a"], ["8:0.5b", "8:0.2b"], ["8:0.3a", "8:0.3b"]], 2),
        ([["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"]], 2),  # only 0.6 + 0.4 and 0.6 + 0.2 + 0.2 fit
        ([["8:0.7a"], ["8:0.7b"], ["8:0.7c"]], 3),
        ([["8:0.1a"], ["8:0.1b"], ["8:0.1c"], ["8:0.1d"]], 1),
    ],
)
def test_as_few_servers_as_there_is_room_for(hands, servers):
    found = squeezed(*hands)
    assert everybody(found) == everybody(hands)
    assert all(RoomForOne().load(hand) <= 1.0 + 1e-9 for hand in found)
    assert len(found) == servers


def test_not_fewer_than_the_bound():
    assert len(squeezed(["8:0.1a"], ["8:0.1b"], ["8:0.1c"], fewest=2)) == 2


def test_what_cannot_be_squeezed_is_left_as_it_was():
    hands = [["8:0.9a"], ["8:0.9b"]]
    assert squeezed(*hands) == [{"8:0.9a": 1.0}, {"8:0.9b": 1.0}]


def test_an_adapter_goes_where_it_pads_nobodys_slots():
    """0.2 of rank 8 fits with either; the server of rank 8 takes it, though the other is as full."""
    found = squeezed(["8:0.5a"], ["64:0.5a"], ["8:0.2a"])
    assert {"8:0.5a": 1.0, "8:0.2a": 1.0} in found
