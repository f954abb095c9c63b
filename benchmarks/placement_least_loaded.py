"""Why `least_loaded` comes near `pack`: both on fleets whose adapters all have the same rank."""

from collections.abc import Sequence

from adaptwin import Workload
from measured_page import paragraph
from placement_judge import Result
from populations import Population

NEAR = ("pack", "least_loaded")


def mixes_ranks(workload: Workload) -> bool:
    """Whether the adapters of a fleet have several ranks."""
    return len({adapter.rank for adapter in workload.adapters if adapter.rank}) > 1


def with_equal_ranks(population: Population) -> Population:
    """Return the fleet with the rank of every adapter raised to the highest."""
    workload, highest = population.workload, population.workload.max_rank
    raised = tuple(a.model_copy(update={"rank": highest}) if a.rank else a for a in workload.adapters)
    return population._replace(workload=workload.model_copy(update={"adapters": raised}))


def nearness(results: Sequence[Result], equal: Sequence[Result]) -> str:
    """Return paragraphs that compare both strategies; `equal` are the results with equal ranks."""
    pairs = _pairs([result for result in results if result.settings == "chosen"])
    raised = _pairs(equal)
    mixed = {name: pair for name, pair in pairs.items() if name in raised}
    if not mixed:
        return ""
    differ = [name for name, (pack, least) in pairs.items() if pack.gpus != least.gpus]
    where = f"on {len(differ)} of {len(pairs)} populations ({'; '.join(differ)})" if differ else "nowhere"
    text = f"""**Why `least_loaded` comes near.** It has all that the twin knows about a server: the load of an adapter
    counts its lengths and its rank, every server gets its best number of slots, and the smallest number of servers that
    serves all adapters is taken. `pack` adds an order by rank, so that few servers need slots of a high rank, and moves
    that fill the last server; GPUs are whole, so that a small gain often saves none. The two differ {where}.
    {_by_rank(mixed, raised)}"""
    return paragraph(text)


def _by_rank(mixed: dict[str, tuple[Result, Result]], raised: dict[str, tuple[Result, Result]]) -> str:
    now, then = _totals(mixed), _totals(raised)
    return (
        f"On the {len(mixed)} populations with several ranks, `pack` needs {now[0]} GPUs and `least_loaded` {now[1]}. "
        f"If every adapter had the highest rank of its fleet, so that no order by rank could help, they would need "
        f"{then[0]} and {then[1]}."
    )


def _totals(pairs: dict[str, tuple[Result, Result]]) -> tuple[int, int]:
    return sum(pack.gpus for pack, _ in pairs.values()), sum(least.gpus for _, least in pairs.values())


def _pairs(results: Sequence[Result]) -> dict[str, tuple[Result, Result]]:
    """Return the results of `pack` and `least_loaded` by population, where there are both."""
    of = {(result.population, result.strategy): result for result in results}
    names = dict.fromkeys(result.population for result in results)
    return {
        name: (of[name, NEAR[0]], of[name, NEAR[1]])
        for name in names
        if all((name, strategy) in of for strategy in NEAR)
    }
