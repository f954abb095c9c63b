"""Registry of strategies: ways to place adapters on servers of one profile, and what each of them supports."""

from typing import TYPE_CHECKING, NamedTuple

from adaptwin.errors import SpecError, not_one_of
from adaptwin.lazy import function_from

if TYPE_CHECKING:
    from adaptwin.placement.packing.problem import Place


class Strategy(NamedTuple):
    """A way to place adapters, and what it supports."""

    place: "Place"
    knows_constraints: bool = False
    packs: bool = False  # places by `packing`, so that GPU types may be mixed and spare servers may serve


def _strategy(name: str) -> "Place":
    """The function of a strategy, from the module of the same name."""
    return function_from(f"{__package__}.{name}", name)


STRATEGIES: dict[str, Strategy] = {
    "pack": Strategy(_strategy("pack"), knows_constraints=True, packs=True),
    "paper_greedy": Strategy(_strategy("paper_greedy")),
    "dlora": Strategy(_strategy("dlora")),
    "dlora_best_slots": Strategy(_strategy("dlora_best_slots")),
    "loraserve": Strategy(_strategy("loraserve")),
    "loraserve_best_slots": Strategy(_strategy("loraserve_best_slots")),
    "loraserve_third": Strategy(_strategy("loraserve_third")),
    "proposed_lat": Strategy(_strategy("proposed_lat")),
    "max_base": Strategy(_strategy("max_base")),
    "least_loaded": Strategy(_strategy("least_loaded")),
    "round_robin": Strategy(_strategy("round_robin")),
    "random": Strategy(_strategy("random_placement")),
}


def strategy_named(name: str) -> Strategy:
    """Return the strategy with this name; raises `SpecError`, listing all names, if there is none."""
    if name not in STRATEGIES:
        raise SpecError(not_one_of(name, STRATEGIES), "strategy")
    return STRATEGIES[name]
