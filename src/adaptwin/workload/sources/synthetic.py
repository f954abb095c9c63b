"""Synthetic workloads: the traffic of a fleet, distributed to adapters by popularity, with a rank for each."""

from collections.abc import Mapping, Sequence

from adaptwin.errors import SpecError
from adaptwin.workload.lengths import ASSUMED_LENGTHS, Lengths
from adaptwin.workload.sources.popularity import popularity_shares
from adaptwin.workload.sources.turns import ConversationTurns, with_conversations
from adaptwin.workload.templates import Template
from adaptwin.workload.workload import Adapter, ArrivalSource, Workload

RankMix = Sequence[int] | Mapping[int, float]


def synthesize(
    *,
    adapters: int,
    rate: float,
    ranks: RankMix,
    popularity: str = "dirichlet:0.5",
    lengths: Lengths = ASSUMED_LENGTHS,
    arrivals: ArrivalSource = "poisson",
    base_share: float = 0.0,
    duration: float = 3600.0,
    templates: Sequence[Template] = (),
    turns: ConversationTurns | None = None,
    seed: int = 0,
) -> Workload:
    """Return a synthetic workload of `rate` requests/s in total, distributed to the adapters by `share_out`.

    The prompts of each adapter begin with its own `templates`, or requests are the `turns` of conversations.
    """
    if turns and (templates or arrivals != "poisson"):
        raise SpecError("conversations have no templates, and begin as a Poisson process", "turns")
    shared = share_out(rate, adapters=adapters, ranks=ranks, popularity=popularity, base_share=base_share, seed=seed)
    workload = Workload(
        adapters=shared, lengths=lengths, arrivals=arrivals, duration=duration, templates=tuple(templates), seed=seed
    )
    return with_conversations(workload, turns) if turns else workload


def share_out(
    rate: float, *, adapters: int, ranks: RankMix, popularity: str, base_share: float, seed: int
) -> tuple[Adapter, ...]:
    """Return adapters ``a000``, ``a001`` ... that share `rate` requests/s by popularity, with ranks by `assign_ranks`.

    The base model gets `base_share` of the traffic: it is the last adapter, ``base``, with rank 0. Raises `SpecError`.
    """
    if adapters < 1:
        raise SpecError(f"{adapters} must be at least 1", "adapters")
    if not 0 <= base_share < 1:
        raise SpecError(f"{base_share:g} must be at least 0 and below 1", "base_share")
    if not 0 <= rate < float("inf"):
        raise SpecError(f"{rate:g} must be at least 0 and finite", "rate")
    width = max(3, len(str(adapters - 1)))
    rates = rate * (1.0 - base_share) * popularity_shares(popularity, adapters, seed)
    sharing = [
        Adapter(name=f"a{index:0{width}}", rank=rank, rate=float(rates[index]))
        for index, rank in enumerate(assign_ranks(ranks, adapters))
    ]
    if base_share > 0:
        sharing.append(Adapter(name="base", rank=0, rate=rate * base_share))
    return tuple(sharing)


def assign_ranks(ranks: RankMix, adapters: int) -> list[int]:
    """Return a rank for every adapter: in turn from a sequence, or in proportion to the weights of a mapping.

    With weights, each adapter gets the rank that is furthest behind its share so far, so the result is not random.
    """
    if not ranks:
        raise SpecError("needs at least one rank", "ranks")
    if not isinstance(ranks, Mapping):
        return [ranks[index % len(ranks)] for index in range(adapters)]
    if min(ranks.values()) < 0 or not 0 < (total := sum(ranks.values())) < float("inf"):
        raise SpecError(f"{dict(ranks)}: weights must be at least 0, and one of them above 0", "ranks")
    counts = dict.fromkeys(ranks, 0)
    assigned: list[int] = []
    for place in range(1, adapters + 1):
        # Rounded, so that equal weights take turns in spite of floating point.
        behind = {rank: round(place * weight / total - counts[rank], 9) for rank, weight in ranks.items()}
        chosen = max(behind, key=behind.__getitem__)
        counts[chosen] += 1
        assigned.append(chosen)
    return assigned


def parse_ranks(text: str) -> RankMix:
    """Parse ranks of the command line: ``8,16,32`` in turn, or ``8:0.6,16:0.3,32:0.1`` by weight."""
    parts = [part.strip() for part in text.split(",")]
    try:
        if ":" not in text:
            return tuple(int(part) for part in parts)
        pairs = [part.split(":") for part in parts]
        weights = {int(rank): float(weight) for rank, weight in pairs}
    except ValueError:
        message = f"{text!r} is neither a list of ranks (8,16,32) nor ranks with weights (8:0.6,16:0.3,32:0.1)"
        raise SpecError(message, "ranks") from None
    if len(weights) < len(pairs):
        raise SpecError(f"{text!r} has a duplicate rank", "ranks")
    return weights
