"""The cached blocks of the compiled twin: those that a request may hit, and their places in the free queue.

Blocks are not kept one by one. What one request had first and others may share is kept in *runs* of consecutive blocks,
usually one for a system prompt. All other blocks are counted. Invariants:

- Only the first ``kept[r]`` blocks of request r may be shared. Those below ``first[r]`` have contents that an earlier
  request had first: `source[r]`, or one that this leads to. `source` leads only to requests that had some of them first.
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

_RING = 0  # the run that closes the ring
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
    source, first, kept = _links(requests.prefixes if is_on else NO_PREFIXES, limits.block_size)
    most = int(kept.max(initial=0))
    if not most:  # nothing that prompts share fills a block
        source, first, kept = source[:0], first[:0], kept[:0]
    state = np.zeros(1, _CACHE_STATE)
    state["unused"], state["fresh"] = -1, _RING + 1
    return PrefixCache(
        is_on=is_on,
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
def _links(prefixes, block_size):
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
def is_plain(cache, request):
    """Whether a waiting request has nothing to do with cached blocks: it hits none, and others hit none of its own."""
    return not cache.is_on or ((len(cache.kept) == 0 or cache.kept[request] == 0) and cache.own[request] < 0)


@inlined
def settle(cache, free_blocks):
    """Take the blocks that are no longer free from the front of the queue; what was cached in them is lost."""
    state = cache.state[0]
    if state.queued == 0:
        cache.run[_RING].gap = free_blocks
    elif state.listed > free_blocks:
        _evict(cache, state.listed - free_blocks)
    state.listed = free_blocks


@called
def _evict(cache, blocks):
    """Take blocks from the front of the queue."""
    ring = cache.run[_RING]
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
                _leave_queue(cache, x)
                _drop(cache, x)


@inlined
def _drop(cache, x):
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
def _new_run(cache, owner, start, blocks, holders):
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
def _insert(cache, x, earlier):
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
def _leave_queue(cache, x):
    """Take a run out of the queue; the blocks in front of it stay."""
    run = cache.run[x]
    cache.run[run.before].after = run.after
    following = cache.run[run.after]
    following.before = run.before
    following.gap += run.gap
    cache.state[0].queued -= 1


@inlined
def _enter_queue(cache, x, following):
    """Put a run into the queue in front of another, behind the blocks that lie in front of that one."""
    run, other = cache.run[x], cache.run[following]
    run.gap, other.gap = other.gap, 0
    run.before, run.after = other.before, following
    cache.run[other.before].after = x
    other.before = x
    cache.state[0].queued += 1


@called
def _split(cache, x, place):
    """Split a run, which keeps the blocks below `place`; return the run of the others."""
    run = cache.run[x]
    blocks = place - run.start
    rest = _new_run(cache, run.owner, place, run.blocks - blocks, run.holders)
    cache.run[rest].rest = run.rest
    run.blocks, run.rest = blocks, rest
    _insert(cache, rest, x)
    if run.holders == 0:
        _enter_queue(cache, rest, x)  # the last blocks are taken first
    return rest


@called
def _covering(cache, owner, i):
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


@inlined
def _owners(cache, request, blocks):
    """Find the requests that had the first blocks of a request first, the last of them in front; return their number."""
    count, owner = 0, np.int64(request)
    while blocks > 0:
        if cache.first[owner] < blocks:
            cache.found[count] = owner
            count += 1
            blocks = np.int64(cache.first[owner])
        owner = np.int64(cache.source[owner])
    return count


@called
def find_hits(cache, seats, request, total, step):
    """Return how many first blocks of a request with `total` tokens are cached, and how many of these nobody holds.

    The queue must be settled. The last token is always left to be computed.
    """
    hits = idle = np.int64(0)
    if len(cache.kept) > 0:
        most = min((total - 1) // cache.block_size, np.int64(cache.kept[request]))
        owners = _owners(cache, request, most)
        for j in range(owners - 1, -1, -1):
            owner = np.int64(cache.found[j])
            last = np.int64(cache.first[cache.found[j - 1]]) if j > 0 else most
            if owner != request:
                catch_up(cache, seats, owner, step)
            while hits < last:
                x, end = _covering(cache, owner, hits)
                if x < 0:
                    break
                end = min(end, last)
                if cache.run[x].holders == 0:
                    idle += end - hits
                hits = end
            if hits < last:
                break
    if cache.own[request] >= 0:  # what it alone can hit is lost before what it shares, as it lies in front of it
        blocks = np.int64(cache.run[cache.own[request]].blocks)
        hits += blocks
        idle += blocks
    return hits, idle


@called
def take_hits(cache, s, request, hits):
    """Let the request on a seat hold the first blocks that it hits, as many as `find_hits` has found."""
    state = cache.state[0]
    own = np.int64(cache.own[request])
    if own >= 0:
        blocks = np.int64(cache.run[own].blocks)
        hits -= blocks
        state.listed -= blocks
        _leave_queue(cache, own)
        _drop(cache, own)
    i = np.int64(0)
    records = 0
    owners = _owners(cache, request, hits) if hits > 0 else 0
    for j in range(owners - 1, -1, -1):
        owner = np.int64(cache.found[j])
        last = np.int64(cache.first[cache.found[j - 1]]) if j > 0 else hits
        while i < last:
            x, end = _covering(cache, owner, i)
            end = min(end, last)
            if cache.run[x].start < i:
                x = _split(cache, x, i)
            if end < cache.run[x].start + cache.run[x].blocks:
                _split(cache, x, end)
            run = cache.run[x]
            if run.holders == 0:
                _leave_queue(cache, x)
                state.listed -= run.blocks
            run.holders += 1
            record = cache.held[s, records]
            record.run, record.end = x, end
            records += 1
            i = end
    cache.records[s], cache.filled[s] = records, hits


@inlined
def publish(cache, seats, s, request, full, step):
    """Let others hit the first `full` blocks of the request on a seat; the queue must be settled."""
    if len(cache.kept) > 0:
        end = min(np.int64(full), np.int64(cache.kept[request]))
        while cache.filled[s] < end:
            i, last, owner = np.int64(cache.filled[s]), end, np.int64(request)
            while i < cache.first[owner]:
                last = min(last, np.int64(cache.first[owner]))
                owner = np.int64(cache.source[owner])
            if owner != request:
                catch_up(cache, seats, owner, step)  # what it has cached by now is before this in the list
            _add(cache, s, owner, i, last)


@called
def _add(cache, s, owner, i, end):
    """Cache blocks that the request on a seat has filled, of what the owner had first; they come last in its list."""
    records = np.int64(cache.records[s])
    cache.filled[s] = end
    if records > 0:
        record = cache.held[s, records - 1]
        run = cache.run[record.run]
        if run.owner == owner and run.holders == 1 and run.later < 0 and run.start + run.blocks == i == record.end:
            run.blocks += end - i
            record.end = end
            return
    x = _new_run(cache, owner, i, end - i, 1)
    _insert(cache, x, np.int64(cache.last_run[owner]))
    record = cache.held[s, records]
    record.run, record.end = x, end
    cache.records[s] = records + 1


@called
def catch_up(cache, seats, request, step):
    """Let others hit the blocks that a decode has filled, once the running requests of the step are scheduled."""
    s = np.int64(cache.seat_of[request])
    if s >= 0 and cache.publishes[s]:
        full = cached_tokens(cache, seats, s, step, True) // cache.block_size
        end = min(full, np.int64(cache.kept[request]))
        if cache.filled[s] < end:
            _add(cache, s, request, np.int64(cache.filled[s]), end)


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
    if len(cache.kept) > 0 and cache.kept[request] > cache.filled[s]:
        cache.publishes[s] = True
        cache.state[0].publishers += 1


@inlined
def give_back(cache, seats, s, request, cached, blocks, free_blocks, step, returns):
    """Free the blocks of a request, of which `cached` tokens are cached; return how many become free.

    What is cached can be hit until the blocks are taken, the last ones first. A request that returns hits what it alone
    can hit.
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
    ring, freed = cache.run[_RING], blocks - cache.filled[s]
    cache.run[ring.after].gap += blocks - full  # not cached: to the front
    own = full - np.int64(cache.filled[s])
    if returns and own > 0:
        x = _new_run(cache, -1 - request, 0, own, 0)
        cache.own[request] = x
        _enter_queue(cache, x, _RING)
    else:
        ring.gap += own
    for j in range(cache.records[s] - 1, -1, -1):
        freed += _release(cache, cache.held[s, j].run, cache.held[s, j].end)
    cache.records[s] = cache.filled[s] = 0
    state.listed += freed
    return freed


@inlined
def _release(cache, x, end):
    """Let a request no longer hold a run, nor what was split from it up to `end`; return how many blocks become free."""
    count = 0
    cache.found[0] = x
    while cache.run[cache.found[count]].start + cache.run[cache.found[count]].blocks < end:
        cache.found[count + 1] = cache.run[cache.found[count]].rest
        count += 1
    freed = np.int64(0)
    for k in range(count, -1, -1):
        run = cache.run[cache.found[k]]
        run.holders -= 1
        if run.holders == 0:
            _enter_queue(cache, cache.found[k], _RING)
            freed += run.blocks
    return freed
