"""What requests do with cached blocks in the compiled twin: they hit some, fill others, and give all back.

The blocks and their invariants stand in `cached_runs`. The order of the calls follows vLLM's: in a step, the running
requests are scheduled before waiting ones look for hits, and requests leave in the order of their admission.
"""

import numpy as np

from adaptwin.jit import called, inlined
from adaptwin.twin.kernel.cached_runs import (
    RING,
    covering,
    dequeue,
    discard,
    enqueue,
    insert_run,
    new_run,
    split,
    take_due,
)


@inlined
def is_plain(cache, request):
    """Whether a waiting request has nothing to do with cached blocks: it hits none, and others hit none of its own."""
    return not cache.is_on or ((len(cache.kept) == 0 or cache.kept[request] == 0) and cache.own[request] < 0)


@inlined
def _find_owners(cache, request, blocks):
    """Find the requests that had a request's first blocks first, the last in front; return their number."""
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
        hits, idle = _find_shared(cache, seats, request, most, step)
    if cache.own[request] >= 0:  # what it alone can hit is lost before what it shares, as it lies in front of it
        blocks = np.int64(cache.run[cache.own[request]].blocks)
        hits += blocks
        idle += blocks
    return hits, idle


@inlined
def _find_shared(cache, seats, request, most, step):
    """Return how many of the first `most` blocks of a request are cached, and how many of these nobody holds."""
    hits = idle = np.int64(0)
    owners = _find_owners(cache, request, most)
    for j in range(owners - 1, -1, -1):
        owner = np.int64(cache.found[j])
        last = np.int64(cache.first[cache.found[j - 1]]) if j > 0 else most
        if owner != request:
            catch_up(cache, seats, owner, step)
        while hits < last:
            x, end = covering(cache, owner, hits)
            if x < 0:
                return hits, idle
            end = min(end, last)
            if cache.run[x].holders == 0:
                idle += end - hits
            hits = end
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
        dequeue(cache, own)
        discard(cache, own)
    i = np.int64(0)
    records = 0
    owners = _find_owners(cache, request, hits) if hits > 0 else 0
    for j in range(owners - 1, -1, -1):
        owner = np.int64(cache.found[j])
        last = np.int64(cache.first[cache.found[j - 1]]) if j > 0 else hits
        while i < last:
            x, end = covering(cache, owner, i)
            end = min(end, last)
            if cache.run[x].start < i:
                x = split(cache, x, i)
            if end < cache.run[x].start + cache.run[x].blocks:
                split(cache, x, end)
            run = cache.run[x]
            if run.holders == 0:
                dequeue(cache, x)
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
            _extend(cache, s, owner, i, last)


@called
def _extend(cache, s, owner, i, end):
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
    x = new_run(cache, owner, i, end - i, 1)
    insert_run(cache, x, np.int64(cache.last_run[owner]))
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
            _extend(cache, s, request, np.int64(cache.filled[s]), end)


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
    return _free_all(cache, seats, s, request, cached // cache.block_size, blocks, free_blocks, step, returns)


@called
def _free_all(cache, seats, s, request, full, blocks, free_blocks, step, returns):
    state = cache.state[0]
    take_due(cache, free_blocks)
    publish(cache, seats, s, request, full, step)
    if cache.publishes[s]:
        cache.publishes[s] = False
        state.publishers -= 1
    if len(cache.kept) > 0:
        cache.seat_of[request] = -1
    ring, freed = cache.run[RING], blocks - cache.filled[s]
    if cache.uncached_first:
        cache.run[ring.after].gap += blocks - full
    else:
        ring.gap += blocks - full
    own = full - np.int64(cache.filled[s])
    if returns and own > 0:
        x = new_run(cache, -1 - request, 0, own, 0)
        cache.own[request] = x
        enqueue(cache, x, RING)
    else:
        ring.gap += own
    for j in range(cache.records[s] - 1, -1, -1):
        freed += _let_go(cache, cache.held[s, j].run, cache.held[s, j].end)
    cache.records[s] = cache.filled[s] = 0
    state.listed += freed
    return freed


@inlined
def _let_go(cache, x, end):
    """Let a request hold a run and what was split from it up to `end` no more; return how many blocks become free."""
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
            enqueue(cache, cache.found[k], RING)
            freed += run.blocks
    return freed
