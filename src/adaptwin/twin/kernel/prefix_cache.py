"""The cached blocks of the compiled twin: those that a later request may hit, and their places in the free queue.

Blocks are kept one by one only where another request may share them; these are *entries*. All others are counted: a
request of its own contents costs nothing here unless it is preempted. Invariants:

- The first ``kept[r]`` blocks of request r may be shared. Blocks below ``first[r]`` have contents that an earlier
  request had first: `source[r]`, or one before it. Block i that r had first has the contents ``base[r] + i``.
- An entry stands for a cached block with certain contents, or for the blocks that a preempted request alone can hit
  (`own`). `copy` is the first entry with certain contents, and `next_copy` the one that was cached after it.
- The seat s holds the entries ``held[s, :holding[s]]``, which are the first blocks of its request. A decode's further
  blocks become entries when someone looks (`catch_up`): they fill up without being touched.
- The free queue is a ring of the entries that no request holds, closed by the entry 0. `gap` is the number of free
  blocks in front of an entry that cannot be hit, behind the entry before. ``gap[0]`` is the number at the end.
- Blocks are taken from the front of the queue later than from `free_blocks`: `settle` does it before anyone looks at
  the queue. `listed` is the number of free blocks by then.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import called, compiled, inlined
from adaptwin.twin.server import Limits
from adaptwin.workload.drawing.prefixes import NO_PREFIXES
from adaptwin.workload.drawing.requests import Requests

_RING = 0  # the entry that closes the ring
_ENTRY = np.dtype(
    [
        ("contents", np.int64),  # or -1 - r for blocks that only request r can hit
        ("blocks", np.int32),
        ("holders", np.int32),
        ("gap", np.int32),
        ("before", np.int32),
        ("after", np.int32),  # of an entry that is not in use: the next such entry
        ("next_copy", np.int32),  # or -1
    ]
)
_CACHE_STATE = np.dtype(
    [
        ("queued", np.int64),  # entries in the free queue
        ("listed", np.int64),
        ("unused", np.int64),  # an entry that is not in use any more; or -1
        ("fresh", np.int64),  # the first entry that has never been in use
        ("publishers", np.int64),  # decodes that may yet fill blocks that others hit
        ("queried_tokens", np.int64),
        ("hit_tokens", np.int64),
    ]
)


class PrefixCache(NamedTuple):
    """The blocks that can be hit; arrays by request are empty if no prompt shares a block with another."""

    is_on: bool
    block_size: int
    is_async: bool
    source: NDArray[np.int32]  # (requests,)
    first: NDArray[np.int32]  # (requests,)
    kept: NDArray[np.int32]  # (requests,)
    base: NDArray[np.int64]  # (requests,)
    seat_of: NDArray[np.int32]  # (requests,), -1 without a seat
    copy: NDArray[np.int32]  # (contents,), -1 if not cached
    own: NDArray[np.int32]  # (requests,), an entry, or -1; empty if prefix caching is off
    entry: NDArray[np.void]  # (kv_blocks + 1,)
    held: NDArray[np.int32]  # (max_num_seqs, most of `kept`)
    holding: NDArray[np.int32]  # (max_num_seqs,)
    publishes: NDArray[np.bool_]  # (max_num_seqs,), whether the seat is among the publishers
    path: NDArray[np.int64]  # (most of `kept`,), contents of the first blocks of the request that is looked up
    state: NDArray[np.void]  # (1,)


def empty_cache(limits: Limits, requests: Requests) -> PrefixCache:
    """Return the cache before the first request."""
    is_on, seats = limits.prefix_caching, limits.max_num_seqs
    source, first, kept, base, contents = _links(requests.prefixes if is_on else NO_PREFIXES, limits.block_size)
    if not contents:  # nothing that prompts share fills a block
        source, first, kept, base = (array[:0] for array in (source, first, kept, base))
    most = int(kept.max(initial=0))
    state = np.zeros(1, _CACHE_STATE)
    state["unused"], state["fresh"] = -1, _RING + 1
    return PrefixCache(
        is_on=is_on,
        block_size=limits.block_size,
        is_async=limits.async_scheduling,
        source=source,
        first=first,
        kept=kept,
        base=base,
        seat_of=np.full(len(kept), -1, np.int32),
        copy=np.full(contents, -1, np.int32),
        own=np.full(len(requests.arrival) if is_on else 0, -1, np.int32),
        entry=np.zeros(limits.kv_blocks + 1 if is_on else 0, _ENTRY),
        held=np.empty((seats, most), np.int32),
        holding=np.zeros(seats, np.int32),
        publishes=np.zeros(seats, np.bool_),
        path=np.empty(most, np.int64),
        state=state,
    )


@compiled
def _links(prefixes, block_size):
    """Return `source`, `first`, `kept` and `base` of a cache, and the number of contents."""
    count = len(prefixes.source)
    source, first = np.empty(count, np.int32), np.empty(count, np.int32)
    kept, base = np.empty(count, np.int32), np.empty(count, np.int64)
    for r in range(count):
        first[r] = kept[r] = prefixes.tokens[r] // block_size
        s = prefixes.source[r] if first[r] > 0 else np.int32(-1)
        while s >= 0 and first[s] >= first[r]:  # it had none of these blocks first
            s = source[s]
        source[r] = s
        if s >= 0:
            kept[s] = max(kept[s], first[r])
    contents = np.int64(0)
    for r in range(count):
        base[r] = contents - first[r]
        contents += kept[r] - first[r]
    return source, first, kept, base, contents


@inlined
def is_plain(cache, request):
    """Whether a waiting request has nothing to do with cached blocks: none can be hit by it or, later, by another."""
    return not cache.is_on or ((len(cache.kept) == 0 or cache.kept[request] == 0) and cache.own[request] < 0)


@inlined
def settle(cache, free_blocks):
    """Take the blocks that are no longer free from the front of the queue; those that were cached are lost."""
    state = cache.state[0]
    if state.queued == 0:
        cache.entry[_RING].gap = free_blocks
    elif state.listed > free_blocks:
        _evict(cache, state.listed - free_blocks)
    state.listed = free_blocks


@called
def _evict(cache, blocks):
    """Take blocks from the front of the queue."""
    ring = cache.entry[_RING]
    while blocks > 0:
        e = np.int64(ring.after)
        entry = cache.entry[e]
        taken = min(blocks, np.int64(entry.gap))
        entry.gap -= taken
        blocks -= taken
        if blocks > 0:
            taken = min(blocks, np.int64(entry.blocks))
            entry.blocks -= taken
            blocks -= taken
            if entry.blocks == 0:
                _unlink(cache, e)
                _forget(cache, e)
                _drop(cache, e)


@inlined
def _forget(cache, e):
    """Let nobody hit the entry any more."""
    contents = cache.entry[e].contents
    if contents < 0:
        cache.own[-1 - contents] = -1
        return
    following = cache.entry[e].next_copy
    if cache.copy[contents] == e:
        cache.copy[contents] = following
    else:
        other = np.int64(cache.copy[contents])
        while cache.entry[other].next_copy != e:
            other = np.int64(cache.entry[other].next_copy)
        cache.entry[other].next_copy = following


@inlined
def _drop(cache, e):
    """Put an entry aside for another use."""
    state = cache.state[0]
    cache.entry[e].after = state.unused
    state.unused = e


@inlined
def _new_entry(cache, contents, blocks, holders):
    """Return an entry; it is neither in the queue nor can it be hit."""
    state = cache.state[0]
    e = state.unused
    if e >= 0:
        state.unused = cache.entry[e].after
    else:
        e = state.fresh
        state.fresh += 1
    entry = cache.entry[e]
    entry.contents, entry.blocks, entry.holders, entry.next_copy = contents, blocks, holders, -1
    return e


@inlined
def _unlink(cache, e):
    """Take an entry out of the queue; the blocks in front of it stay."""
    entry = cache.entry[e]
    cache.entry[entry.before].after = entry.after
    following = cache.entry[entry.after]
    following.before = entry.before
    following.gap += entry.gap
    cache.state[0].queued -= 1


@inlined
def _append(cache, e):
    """Put an entry at the end of the queue."""
    entry, ring = cache.entry[e], cache.entry[_RING]
    entry.gap, ring.gap = ring.gap, 0
    entry.before, entry.after = ring.before, _RING
    cache.entry[ring.before].after = e
    ring.before = e
    cache.state[0].queued += 1


@called
def find_hits(cache, seats, request, total, step):
    """Return how many first blocks of a request with `total` tokens are cached, and how many of these nobody holds.

    The queue must be settled. The last token is always left to be computed.
    """
    most = (total - 1) // cache.block_size
    shared = np.int64(0)
    if len(cache.kept) > 0:
        shared = _look_up_path(cache, seats, request, min(most, np.int64(cache.kept[request])), step)
    hits = idle = np.int64(0)
    while hits < shared and cache.copy[cache.path[hits]] >= 0:
        idle += cache.entry[cache.copy[cache.path[hits]]].holders == 0
        hits += 1
    if cache.own[request] >= 0:  # what a request alone can hit is lost before what it shares: it lies in front of it
        blocks = np.int64(cache.entry[cache.own[request]].blocks)
        hits += blocks
        idle += blocks
    return hits, idle


@inlined
def _look_up_path(cache, seats, request, blocks, step):
    """Write the contents of a request's first blocks to `path`, and return their number."""
    owner, end = np.int64(request), blocks
    while end > 0:
        if owner != request:
            catch_up(cache, seats, owner, step)
        first, base = np.int64(cache.first[owner]), cache.base[owner]
        for i in range(first, end):
            cache.path[i] = base + i
        end = min(end, first)
        owner = np.int64(cache.source[owner])
    return blocks


@called
def take_hits(cache, s, request, hits):
    """Let the request on a seat hold the blocks that it hits, as `find_hits` has just found them."""
    state = cache.state[0]
    own = np.int64(cache.own[request])
    if own >= 0:
        blocks = np.int64(cache.entry[own].blocks)
        hits -= blocks
        state.listed -= blocks
        _unlink(cache, own)
        _forget(cache, own)
        _drop(cache, own)
    for i in range(hits):
        e = np.int64(cache.copy[cache.path[i]])
        if cache.entry[e].holders == 0:
            _unlink(cache, e)
            state.listed -= 1
        cache.entry[e].holders += 1
        cache.held[s, i] = e
    cache.holding[s] = hits


@inlined
def publish(cache, seats, s, request, full, step):
    """Let others hit the first `full` blocks of the request on a seat; the queue must be settled."""
    if len(cache.kept) > 0:
        for i in range(cache.holding[s], min(np.int64(full), np.int64(cache.kept[request]))):
            _add(cache, s, i, _contents(cache, seats, request, i, step))


@inlined
def _contents(cache, seats, request, i, step):
    """Return the contents of a block, of which its first owner may have to cache more before."""
    owner = np.int64(request)
    while i < cache.first[owner]:
        owner = np.int64(cache.source[owner])
    if owner != request:
        catch_up(cache, seats, owner, step)
    return cache.base[owner] + i


@inlined
def _add(cache, s, i, contents):
    """Cache block i of the request on a seat, which becomes an entry; it comes after others with its contents."""
    e = _new_entry(cache, contents, 1, 1)
    cache.held[s, i] = e
    cache.holding[s] = i + 1
    other = np.int64(cache.copy[contents])
    if other < 0:
        cache.copy[contents] = e
        return
    while cache.entry[other].next_copy >= 0:
        other = np.int64(cache.entry[other].next_copy)
    cache.entry[other].next_copy = e


@called
def catch_up(cache, seats, request, step):
    """Let others hit the blocks that a decode has filled, once the running requests of the step are scheduled."""
    s = np.int64(cache.seat_of[request])
    if s >= 0 and cache.publishes[s]:
        full = cached_tokens(cache, seats, s, step, True) // cache.block_size
        for i in range(cache.holding[s], min(full, np.int64(cache.kept[request]))):
            _add(cache, s, i, cache.base[request] + i)


@inlined
def cached_tokens(cache, seats, s, step, is_scheduled):
    """Tokens of a decode whose blocks are cached as far as these fill them, while `step` is planned.

    They are those computed by the end of the step, or by its beginning if the request is not scheduled yet. With
    asynchronous scheduling a token is cached only when it is known, one step later, except those of the prompt. A
    request whose last token is in flight is not scheduled.
    """
    seat = seats.seat[s]
    tokens = seat.context0 + step - seat.started - 1 + is_scheduled
    if cache.is_async:
        tokens -= 1 + (is_scheduled and seat.last < step)
    return max(seat.context0, tokens)


@inlined
def takes_seat(cache, s, request):
    """Note the seat of a request that is admitted."""
    if len(cache.kept) > 0:
        cache.seat_of[request] = s


@inlined
def starts_decode(cache, s, request):
    """Note whether the answer of a request may fill blocks that others hit."""
    if len(cache.kept) > 0 and cache.kept[request] > cache.holding[s]:
        cache.publishes[s] = True
        cache.state[0].publishers += 1


@inlined
def give_back(cache, seats, s, request, cached, blocks, free_blocks, step, returns):
    """Free the blocks of a request, of which `cached` tokens are cached; return how many become free.

    They are cached until they are taken. If the request returns, it hits those that it alone can hit. The last blocks
    are taken first.
    """
    if not cache.is_on or (cache.state[0].queued == 0 and not returns and len(cache.kept) == 0):
        return blocks
    return _give_back(cache, seats, s, request, cached // cache.block_size, blocks, free_blocks, step, returns)


@called
def _give_back(cache, seats, s, request, full, blocks, free_blocks, step, returns):
    state = cache.state[0]
    settle(cache, free_blocks)
    publish(cache, seats, s, request, full, step)
    if cache.publishes[s]:
        cache.publishes[s] = False
        state.publishers -= 1
    if len(cache.kept) > 0:
        cache.seat_of[request] = -1
    holding = np.int64(cache.holding[s])
    cache.holding[s] = 0
    ring, freed = cache.entry[_RING], blocks - holding
    cache.entry[ring.after].gap += blocks - full  # not cached: to the front
    own = full - holding
    if returns and own > 0:
        e = _new_entry(cache, -1 - request, own, 0)
        cache.own[request] = e
        _append(cache, e)
    else:
        ring.gap += own
    for i in range(holding - 1, -1, -1):
        e = np.int64(cache.held[s, i])
        cache.entry[e].holders -= 1
        if cache.entry[e].holders == 0:
            _append(cache, e)
            freed += 1
    state.listed += freed
    return freed
