"""Moves: improve placements on a given number of servers by moving single items.

Every server has a score, such as its latency or minus the tokens/s that it serves. Moves lower the overall score.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.balance import balanced
from adaptwin.placement.packing.items import Bin, Item, item_of, items_of, load_of, may_join
from adaptwin.placement.packing.orders import by_falling_load, dealt, orders, to_least_loaded
from adaptwin.placement.packing.problem import Problem
from adaptwin.workload.drawing.seeds import stream_seed

BinScore = Callable[[Bin], float]  # maps the items of one server to its score; lower is better
OverallScore = Callable[[Iterable[float]], float]  # maps the scores of all servers to one score

MOST_MOVES = 600  # moves tried per placement, at most
SAMPLED_ITEMS = 8  # items of a server that are tried elsewhere in one round
LEAST_SPLIT_LOAD = 0.01  # share of a GPU's time below which splitting an adapter gains nothing
FINE_PARTS = 4  # parts for each server in which a hot adapter is placed as well, so that its parts fill gaps
LEAST_GAIN = 1e-3  # relative improvement of the overall score that a move must bring


class ScoredBins(NamedTuple):
    """Bins, and the score of each."""

    bins: list[Bin]
    scores: list[float]


def starting_points(problem: Problem, most: int) -> list[list[Bin]]:
    """Return placements of all items on at most `most` servers.

    Placements that do not respect the constraints are left out, so that the list may be empty.
    """
    items, fine = _even_items(problem, most), _even_items(problem, FINE_PARTS * most)
    servers = min(most, len(items))
    ways = orders(items)
    in_order = [by_falling_load(items), *ways, *([by_falling_load(fine)] if len(fine) > len(items) else [])]
    by_load = (to_least_loaded(way, servers) for way in in_order)
    found = [bins for bins in by_load if bins]
    found += [_cut(way, servers) for way in [*ways, dealt(ways[0], servers)]]
    if evened := balanced(problem, [*ways, dealt(ways[0], servers)], servers, 1.0):
        found.append(evened.bins)
    return [bins for bins in found if all(_all_may_join(contents) for contents in bins)]


def improved(problem: Problem, bins: list[Bin], score: BinScore, overall: OverallScore) -> ScoredBins:
    """Improve a placement by moving items off the server with the highest score, while the overall score falls."""
    random = np.random.default_rng(stream_seed(problem.capacity.workload.seed, "spread", str(len(bins))))
    candidate = ScoredBins([list(contents) for contents in bins], [score(contents) for contents in bins])
    tries = MOST_MOVES if len(bins) > 1 else 0
    while tries > 0 and not problem.out_of_time:
        problem.progress("moving items", MOST_MOVES - tries, MOST_MOVES)
        best: tuple[float, ScoredBins] | None = None
        now = overall(candidate.scores)
        giver = int(np.argmax(candidate.scores))
        order = random.permutation(len(candidate.bins[giver]))[:SAMPLED_ITEMS]
        for item in [candidate.bins[giver][i] for i in order.tolist()]:
            for taker in heapq.nsmallest(3, range(len(bins)), key=candidate.scores.__getitem__):
                if taker == giver or not may_join(item, candidate.bins[taker]) or len(candidate.bins[giver]) == 1:
                    continue
                tries -= 1
                trial = _moved(candidate, item, giver, taker, score)
                then = overall(trial.scores)
                if then < now - LEAST_GAIN * abs(now) and (best is None or then < best[0]):
                    best = then, trial
        if best is None:
            break
        candidate = best[1]
    problem.progress("moving items", MOST_MOVES, MOST_MOVES)
    return candidate


def _moved(candidate: ScoredBins, item: Item, giver: int, taker: int, score: BinScore) -> ScoredBins:
    bins, scores = list(candidate.bins), list(candidate.scores)
    bins[giver] = [other for other in bins[giver] if other is not item]
    bins[taker] = [*bins[taker], item]
    for index in (giver, taker):
        scores[index] = score(bins[index])
    return ScoredBins(bins, scores)


def _even_items(problem: Problem, servers: int) -> list[Item]:
    """Return the items, with those above an even share of the total load split into parts that are not above it.

    Pinned adapters, and those that must be together, stay whole. Parts below `LEAST_SPLIT_LOAD` are not split further,
    so that many more servers than are useful cost no time.
    """
    items, pinned = items_of(problem), problem.constraints.pinned
    even = max(load_of(items) / servers, LEAST_SPLIT_LOAD)
    split: list[Item] = []
    for item in items:
        name, share = item.shares[0]
        is_whole = len(item.shares) > 1 or name in pinned
        parts = 1 if is_whole else min(servers, math.ceil(item.load / even - 1e-9))
        split += (
            [item_of(problem, AdapterPart(name, share / parts), item.apart_from) for _ in range(parts)]
            if parts > 1
            else [item]
        )
    return split


def _cut(order: Sequence[Item], servers: int) -> list[Bin]:
    """Cut the order into stretches of about equal load, none of them empty."""
    bins: list[Bin] = [[] for _ in range(servers)]
    whole, passed = load_of(order), 0.0
    for place, item in enumerate(order):
        fair = int(servers * (passed + item.load / 2) / whole) if whole else place * servers // len(order)
        at = max(min(fair, servers - 1), servers - (len(order) - place), 0)
        last = next((index for index in range(servers - 1, -1, -1) if bins[index]), -1)
        bins[min(at, last + 1)].append(item)
        passed += item.load
    return bins


def _all_may_join(contents: Bin) -> bool:
    return all(may_join(item, contents[:at]) for at, item in enumerate(contents))
