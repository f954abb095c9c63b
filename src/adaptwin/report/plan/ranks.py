"""Ranks of adapters: their counts per server, their text, and their colours in figures."""

from collections import Counter

from adaptwin.plan.plan import Plan
from adaptwin.report.style.words import NOTHING

# Paul Tol's colour-blind-safe "vibrant" scheme for the common slot ranks; 0 is the base model.
_SLOT_COLOURS = {
    0: "#8c8c8c",
    1: "#aa4499",
    8: "#0077bb",
    16: "#ee7733",
    32: "#009988",
    64: "#ee3377",
    128: "#33bbee",
    256: "#cc3311",
    320: "#ccbb44",
    512: "#7b68c8",
}


def rank_colour(rank: int) -> str:
    """Return the colour of a rank in figures: that of the slots to which vLLM pads it."""
    return next(colour for slot, colour in _SLOT_COLOURS.items() if slot >= rank)


def rank_counts(plan: Plan) -> list[dict[int, int]]:
    """Return, for every server of the plan, the number of adapters of each rank, in rising order of rank."""
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    counted = (Counter(ranks[name] for name in server.adapters) for server in plan.servers)
    return [dict(sorted(counts.items())) for counts in counted]


def rank_summary(counts: dict[int, int]) -> str:
    """Return ranks with their counts: ``8×40 16×12``; rank 0, traffic to the base model, is ``base``."""
    return " ".join(f"{rank or 'base'}×{many}" for rank, many in counts.items()) or NOTHING


def rank_name(rank: int) -> str:
    """Return the name of a rank: ``rank 8``; rank 0, traffic to the base model, is ``base model``."""
    return f"rank {rank}" if rank else "base model"
