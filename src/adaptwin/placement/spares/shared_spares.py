"""Shared spares: all servers serve, and when some fail, the others take over their adapters without a restart.

The load is balanced over all servers. For every set of servers that may fail, their adapters are assigned to the other
servers. Then each server gets settings with which it serves in all these states: the number of slots that suits the
fullest states, at the highest rank that the server may have to load. Where the twin refuses a state, the server takes
over less in it, and the assignment starts again.
"""

import math
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from typing import NamedTuple

import joblib

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.slots import choose_slots, downhill
from adaptwin.placement.caution import MOST_LOAD, OTHER_ARRIVALS_FACTOR, TAKEOVER_SHARE
from adaptwin.placement.packing.balance import balanced
from adaptwin.placement.packing.items import Bin, as_items, items_of, load_of, shares_of
from adaptwin.placement.packing.moves import starting_points
from adaptwin.placement.packing.orders import dealt, orders
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.spares.takeover import Taker, assign_takeovers
from adaptwin.plan.failover import without
from adaptwin.twin.server import Server, server_rank

MOST_STATES = 2_500  # servers times sets of servers that may fail, above which shared spares are not tried
SPARE_ROUNDS = 8  # rounds in which refused servers take over less
FRUITLESS_ROUNDS = 2  # rounds in a row without fewer refusals, after which the search is given up
RANK_RELUCTANCE = 0.2  # how much fuller a server must be, as a share of its limit, before another's rank is raised
LITTLE_STRAIN = 3.0  # ratio of the 99th percentile of TTFT after a failure to before, up to which the search ends
REFUSED_SECONDS = 1e6  # seconds added to the latency of a server that does not serve all its adapters
FULLEST_STATES = 3  # number of states of a server, the fullest, by which its number of slots is chosen
MOST_LOAD_FACTOR = 4.0  # highest factor on a server's load that is tried to find its limit
LIMIT_PRECISION = 1.03  # ratio to within which a server's limit is found

Failed = tuple[int, ...]  # indices of servers that fail together; empty where none fails


class ServerAfterFailure(NamedTuple):
    """A server while others have failed."""

    failed: Failed
    server: int


class Arrangement(NamedTuple):
    """Servers, and for each set of servers that may fail, the items that each other server takes over."""

    assignments: list[Assignment]
    takeovers: dict[Failed, dict[int, Bin]]


class TrialResult(NamedTuple):
    """Result of a trial of an arrangement with fresh seeds."""

    refused: set[ServerAfterFailure]
    strain: float  # ratio of the 99th percentile of TTFT after failures to that before


Trial = Callable[[Arrangement], TrialResult]


def shared_spares(problem: Problem, servers: int, spare: int, trial: Trial) -> Arrangement | None:
    """Arrange `servers` servers so that any `spare` of them may fail, as the trial confirms; None if that fails.

    Of the arrangements found, the one with the least strain is returned; the search ends at the first with little.
    """
    if servers * len(_failure_sets(servers, spare)) > MOST_STATES:
        return None
    found: list[tuple[float, Arrangement]] = []
    for bins, reluctance in _ways(problem, servers):
        if problem.out_of_time or any(strain <= LITTLE_STRAIN for strain, _ in found):
            break
        found += _SpareSearch(problem, bins, spare, reluctance).run(trial)
    return min(found, key=lambda one: one[0])[1] if found else None


def _failure_sets(servers: int, spare: int) -> list[Failed]:
    """Return the sets of servers that may fail together, small sets first."""
    return list(chain.from_iterable(combinations(range(servers), failed) for failed in range(1, spare + 1)))


def _ways(problem: Problem, servers: int) -> Iterator[tuple[list[Bin], float]]:
    """Yield balanced bins and a reluctance to raise ranks: by rank with some, by rank without, and ranks mixed."""
    ways = orders(items_of(problem))
    evened = balanced(problem, [*ways, dealt(ways[0], servers)], servers, 1.0)
    if evened and len(evened.bins) == servers:
        yield evened.bins, RANK_RELUCTANCE
        yield evened.bins, 0.0
    mixed = next(iter(starting_points(problem, servers)), [])
    if len(mixed) == servers:
        yield mixed, 0.0


class _SpareSearch:
    """Search for settings and failovers of given bins. It owns the highest loads and ranks that servers take over."""

    def __init__(self, problem: Problem, bins: list[Bin], spare: int, reluctance: float) -> None:
        self._problem, self._capacity, self._reluctance = problem, problem.capacity, reluctance
        self._bins, self._failures = bins, _failure_sets(len(bins), spare)
        self._unpinned = problem._replace(constraints=without(problem.constraints.pinned.values(), problem.constraints))
        self._movable = [as_items(self._unpinned, shares_of(contents)) for contents in bins]
        self._ranks = [server_rank(max(item.rank for item in contents), self._capacity.profile) for contents in bins]
        self._most_ranks = [max(self._ranks)] * len(bins)
        self._caps: dict[ServerAfterFailure, float] = {}
        self._less = TAKEOVER_SHARE

    def run(self, trial: Trial) -> list[tuple[float, Arrangement]]:
        """Return an arrangement that the twin and the trial confirm, with its strain; empty if none is found."""
        found: list[tuple[float, Arrangement]] = []
        fewest, at = math.inf, 0
        limits = [_load_limit(self._capacity, contents) for contents in self._bins]
        for number in range(SPARE_ROUNDS):
            self._problem.progress("preparing for failures", number, SPARE_ROUNDS)
            takeovers = None if self._problem.out_of_time else self._takeovers(limits)
            if takeovers is None:
                break
            servers, refused = self._servers(takeovers)
            if not refused:
                arrangement = Arrangement(servers, takeovers)
                refused, strain = trial(arrangement)
                found = [] if refused else [(strain, arrangement)]
            if len(refused) < fewest:
                fewest, at = len(refused), number
            if found or number - at >= FRUITLESS_ROUNDS or not self._take_less_over(servers, takeovers, refused):
                break
            self._less *= TAKEOVER_SHARE
        self._problem.progress("preparing for failures", SPARE_ROUNDS, SPARE_ROUNDS)
        return found

    def _takeovers(self, limits: list[float]) -> dict[Failed, dict[int, Bin]] | None:
        """Return for each failure the items that each server takes over; None if an item finds no place."""
        servers = zip(self._movable, limits, self._ranks, self._most_ranks, strict=True)
        takers = [Taker(contents, limit, rank, most_rank) for contents, limit, rank, most_rank in servers]
        takeovers: dict[Failed, dict[int, Bin]] = {}
        for failed in self._failures:
            taken = assign_takeovers(
                self._unpinned,
                [item for index in failed for item in self._movable[index]],
                {index: taker for index, taker in enumerate(takers) if index not in failed},
                lambda index, failed=failed: self._caps.get(ServerAfterFailure(failed, index), MOST_LOAD),  # type: ignore[misc]
                self._reluctance,
            )
            if taken is None:
                return None
            takeovers[failed] = taken
        return takeovers

    def _servers(self, takeovers: dict[Failed, dict[int, Bin]]) -> tuple[list[Assignment], set[ServerAfterFailure]]:
        """Return servers with settings that suit all their states, and the states in which the twin refuses them."""
        states: list[dict[Failed, dict[str, float]]] = [{(): shares_of(contents)} for contents in self._bins]
        for failed, taken in takeovers.items():
            for index, more in taken.items():
                states[index][failed] = shares_of([*self._bins[index], *more])
        calls = (joblib.delayed(_chosen_settings)(self._capacity, of) for of in states)
        chosen = list(joblib.Parallel(n_jobs=-1, require="sharedmem")(calls))
        servers = [Assignment(server, of[()]) for (server, _), of in zip(chosen, states, strict=True)]
        return servers, {ServerAfterFailure(failed, index) for index, (_, bad) in enumerate(chosen) for failed in bad}

    def _take_less_over(
        self, servers: list[Assignment], takeovers: dict[Failed, dict[int, Bin]], refused: set[ServerAfterFailure]
    ) -> bool:
        """Let servers take over less in the refused states; False if one does not serve even its own adapters.

        A server that does not serve them because its slots have too high a rank is kept at a lower rank from then on.
        """
        for failed, index in sorted(refused):
            if failed:
                load = load_of(self._bins[index]) + load_of(takeovers[failed].get(index, []))
                self._caps[ServerAfterFailure(failed, index)] = self._less * load
                continue
            lower = [rank for rank in self._ranks if rank < servers[index].server.max_lora_rank]
            self._most_ranks[index] = max(lower, default=0)
            if self._most_ranks[index] < self._ranks[index]:
                return False
        return True


def _load_limit(capacity: Capacity, contents: Bin) -> float:
    """Return the best-case load that a server sustains if the traffic of all its adapters grows alike."""
    shares = shares_of(contents)
    factors = largest_factor(
        1.0, MOST_LOAD_FACTOR, LIMIT_PRECISION, lambda factor: choose_slots(capacity, shares, factor) is not None
    )
    return load_of(contents) * factors.low


def _chosen_settings(capacity: Capacity, states: dict[Failed, dict[str, float]]) -> tuple[Server, list[Failed]]:
    """Return settings with which a server serves in all these states, and the states in which it still does not.

    Of the numbers of slots that serve in all states, the one with the lowest latency in the fullest states is chosen;
    if none does, one that serves while no server has failed is preferred, then the one that serves in most states.
    """
    fullest = sorted(states.values(), key=capacity.load)[-FULLEST_STATES:]
    rank = max(capacity.server(shares, 0).max_lora_rank for shares in states.values())
    held = max(capacity.server(shares, 0).max_cpu_loras or 0 for shares in states.values())

    def server(slots: int) -> Server:
        return capacity.template.with_slots(slots, max_lora_rank=rank, max_cpu_loras=max(slots, held))

    def cost(slots: int) -> float:
        answers = [capacity.ask_on(shares, server(slots)) for shares in fullest]
        return sum(answer.e2e_mean + (0.0 if answer.ok else REFUSED_SECONDS) for answer in answers)

    most = max(states.values(), key=lambda shares: capacity.server(shares, 0).max_cpu_loras or 0)
    choices = [slots for slots in capacity.all_slot_choices(most) if server(slots).starts_on(capacity.profile)]
    if not choices:
        return server(1), list(states)
    own = choose_slots(capacity, states[()])
    fit = choose_slots(capacity, fullest[-1]) or own
    start = min(range(len(choices)), key=lambda i: abs(choices[i] - (fit.max_loras if fit else 0)))
    tried = {*downhill(choices, start, cost), *(slots for slots in choices if own and slots == own.max_loras)}
    asked: dict[int, list[Failed]] = {}
    for slots in sorted(tried, key=cost):
        asked[slots] = [
            failed for failed, shares in states.items() if not _serves_with_room(capacity, shares, server(slots))
        ]
        if not asked[slots]:
            break
    best = min(asked, key=lambda slots: (() in asked[slots], len(asked[slots])))
    return server(best), asked[best]


def _serves_with_room(capacity: Capacity, shares: dict[str, float], server: Server) -> bool:
    """Whether a server serves these shares and slightly more traffic: after a failure it is close to its limit."""
    more = {name: share * OTHER_ARRIVALS_FACTOR for name, share in shares.items()}
    return capacity.load(more) <= MOST_LOAD and all(capacity.estimate_on(each, server).ok for each in (shares, more))
