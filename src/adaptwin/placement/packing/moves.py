"""spread: deal a workload out to a given number of servers, and improve the deal by moves.

What is good is told by a score of every server, to be brought down: its latency, or how little it serves.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.balance import levelled
from adaptwin.placement.packing.items import Bin, Item, gets_on, item_of, items_of, load_of
from adaptwin.placement.packing.orders import dealt, falling, least_loaded, orders
from adaptwin.placement.packing.problem import Problem
from adaptwin.workload.drawing.random_streams import stream_seed

Score = Callable[[Bin], float]  # of one server; the lower the better
Overall = Callable[[Iterable[float]], float]  # of all servers' scores

MOST_MOVES = 600  # moves that are tried on a deal
SAMPLED_ITEMS = 8  # items of a server that are tried elsewhere at a time
LEAST_GAIN = 1e-3  # share of the score by which a move must improve it


class Deal(NamedTuple):
    """Hands and their scores."""

    hands: list[Bin]
    scores: list[float]


def deals(problem: Problem, gpus: int) -> list[list[Bin]]:
    """Ways to deal everybody out to so many servers, or to as many as there are items."""
    items = _even_items(problem, gpus)
    servers = min(gpus, len(items))
    ways = orders(items)
    by_load = (least_loaded(way, servers) for way in (falling(items), *ways))
    found = [hands for hands in by_load if hands]
    found += [_cut(way, servers) for way in [*ways, dealt(ways[0], servers)]]
    if level := levelled(problem, [*ways, dealt(ways[0], servers)], servers, 1.0):
        found.append(level.hands)
    return [hands for hands in found if all(_get_on(hand) for hand in hands)]


def improved(problem: Problem, hands: list[Bin], score: Score, overall: Overall) -> Deal:
    """The deal after moves of single items off the servers with the highest scores, each for the better."""
    dice = np.random.default_rng(stream_seed(problem.capacity.workload.seed, "spread", str(len(hands))))
    deal = Deal([list(hand) for hand in hands], [score(hand) for hand in hands])
    tries = MOST_MOVES if len(hands) > 1 else 0
    while tries > 0 and not problem.out_of_time:
        problem.progress("spreading", MOST_MOVES - tries, MOST_MOVES)
        best: tuple[float, Deal] | None = None
        now = overall(deal.scores)
        giver = int(np.argmax(deal.scores))
        order = dice.permutation(len(deal.hands[giver]))[:SAMPLED_ITEMS]
        for item in [deal.hands[giver][i] for i in order.tolist()]:
            for taker in heapq.nsmallest(3, range(len(hands)), key=deal.scores.__getitem__):
                if taker == giver or not gets_on(item, deal.hands[taker]) or len(deal.hands[giver]) == 1:
                    continue
                tries -= 1
                trial = _moved(deal, item, giver, taker, score)
                then = overall(trial.scores)
                if then < now - LEAST_GAIN * abs(now) and (best is None or then < best[0]):
                    best = then, trial
        if best is None:
            break
        deal = best[1]
    problem.progress("spreading", MOST_MOVES, MOST_MOVES)
    return deal


def _moved(deal: Deal, item: Item, giver: int, taker: int, score: Score) -> Deal:
    hands, scores = list(deal.hands), list(deal.scores)
    hands[giver] = [other for other in hands[giver] if other is not item]
    hands[taker] = [*hands[taker], item]
    for index in (giver, taker):
        scores[index] = score(hands[index])
    return Deal(hands, scores)


def _even_items(problem: Problem, gpus: int) -> list[Item]:
    """The items, and those that are more than an even part of all in parts that are not."""
    items = items_of(problem)
    even = load_of(items) / gpus
    split: list[Item] = []
    for item in items:
        parts = min(gpus, math.ceil(item.load / even - 1e-9)) if even > 0 and len(item.shares) == 1 else 1
        name, share = item.shares[0]
        split += (
            [item_of(problem, AdapterPart(name, share / parts), item.foes) for _ in range(parts)]
            if parts > 1
            else [item]
        )
    return split


def _cut(order: Sequence[Item], servers: int) -> list[Bin]:
    """Stretches of the order with the same load each; none of them empty."""
    hands: list[Bin] = [[] for _ in range(servers)]
    whole, passed = load_of(order), 0.0
    for place, item in enumerate(order):
        fair = int(servers * (passed + item.load / 2) / whole) if whole else place * servers // len(order)
        at = max(min(fair, servers - 1), servers - (len(order) - place), 0)
        last = next((index for index in range(servers - 1, -1, -1) if hands[index]), -1)
        hands[min(at, last + 1)].append(item)
        passed += item.load
    return hands


def _get_on(hand: Bin) -> bool:
    return all(gets_on(item, hand[:at]) for at, item in enumerate(hand))
