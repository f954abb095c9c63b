"""The cached blocks of the compiled twin, and their places in the queue of free blocks.

Blocks are not kept one by one. What one request had first and others may share is kept in *runs* of consecutive blocks,
usually one for a system prompt. All other blocks are counted. Invariants:

- Only the first ``kept[r]`` blocks of request r may be shared. Those below ``first[r]`` have contents that an earlier
  request had first: `source[r]`, or one that this leads to. All of these requests had some of them first.
- A run contains the blocks `start` to `start` + `blocks` of what its `owner` had first. A preempted request may have a
  run of its own as well, which nobody else can hit; its `owner` is then negative.
- `first_run` and `last_run` are the ends of an owner's list of runs, in the order in which they were cached. Runs with
  the same blocks are copies, computed apart; the first of them is hit.
- The seat s holds ``held[s, :records[s]]``, which together are the first ``filled[s]`` blocks of its request. A record
  is a run with the end of what is held. If that is further than the end of the run, then the run was split, and `rest`
  leads to what followed.
- The blocks that a decode fills become runs when someone looks (`catch_up`), as a decode is not touched until then.
- The free queue is a ring of the runs that nobody holds, closed by the run 0. The last block of a run is taken first.
  `gap` is the number of free blocks that nobody can hit between a run and the one before.
- Blocks are taken from the front of the queue later than from `free_blocks`: `take_due` does it before anyone looks at
  the queue. `listed` is the number of free blocks by then.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import called, compiled, inlined
from adaptwin.twin.server import Limits
from adaptwin.workload.drawing.prefixes import NO_PREFIXES
from adaptwin.workload.drawing.requests import Requests

RING = 0  # the run that closes the ring
_RUN = np.dtype(
    [
        ("owner", np.int32),  # or -1 - r for what only request r can hit
        ("start", np.int32),
        ("blocks", np.int32),
        ("holders", np.int32),
        ("rest", np.int32),
        ("earlier", np.int32),  # in the list of the owner
        ("later", np.int32),
        ("gap", np.int32),
        ("before", np.int32),  # in the free queue
        ("after", np.int32),  # of a run that is not in use: the next such run
    ]
)
_RECORD = np.dtype([("run", np.int32), ("end", np.int32)])
_CACHE_STATE = np.dtype(
    [
        ("queued", np.int64),  # runs in the free queue
        ("listed", np.int64),
        ("unused", np.int64),  # a run that is not in use any more; or -1
        ("fresh", np.int64),  # the first run that has never been in use
        ("publishers", np.int64),  # decodes that may yet fill blocks that others hit
        ("queried_tokens", np.int64),
        ("hit_tokens", np.int64),
    ]
)


class PrefixCache(NamedTuple):
    """The blocks that can be hit; most arrays by request are empty if no prompt shares a block with another."""

    is_on: bool
    uncached_first: bool
    block_size: int
    is_async: bool
    source: NDArray[np.int32]  # (requests,), or -1
    first: NDArray[np.int32]  # (requests,)
    kept: NDArray[np.int32]  # (requests,)
    first_run: NDArray[np.int32]  # (requests,), or -1
    last_run: NDArray[np.int32]  # (requests,)
    seat_of: NDArray[np.int32]  # (requests,), -1 without a seat
    own: NDArray[np.int32]  # (requests,), the run that only this request can hit, or -1; empty if caching is off
    run: NDArray[np.void]  # (kv_blocks + 1,)
    held: NDArray[np.void]  # (max_num_seqs, most of `kept`)
    records: NDArray[np.int32]  # (max_num_seqs,)
    filled: NDArray[np.int32]  # (max_num_seqs,)
    publishes: NDArray[np.bool_]  # (max_num_seqs,), whether the seat is among the publishers
    found: NDArray[np.int32]  # (most of `kept`,), requests or runs that a function has found on its way
    state: NDArray[np.void]  # (1,)


def empty_cache(limits: Limits, requests: Requests) -> PrefixCache:
    """Return the cache before the first request."""
    is_on, seats = limits.prefix_caching, limits.max_num_seqs
    source, first, kept = _links_between(requests.prefixes if is_on else NO_PREFIXES, limits.block_size)
    most = int(kept.max(initial=0))
    if not most:  # nothing that prompts share fills a block
        source, first, kept = source[:0], first[:0], kept[:0]
    state = np.zeros(1, _CACHE_STATE)
    state["unused"], state["fresh"] = -1, RING + 1
    return PrefixCache(
        is_on=is_on,
        uncached_first=limits.uncached_first,
        block_size=limits.block_size,
        is_async=limits.async_scheduling,
        source=source,
        first=first,
        kept=kept,
        first_run=np.full(len(kept), -1, np.int32),
        last_run=np.full(len(kept), -1, np.int32),
        seat_of=np.full(len(kept), -1, np.int32),
        own=np.full(len(requests.arrival) if is_on else 0, -1, np.int32),
        run=np.zeros(limits.kv_blocks + 1 if is_on else 0, _RUN),
        held=np.empty((seats, most), _RECORD),
        records=np.zeros(seats, np.int32),
        filled=np.zeros(seats, np.int32),
        publishes=np.zeros(seats, np.bool_),
        found=np.empty(most + 1, np.int32),
        state=state,
    )


@compiled
def _links_between(prefixes, block_size):
    """Return `source`, `first` and `kept` of a cache."""
    count = len(prefixes.source)
    source, first, kept = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    for r in range(count):
        first[r] = kept[r] = prefixes.tokens[r] // block_size
        s = prefixes.source[r] if first[r] > 0 else np.int32(-1)
        while s >= 0 and first[s] >= first[r]:  # it had none of these blocks first
            s = source[s]
        source[r] = s
        if s >= 0:
            kept[s] = max(kept[s], first[r])
    return source, first, kept


@inlined
def take_due(cache, free_blocks):
    """Take the blocks that are no longer free from the front of the queue; what was cached in them is lost."""
    state = cache.state[0]
    if state.queued == 0:
        cache.run[RING].gap = free_blocks
    elif state.listed > free_blocks:
        _take_from_front(cache, state.listed - free_blocks)
    state.listed = free_blocks


@called
def _take_from_front(cache, blocks):
    """Take blocks from the front of the queue."""
    ring = cache.run[RING]
    while blocks > 0:
        x = np.int64(ring.after)
        run = cache.run[x]
        taken = min(blocks, np.int64(run.gap))
        run.gap -= taken
        blocks -= taken
        if blocks > 0:
            taken = min(blocks, np.int64(run.blocks))
            run.blocks -= taken
            blocks -= taken
            if run.blocks == 0:
                dequeue(cache, x)
                discard(cache, x)


@inlined
def discard(cache, x):
    """Let nobody hit a run any more, and put it aside for another use."""
    run, state = cache.run[x], cache.state[0]
    if run.owner < 0:
        cache.own[-1 - run.owner] = -1
    else:
        if run.earlier >= 0:
            cache.run[run.earlier].later = run.later
        else:
            cache.first_run[run.owner] = run.later
        if run.later >= 0:
            cache.run[run.later].earlier = run.earlier
        else:
            cache.last_run[run.owner] = run.earlier
    run.after = state.unused
    state.unused = x


@inlined
def new_run(cache, owner, start, blocks, holders):
    """Return a run that is in no list and not in the queue."""
    state = cache.state[0]
    x = state.unused
    if x >= 0:
        state.unused = cache.run[x].after
    else:
        x = state.fresh
        state.fresh += 1
    run = cache.run[x]
    run.owner, run.start, run.blocks, run.holders, run.rest = owner, start, blocks, holders, -1
    return x


@inlined
def insert_run(cache, x, earlier):
    """Put a run into the list of its owner, after another one or, without one, in front."""
    run = cache.run[x]
    run.earlier = earlier
    if earlier >= 0:
        run.later = cache.run[earlier].later
        cache.run[earlier].later = x
    else:
        run.later = cache.first_run[run.owner]
        cache.first_run[run.owner] = x
    if run.later >= 0:
        cache.run[run.later].earlier = x
    else:
        cache.last_run[run.owner] = x


@inlined
def dequeue(cache, x):
    """Take a run out of the queue; the blocks in front of it stay."""
    run = cache.run[x]
    cache.run[run.before].after = run.after
    following = cache.run[run.after]
    following.before = run.before
    following.gap += run.gap
    cache.state[0].queued -= 1


@inlined
def enqueue(cache, x, following):
    """Put a run into the queue in front of another, behind the blocks that lie in front of that one."""
    run, other = cache.run[x], cache.run[following]
    run.gap, other.gap = other.gap, 0
    run.before, run.after = other.before, following
    cache.run[other.before].after = x
    other.before = x
    cache.state[0].queued += 1


@called
def split(cache, x, place):
    """Split a run, which keeps the blocks below `place`; return the run of the others."""
    run = cache.run[x]
    blocks = place - run.start
    rest = new_run(cache, run.owner, place, run.blocks - blocks, run.holders)
    cache.run[rest].rest = run.rest
    run.blocks, run.rest = blocks, rest
    insert_run(cache, rest, x)
    if run.holders == 0:
        enqueue(cache, rest, x)  # the last blocks are taken first
    return rest


@inlined
def covering(cache, owner, i):
    """Return the run from which block i of what the owner had first is hit, and the end of what is hit there."""
    end = np.int64(1) << np.int64(31)
    x = np.int64(cache.first_run[owner])
    while x >= 0:
        run = cache.run[x]
        if run.start <= i < run.start + run.blocks:
            return x, min(end, np.int64(run.start + run.blocks))
        if run.start > i:  # from here on, this copy is the first
            end = min(end, np.int64(run.start))
        x = np.int64(run.later)
    return x, i
