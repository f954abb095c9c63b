"""Balancing: servers near their limit give adapters to servers with much room.

A re-planned fleet fills running servers up to their limit before it starts a new one, which then has little to do. Once
a server is started, or where one at its limit is beside one with much room, the fullest servers are relieved until each
has `REPLAN_BALANCED_SHARE` of the headroom that an even distribution would give to all. The adapters with the highest
load move first, so that few moves suffice.
"""

from collections.abc import Collection
from typing import NamedTuple

from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.caution import REPLAN_BALANCED_SHARE, REPLAN_ROOMY_FACTOR, REPLAN_TIGHT_FACTOR
from adaptwin.plan.migration import Balancing
from adaptwin.replanning.rearrangement import Rearrangement, serves

MOST_GROWTH = 4.0  # where the search for the growth that a server sustains ends, as a multiple of its traffic
GROWTH_RATIO = 1.05  # precision of that growth
LEAST_GROWTH_GAIN = 1.02  # factor by which a step must improve the lower growth of two servers
TAKERS_TRIED = 3  # of the servers with most room, how many are tried for the adapters of one server
ROUNDS_PER_SERVER = 4
MOVES_WORTH = 1.0  # cost of moves per GPU of the started servers, at most; as much as of one server if none is started

Unit = list[AdapterPart]  # items that move together: an adapter, or a group that must share a server


class Balanced(NamedTuple):
    """A fleet after balancing, and what was gained; None where nothing was moved."""

    fleet: Rearrangement
    gain: Balancing | None


def together(first: Balancing | None, second: Balancing | None) -> Balancing | None:
    """Return the moves and the gain of two rounds of balancing, of which None made no move."""
    if first is None or second is None:
        return first or second
    return second.model_copy(update={"moves": first.moves + second.moves, "headroom_before": first.headroom_before})


def balance(fleet: Rearrangement, strained: Collection[str]) -> Balanced:
    """Relieve the fullest servers where a server was started, or where one of `strained` is beside a roomy server.

    `strained` are the servers with more traffic than they had before: others were as full before, and stay so.
    """
    return _Balancer(fleet).run(strained)


def growth_of(fleet: Rearrangement, name: str) -> float:
    """Return the factor, up to `MOST_GROWTH`, by which the traffic of a server can grow; 1 where it is at its limit."""
    settings, shares = fleet.contents[name]

    def sustains(factor: float) -> bool:
        return serves(fleet.capacity, {adapter: share * factor for adapter, share in shares.items()}, settings)

    return MOST_GROWTH if sustains(MOST_GROWTH) else largest_factor(1.0, MOST_GROWTH, GROWTH_RATIO, sustains).low


class _Balancer:
    """Moves units between the servers of a fleet; knows the growth that each server sustains."""

    def __init__(self, fleet: Rearrangement) -> None:
        self._fleet, self._problem = fleet, fleet.running.problem
        self._growth = {name: growth_of(fleet, name) for name, server in fleet.contents.items() if server.shares}
        started = self._growth.keys() - fleet.running.settings.keys()
        self._started = bool(started)
        price, gpus = fleet.running.prices.move, max(1, len(started)) * fleet.running.gpus_per_server
        self._most_moves = fleet.moves() + (gpus * MOVES_WORTH / price if price else float("inf"))

    def run(self, strained: Collection[str]) -> Balanced:
        lowest, moves = min(self._growth.values(), default=MOST_GROWTH), self._fleet.moves()
        if len(self._growth) < 2 or not (self._started or self._is_uneven(strained)):
            return Balanced(self._fleet, None)
        goal = 1.0 + REPLAN_BALANCED_SHARE * (self._even_growth() - 1.0)
        stuck: set[str] = set()
        for _ in range(ROUNDS_PER_SERVER * len(self._growth)):
            left = self._growth.keys() - stuck
            giver = min(left, key=lambda name: (self._growth[name], name), default=None)
            if giver is None or self._growth[giver] >= goal or self._problem.out_of_time:
                break
            if not self._relieve(giver, goal):
                stuck.add(giver)
        if (reached := min(self._growth.values())) <= lowest:
            return Balanced(self._fleet, None)
        made = max(0, self._fleet.moves() - moves)  # adapters may also move back to where they are now
        return Balanced(self._fleet, Balancing(moves=made, headroom_before=lowest - 1.0, headroom_after=reached - 1.0))

    def _is_uneven(self, strained: Collection[str]) -> bool:
        return max(self._growth.values()) > REPLAN_ROOMY_FACTOR and any(
            self._growth[name] < REPLAN_TIGHT_FACTOR for name in strained if name in self._growth
        )

    def _even_growth(self) -> float:
        """Return the growth that all servers would sustain if load were spread in proportion to their limits."""
        loads = sum(self._fleet.load_of(name) for name in self._growth)
        return sum(map(self._limit, self._growth)) / loads if loads > 0.0 else MOST_GROWTH

    def _limit(self, name: str) -> float:
        """Return the load that a server sustains; where its growth is open, at least the mean of the other servers."""
        found = {other: self._fleet.load_of(other) * growth for other, growth in self._growth.items()}
        known = [found[other] for other, growth in self._growth.items() if growth < MOST_GROWTH]
        if self._growth[name] < MOST_GROWTH or not known:
            return found[name]
        return max(found[name], sum(known) / len(known))

    def _relieve(self, giver: str, goal: float) -> bool:
        """Move units off a server so that it sustains `goal`; return whether that improved the fleet."""
        room = {name: self._limit(name) / goal - self._fleet.load_of(name) for name in self._growth if name != giver}
        surplus = self._fleet.load_of(giver) - self._limit(giver) / goal
        for taker in sorted(room, key=lambda name: (-room[name], name))[:TAKERS_TRIED]:
            amount = min(surplus, room[taker])
            for _ in range(2):
                if amount > 0.0 and self._moved(giver, taker, amount):
                    return True
                amount /= 2.0
        return False

    def _moved(self, giver: str, taker: str, amount: float) -> bool:
        """Move units with about this load from one server to another, if that raises the lower of their growths."""
        trial = self._fleet.copy()
        left = amount
        for unit in self._units(trial, giver, taker):
            load = sum(trial.capacity.load_of(item) for item in unit)
            if len(unit) == 1 and load > left and unit[0].name in trial.contents[taker].shares:
                unit, load = [AdapterPart(unit[0].name, unit[0].share * left / load)], left
            if load <= left and trial.moved(giver, taker, unit):
                left -= load
                if trial.moves() > self._most_moves:
                    trial.moved(taker, giver, unit)
                    break
            if left <= 0.0:
                break
        if not trial.contents[giver].shares or left == amount:
            return False
        growths = {name: growth_of(trial, name) for name in (giver, taker)}
        if not trial.is_served(taker) or min(growths.values()) < LEAST_GROWTH_GAIN * self._growth[giver]:
            return False
        self._fleet = trial
        self._growth |= growths
        return True

    def _units(self, fleet: Rearrangement, giver: str, taker: str) -> list[Unit]:
        """Return what may leave a server for another: what moves for free first, then by falling load."""
        rank_there = max((fleet.capacity.slot_rank(name) for name in fleet.contents[taker].shares), default=0)
        units: dict[frozenset[str], Unit] = {}
        for name, share in fleet.contents[giver].shares.items():
            units.setdefault(fleet.group(name), []).append(AdapterPart(name, share))

        def priority(unit: Unit) -> tuple[bool, bool, float, str]:
            costs = any(fleet.moves_to(taker, item.name) and not fleet.moves_to(giver, item.name) for item in unit)
            pads = max(fleet.capacity.slot_rank(item.name) for item in unit) > rank_there
            return costs, pads, -sum(fleet.capacity.load_of(item) for item in unit), unit[0].name

        return sorted(units.values(), key=priority)
