"""Lower bounds on the number of servers, of GPUs and on their price, for any placement under some profiles.

A server must get through the work (see `least_work.py`) of the requests that it has to serve, in the time that it has.
Two rules of the verdict (see `verdict.py`) say which requests these are. Under both rules, the requests that hold a
seat when the window ends need not be finished; the work that is left of them is the *overhang*. At most
``max_num_seqs`` requests hold a seat, because no request is admitted before all preempted requests are back. None of
them is expected to have more left than the longest mean rest of an answer, because the scheduler does not know how long
an answer will be.

**The queue does not grow.** From the middle of the window to its end, the number of requests that have waited over
10 s, on a server and of each adapter, grows by fewer than five or comes to at most 10 s of traffic. So of the requests
that arrive in the second half, all but these, and but those of the last 10 s, start in the second half - if not they
themselves, then as many others that arrived before them. On a server, these others may be cheaper, but not cheaper than
the cheapest adapter's requests. The requests of one adapter start in the order of their arrival, so those that start
are like those that arrived. Hence of the requests that a server receives in the second half, it must do all but 20 s of
traffic and five requests, each at least with the cheapest adapter's work. Of the requests that an adapter receives, the
server must do all but 10 s of the adapter's traffic and as much again or five requests, whichever is more, each with
the adapter's own work. (Fewer than five is at most four; the fifth is the request that may have begun its prefill in
the first half.)

**No adapter is starved.** Of the tokens of each adapter's requests that are older than 60 s at the end of the window,
at most a tenth belong to requests that were rejected, or that have neither finished nor hold a seat.

With `max_num_queued_reqs`, requests that would wait are rejected instead, and only the second rule counts.

Where lengths and prefixes are recorded with timestamps, requests may become dearer or cheaper over the window. The
requests of an adapter then count as those of the stretch that a rule judges, or as those of the window if these are
less work: some of those that start in the second half have come before it.

The first rule judges no adapter with fewer than five requests on its own; the second judges all. The bounds hold for
mean traffic (a window whose draws stay below the mean may need less) and for placements that split an adapter only
where each part receives five requests in 10 s. They leave out what makes real plans need more: slots, and the time that
each adapter in a step takes. How few adapters share a step depends on chance, and on how long requests may wait for
others of their adapter. The rule that half of the requests start within 10 s leaves this so open that a bound proved
from it would be worth little.

Where a server is a group of GPUs, the bound counts servers first: a part of a server is as large a part of each of its
GPUs.

**Settings that the planner chooses** are covered by a range of them (`SettingsRange`).

**Merged weights.** A server with merged weights serves a single adapter. Let an adapter's traffic fill d GPUs as that
of a LoRA adapter, and g < d with its weights merged. K GPUs with merged weights serve at most K / g of the traffic, so
that the adapter needs at least K + d (1 - K / g) GPUs, which falls with K, and all of it is served by K = g. As K is at
least a server's s GPUs, the adapter needs at least min(d, max(s, g)). The same holds for prices.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.placement.lower_bound.least_work import RequestKinds, SharedBy, charges, most_cached
from adaptwin.placement.lower_bound.settings_range import SettingsRange
from adaptwin.profile.hardware.gpu import typical_price
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.twin.verdict import GRACE, MIN_REQUESTS, PATIENCE, STARVED_BELOW
from adaptwin.workload.demand.expected_requests import expected_requests
from adaptwin.workload.demand.length_moments import longest_mean_rest
from adaptwin.workload.workload import Workload

ROUNDING_ERROR = 1e-9  # of sums, which must not add a GPU
MOST_COUNTED_SERVERS = 100.0  # above the price of this many of the cheapest, mixes of whole servers are not counted out


def lower_bound(
    profiles: Sequence[Profile],
    workload: Workload,
    template: Server | SettingsRange,
    factor: float = 1.0,
    *,
    spare: int = 0,
    mixed: bool = True,
    allow_merged: bool = False,
) -> int:
    """Return a lower bound on the GPUs of any placement on these profiles that serves `factor` times the mean traffic.

    Each adapter's demand is counted on the profile where it fills the smallest part of a server, times its GPUs. As
    servers are whole, the bound is a multiple of the largest number that divides the sizes of all groups.

    Args:
        profiles: Profiles of the servers.
        workload: Adapters and their traffic.
        template: Settings common to all servers, or the range of those that the planner may choose.
        factor: Factor on the traffic that all servers must serve.
        spare: Number of servers that may fail. The others have at least as many GPUs as the bound without spares.
        mixed: Whether servers of several profiles may be mixed. If not, the bound is the lowest of those on each
            profile alone.
        allow_merged: Whether servers may serve a single adapter with merged weights, on profiles that allow it.
    """
    if not workload.adapters:
        return 0
    profiles = _starting(profiles, workload, template, allow_merged=allow_merged)
    sizes = [profile.tensor_parallel_size for profile in profiles]
    by_rule = list(_demands(profiles, workload, template, factor))
    merged = list(_merged_demands(profiles, workload, template, factor)) if allow_merged else by_rule
    if not mixed:
        alone = np.max(
            [_or_merged(lora, own, 1.0).sum(axis=1) for lora, own in zip(by_rule, merged, strict=True)], axis=0
        )
        possible = [(size, servers) for size, servers in zip(sizes, alone.tolist(), strict=True) if servers < math.inf]
        return min((size * (_whole(servers) + spare) for size, servers in possible), default=1)
    each = np.array(sizes)[:, None]
    gpus = max(
        float(_or_merged((each * lora).min(axis=0), (each * own).min(axis=0), min(sizes)).sum())
        for lora, own in zip(by_rule, merged, strict=True)
    )
    return _fewest_gpus(sizes, _whole(gpus)) + spare * min(sizes)


def _or_merged(lora: NDArray[np.float64], merged: NDArray[np.float64], smallest: float) -> NDArray[np.float64]:
    """Return the least that each adapter takes, given what it takes without and with merged weights; see above."""
    return np.minimum(lora, np.maximum(smallest, merged))


def _merged_demands(
    profiles: Sequence[Profile], workload: Workload, template: Server | SettingsRange, factor: float
) -> Iterator[NDArray[np.float64]]:
    """Yield the demands of all adapters as if with merged weights; infinite on profiles that do not allow it."""
    adapters = tuple(adapter.model_copy(update={"rank": 0}) for adapter in workload.adapters)
    possible = np.array([profile.allows_merged for profile in profiles])
    for demands in _demands(profiles, workload.model_copy(update={"adapters": adapters}), template, factor):
        yield np.where(possible[:, None], demands, np.inf)


def servers_bound(
    profile: Profile,
    workload: Workload,
    template: Server | SettingsRange,
    factor: float = 1.0,
    *,
    allow_merged: bool = False,
) -> int:
    """Return a lower bound on the servers of any placement on one profile; see `lower_bound`."""
    return lower_bound([profile], workload, template, factor, allow_merged=allow_merged) // profile.tensor_parallel_size


def _whole(number: float) -> int:
    return max(1, math.ceil(number - ROUNDING_ERROR))


def _fewest_gpus(sizes: Sequence[int], gpus: int) -> int:
    """Return a lower bound on the GPUs of servers of these sizes that have at least `gpus` together."""
    step = math.gcd(*sizes)
    return max(min(sizes), step * math.ceil(gpus / step))


def cost_bound(
    profiles: Sequence[Profile],
    workload: Workload,
    template: Server | SettingsRange,
    factor: float = 1.0,
    *,
    allow_merged: bool = False,
) -> float:
    """Return a lower bound on the price per hour of any placement that serves `factor` times the mean traffic.

    Each adapter's demand is counted on the profile where the part of a server that it fills is cheapest. As servers are
    whole, the bound is the price of the cheapest mix of servers that costs at least the sum of these prices and has at
    least as many GPUs as `lower_bound` says. Raises `SpecError` if a profile has no price.
    """
    priced = {profile.name: price_of(profile) for profile in profiles}
    if not workload.adapters:
        return 0.0
    profiles = _starting(profiles, workload, template, allow_merged=allow_merged)
    prices = np.array([priced[profile.name] for profile in profiles])
    by_rule = list(_demands(profiles, workload, template, factor))
    merged = list(_merged_demands(profiles, workload, template, factor)) if allow_merged else by_rule
    each = prices[:, None]
    cost = max(
        float(_or_merged((each * lora).min(axis=0), (each * own).min(axis=0), float(prices.min())).sum())
        for lora, own in zip(by_rule, merged, strict=True)
    )
    gpus = lower_bound(profiles, workload, template, factor, allow_merged=allow_merged)
    servers = {_Priced(priced[profile.name], profile.tensor_parallel_size) for profile in profiles}
    return _cheapest_price(_without_equivalent(servers), cost, gpus)


def cost_bound_if_priced(
    profiles: Sequence[Profile],
    workload: Workload,
    template: Server | SettingsRange,
    factor: float,
    *,
    spare: int,
    allow_merged: bool,
) -> float | None:
    """Return a lower bound on the price per hour, including spare GPUs; None if a price is unknown.

    The servers that remain when GPUs in `spare` of them fail cost at least the bound without spares. Each spare server
    costs at least as much as the cheapest.
    """
    prices = [profile.server_price for profile in profiles if profile.server_price is not None]
    if len(prices) < len(profiles):
        return None
    return cost_bound(profiles, workload, template, factor, allow_merged=allow_merged) + spare * min(prices)


def price_of(profile: Profile) -> float:
    """Return the price per hour of a server of a profile, for all its GPUs; raises `SpecError` if it is unknown."""
    price = profile.server_price
    if price is None:
        typical = typical_price(profile.hardware)
        hint = f" (a typical one is {typical:.2f} US dollars for one GPU)" if typical else ""
        message = (
            f"profile {profile.name} has none{hint}: give it in the profile, as prices of the plan, or with --price"
        )
        raise SpecError(message, "price_per_hour")
    return price


class _Priced(NamedTuple):
    """A kind of server, by its price per hour and its number of GPUs."""

    price: float
    gpus: int

    def price_of_gpus(self, gpus: int) -> float:
        """Return the price of exactly this many GPUs in such servers; infinite if no number of servers has them."""
        return gpus // self.gpus * self.price if gpus % self.gpus == 0 else math.inf


def _without_equivalent(servers: set[_Priced]) -> list[_Priced]:
    """Return the servers by falling price, without those that smaller ones replace at the same price."""
    return sorted(
        (
            server
            for server in servers
            if not any(
                other.gpus < server.gpus and math.isclose(other.price_of_gpus(server.gpus), server.price)
                for other in servers
            )
        ),
        reverse=True,
    )


def _cheapest_price(servers: list[_Priced], cost: float, gpus: int) -> float:
    """Return the price of the cheapest mix of at least this cost and number of GPUs; servers are by falling price."""
    dearest, *cheaper = servers
    for_gpus = math.ceil(gpus / dearest.gpus)
    if not cheaper:
        return dearest.price * max(for_gpus, math.ceil(cost / dearest.price - ROUNDING_ERROR))
    if cost > MOST_COUNTED_SERVERS * servers[-1].price:
        return max(cost, gpus * min(server.price / server.gpus for server in servers))
    has_cheaper_gpus = any(server.price_of_gpus(dearest.gpus) <= dearest.price for server in cheaper)
    most = max(math.ceil(max(0.0, cost) / dearest.price), 0 if has_cheaper_gpus else for_gpus)
    return min(
        n * dearest.price + _cheapest_price(cheaper, cost - n * dearest.price, max(0, gpus - n * dearest.gpus))
        for n in range(most + 1)
    )


def _demands(
    profiles: Sequence[Profile], workload: Workload, template: Server | SettingsRange, factor: float
) -> Iterator[NDArray[np.float64]]:
    """Yield, by each of the two rules, the part of a server that each adapter's work fills: (profiles, adapters).

    The parts of all adapters on a server of a profile sum to at most 1 if the server and these adapters are served.
    They are infinite where no server of a profile starts with the adapter, and one of another profile does.
    """
    end = workload.duration
    stretches = (0.0, end), (end / 2, end), (0.0, max(0.0, end - GRACE))
    whole, late, old = (factor * expected_requests(workload, *stretch) for stretch in stretches)
    kinds = [RequestKinds.of(workload)]
    if _has_timestamps(workload):
        kinds += [RequestKinds.of(workload, *stretch) for stretch in stretches[1:]]
    bearable = PATIENCE * whole / end
    judged = old >= MIN_REQUESTS
    own = np.where(judged, np.maximum(0.0, late - bearable - np.maximum(MIN_REQUESTS, bearable)), 0.0)
    starts = np.array([_starts_with_each(profile, template, kinds[0]) for profile in profiles])
    possible = starts | ~starts.any(axis=0)

    def filled_by_queue(work: NDArray[np.float64], overhang: float) -> NDArray[np.float64]:
        cheapest, dearest = work.min(), work.max()
        needed = cheapest * np.maximum(0.0, late - 2.0 * bearable) + (work - cheapest) * own
        filled: NDArray[np.float64] = needed / (end / 2 + overhang + MIN_REQUESTS * dearest)
        return filled

    def filled_by_old(work: NDArray[np.float64], overhang: float) -> NDArray[np.float64]:
        return STARVED_BELOW * old * work / (end + overhang)

    measured = [_measured(profile, template, kinds, whole) for profile in profiles]
    queue = np.array([np.min(list(starmap(filled_by_queue, of[:2])), axis=0) for of in measured])  # whole window, late
    starved = np.array([np.min(list(starmap(filled_by_old, of[::2])), axis=0) for of in measured])  # whole window, old
    rejects = SettingsRange.of(template).widest.max_num_queued_reqs is not None
    for demands in (starved,) if rejects else (queue, starved):
        yield np.where(possible, demands, np.inf)


def _starting(
    profiles: Sequence[Profile], workload: Workload, template: Server | SettingsRange, *, allow_merged: bool
) -> list[Profile]:
    """Return the profiles on which a server starts with some adapter; all profiles if there is none.

    Where weights may be merged, these include profiles on which the model starts without LoRA.
    """
    kinds = RequestKinds.of(workload)
    return [
        profile
        for profile in profiles
        if _starts_with_each(profile, template, kinds).any()
        or (allow_merged and profile.allows_merged and math.isfinite(most_cached(profile, template, 0)))
    ] or list(profiles)


def _starts_with_each(profile: Profile, template: Server | SettingsRange, kinds: RequestKinds) -> NDArray[np.bool_]:
    """Return whether a server of a profile starts with each adapter, given the fewest slots that serve it."""
    by_rank = {
        rank: math.isfinite(most_cached(profile, template, rank)) for rank in {kind.rank for kind in kinds.kinds}
    }
    return np.array([by_rank[kind.rank] for kind in kinds.kinds])[kinds.of_adapter]


def _has_timestamps(workload: Workload) -> bool:
    arrivals = (workload.arrivals, *(adapter.arrivals for adapter in workload.adapters))
    return any(isinstance(each, tuple) for each in arrivals)


def _measured(
    profile: Profile,
    template: Server | SettingsRange,
    kinds: Sequence[RequestKinds],
    requests: NDArray[np.float64],
) -> list[tuple[NDArray[np.float64], float]]:
    """Return the work of a request of each adapter, shared out so that all have the most, and a server's overhang.

    There is one of them for each of `kinds`, the first of which are those of the whole window: the overhang is theirs.
    """
    found = []
    for each in kinds:
        shared_by, work = each.measure(profile, template, requests)
        found.append((work[each.of_adapter], _overhang(profile, template, kinds[0], shared_by)))
    return found


def _overhang(profile: Profile, template: Server | SettingsRange, kinds: RequestKinds, shared_by: SharedBy) -> float:
    """Return an upper bound on the seconds of work that are left of the requests that hold a seat.

    Let there be N seats, a KV cache of K tokens and a mean rest of M tokens. The requests are in N M more decodes. What
    they hold by now, at most K tokens, is held and read M times more. What they add to it comes to M^2 each, as M
    bounds the mean rest at any age. With prefix caching, each of them may read up to H more tokens, which it shares.
    """
    settings = SettingsRange.of(template).widest
    longest = settings.max_model_len or profile.model.max_model_len
    rest = 1.0 + max(longest_mean_rest(lengths, longest) for lengths in {kind.lengths for kind in kinds.kinds})
    _, seats = settings.budgets(profile)
    ranks = {kind.rank for kind in kinds.kinds}
    charged = np.max([charges(profile, template, rank, shared_by) for rank in ranks], axis=0)
    per_token, per_step, per_held, per_read, _ = charged.tolist()
    cached = max(filter(math.isfinite, (most_cached(profile, template, rank) for rank in ranks)), default=0.0)
    held = cached + seats * rest
    read = held
    if settings.with_defaults(profile).enable_prefix_caching:
        read += seats * max(kind.openings.longest for kind in kinds.kinds)
    return float(rest * (seats * (per_token + per_step) + held * per_held + read * per_read))
