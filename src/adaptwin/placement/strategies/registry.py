"""Registry of strategies: ways to place adapters on servers of one profile, and what each of them supports."""

from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.placement.packing.problem import Place
from adaptwin.placement.strategies.dlora import dlora
from adaptwin.placement.strategies.least_loaded import least_loaded
from adaptwin.placement.strategies.loraserve import loraserve
from adaptwin.placement.strategies.max_base import max_base
from adaptwin.placement.strategies.pack import pack
from adaptwin.placement.strategies.paper_greedy import paper_greedy
from adaptwin.placement.strategies.random_placement import random_placement
from adaptwin.placement.strategies.round_robin import round_robin


class Strategy(NamedTuple):
    """A way to place adapters, and what it supports."""

    place: Place
    knows_constraints: bool = False
    packs: bool = False  # places by `packing`, so that GPU types may be mixed and spare servers may serve


STRATEGIES: dict[str, Strategy] = {
    "pack": Strategy(pack, knows_constraints=True, packs=True),
    "paper_greedy": Strategy(paper_greedy),
    "dlora": Strategy(dlora),
    "loraserve": Strategy(loraserve),
    "max_base": Strategy(max_base),
    "least_loaded": Strategy(least_loaded),
    "round_robin": Strategy(round_robin),
    "random": Strategy(random_placement),
}


def strategy_named(name: str) -> Strategy:
    """Return the strategy with this name; raises `SpecError`, listing all names, if there is none."""
    if name not in STRATEGIES:
        raise SpecError(f"{name!r} is not one of {', '.join(STRATEGIES)}", "strategy")
    return STRATEGIES[name]
