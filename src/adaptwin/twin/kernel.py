"""The twin compiled: what `reference.py` says, doing work only for what changes in a step.

State is spread over flat arrays here, for speed; what keeps it right are these invariants:

- A decode is never touched between its first token and its last. It sits in `bucket[finishing step]`, and moves
  only when it is preempted. Its cached tokens in step t are ``context0 + t - started - 1``.
- `phase[p]` counts decodes whose cached tokens are p - t modulo the block size in step t, so the blocks that decodes
  need in step t are ``phase[-t % block_size]``, and `context` is the sum of their cached tokens.
- Steps up to `planned` are sent off, those up to `steps` are done: with asynchronous scheduling the last one is often
  in flight. Sending a step off moves everything on as if it were done, but for what its tokens bring: a request whose
  last token is in flight leaves the decodes and the batch at once, its seat and blocks when the token is there.
- At most one prefill is unfinished, and it is the last of the running list: it used up its step's budget.
- The waiting queue is one FIFO per adapter. `first_of_all` and `first_in_batch` are min-trees over adapters, keyed
  by the queue position of the adapter's head, so skipping adapters without a slot costs O(log adapters).
- Recency of adapters is written down only when they leave the batch; while every adapter has a slot nothing is
  ever loaded, and recency is not kept at all.

Positions in the waiting queue are request numbers, which are in order of arrival; preempted requests go to the front
and get negative ones.
"""

import numpy as np

from adaptwin.jit import compiled, is_cached
from adaptwin.profile.scheduler_cost import scheduler_seconds
from adaptwin.profile.scrape_cost import scrape_seconds
from adaptwin.profile.step_cost import step_seconds
from adaptwin.twin.scenario import GAP_BINS, Outcome, Scenario, gap_bin
from adaptwin.workload.requests import split_mix

_step_seconds = compiled(step_seconds)
_scheduler_seconds = compiled(scheduler_seconds)
_scrape_seconds = compiled(scrape_seconds)
_gap_bin = compiled(gap_bin)

_EMPTY = np.int64(1) << np.int64(62)  # key of an adapter with no waiting request


def play(scenario: Scenario) -> Outcome:
    """Play the scenario to its end: the same outcome as `ReferenceTwin(scenario).run()`, bit for bit."""
    return Outcome(*_play(*scenario))


def is_compiled() -> bool:
    """Whether the kernel's machine code is at hand, so that a first run starts at once."""
    return bool(getattr(_play, "signatures", ())) or is_cached(_play)


@compiled
def _set_key(tree, size, leaf, key):
    node = size + leaf
    tree[node] = key
    node >>= 1
    while node >= 1:
        smaller = min(tree[2 * node], tree[2 * node + 1])
        if tree[node] == smaller:
            return
        tree[node] = smaller
        node >>= 1


@compiled
def _smallest(tree, size):
    node = 1
    while node < size:
        node *= 2
        if tree[node] != tree[node >> 1]:
            node += 1
    return node - size


@compiled
def _adapter_hash(adapter, salt):
    """Sixty-four random-looking bits of an adapter's own."""
    return split_mix(np.uint64(adapter + 1) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt))


@compiled
def _add(table, entry):
    """Put an entry into an open hash table whose size is a power of two; False when it was there."""
    mask = len(table) - 1
    place = np.int64(entry & np.uint64(mask))
    while table[place] != 0:
        if table[place] == entry:
            return False
        place = (place + 1) & mask
    table[place] = entry
    return True


@compiled
def _scraped(scrape_cost, scrape_every, next_scrape, stall_start, stall_end, stalled, label_sets, labels, time):
    """Scrapes up to a time: the next one, the last stall, and all stalls together."""
    while next_scrape <= time:
        stall_start = next_scrape
        stall_end = stall_start + np.int64(_scrape_seconds(scrape_cost, label_sets, labels) * 1e9 + 0.5)
        stalled += stall_end - stall_start
        next_scrape = stall_end + scrape_every
    return next_scrape, stall_start, stall_end, stalled


@compiled
def _oldest(tier, level, recency):
    """The least recently used adapter that is at least at `level` (1 host memory, 2 GPU)."""
    best, best_recency = -1, _EMPTY
    for a in range(len(tier)):
        if tier[a] >= level and recency[a] < best_recency:
            best, best_recency = a, recency[a]
    return best


@compiled
def _grown(array):
    larger = np.empty(2 * len(array) + 64, array.dtype)
    larger[: len(array)] = array
    return larger


@compiled
def _grown_rows(array):
    larger = np.empty((2 * array.shape[0] + 64, array.shape[1]), array.dtype)
    larger[: array.shape[0]] = array
    return larger


@compiled
def _play(requests, adapters, limits, step_cost, scheduler_cost, scrape_cost, window):
    arrival, adapter_of, prompt, answer = requests.arrival, requests.adapter, requests.input, requests.output
    count, adapter_count = len(arrival), len(adapters.needs_slot)
    needs_slot, position = adapters.needs_slot, adapters.position
    block_size, max_num_seqs, token_budget = limits.block_size, limits.max_num_seqs, limits.token_budget
    max_loras = limits.max_loras
    cut = not window.drain

    # Requests.
    first_token = np.full(count, -1, np.int64)
    finish = np.full(count, -1, np.int64)
    generated = np.zeros(count, np.int32)
    rejected = np.zeros(count, np.bool_)
    running_at_end = np.zeros(count, np.bool_)
    next_waiting = np.full(count, -1, np.int32)
    last_step = np.zeros(0, np.int64)  # that gave a preempted request a token; made when the first is preempted

    # The waiting queue: a FIFO per adapter, and trees over their heads.
    head = np.full(adapter_count, -1, np.int32)
    tail = np.full(adapter_count, -1, np.int32)
    size = 1
    while size < adapter_count:
        size *= 2
    first_of_all = np.full(2 * size, _EMPTY, np.int64)
    first_in_batch = np.full(2 * size, _EMPTY, np.int64)
    front_key = np.int64(0)
    queue_key = np.zeros(0, np.int64)  # of preempted requests, by request; 0 is none
    waiting = 0

    # The running list: seats, linked in order of admission.
    seats = max_num_seqs
    seat_request = np.empty(seats, np.int32)
    seat_before = np.empty(seats, np.int32)
    seat_after = np.empty(seats, np.int32)
    seat_started = np.empty(seats, np.int64)  # step that gave the first token since admission
    seat_context0 = np.empty(seats, np.int64)  # tokens cached by then
    bucket_before = np.empty(seats, np.int32)
    bucket_after = np.empty(seats, np.int32)
    free_seats = np.arange(seats - 1, -1, -1).astype(np.int32)
    running, last_seat = 0, -1
    decodes = 0
    longest = 1
    for i in range(count):
        longest = max(longest, answer[i])
    ring = 1
    while ring < longest + 2:
        ring *= 2
    bucket = np.full(ring, -1, np.int32)
    phase = np.zeros(block_size, np.int64)
    context = np.int64(0)
    done_seats = np.empty(seats, np.int32)  # prefills that this step finishes
    ending = 0  # seats whose last token is in flight
    is_preempted = np.zeros(seats, np.bool_)  # such a seat, preempted at the last moment

    # Steps in flight, by step modulo 2.
    most_flights = 2 if limits.async_scheduling else 1
    flight_end = np.zeros(2, np.int64)
    flight_decodes = np.zeros(2, np.int64)
    flight_distinct = np.zeros(2, np.int64)
    flight_done = np.zeros(2, np.int64)  # requests that get the first token since their admission
    done_request = np.empty((2, seats), np.int32)
    done_after = np.empty((2, seats), np.int64)  # the step of their token before that

    # The unfinished prefill.
    partial, partial_done, partial_total, partial_blocks = -1, 0, 0, 0

    free_blocks = limits.kv_blocks

    # Adapters: who is in the batch, and in which memory. Warm start: all loaded in order, the last ones stay.
    in_batch = np.zeros(adapter_count, np.int64)  # requests that run and still have a token to make
    distinct = 0
    seated = np.zeros(adapter_count, np.int64)  # requests that run
    seated_adapters = 0
    tier = np.zeros(adapter_count, np.int8)  # 2 GPU, 1 host memory, 0 disk
    recency = np.zeros(adapter_count, np.int64)
    at_position = np.empty(adapter_count, np.int64)
    on_gpu = on_host = lora_adapters = 0
    for a in range(adapter_count):
        at_position[position[a]] = a
        lora_adapters += needs_slot[a]
    later = lora_adapters
    for a in range(adapter_count):
        if needs_slot[a]:
            recency[a] = -later
            if later <= max_loras:
                tier[a] = 2
                on_gpu += 1
            elif later <= limits.max_cpu_loras:
                tier[a] = 1
            on_host += tier[a] > 0
            later -= 1
    swapping = lora_adapters > max_loras
    woken = np.empty(adapter_count, np.int32)  # adapters that this step's admissions bring into the batch

    # The API server: what its metrics have seen, and when it stands still to write them out.
    scrape_every = window.scrape_every
    running_set, waiting_set = np.uint64(0), np.uint64(0)
    waiting_adapters = 0
    combinations = np.zeros(1 << 10 if scrape_every > 0 else 1, np.uint64)
    last_combination = np.uint64(0)
    label_sets, labels, stalled = np.int64(0), np.int64(0), np.int64(0)
    next_scrape = scrape_every if scrape_every > 0 else _EMPTY
    stall_start, stall_end = np.int64(0), np.int64(0)

    # What is counted.
    clock, arrived, steps, planned = np.int64(0), 0, np.int64(0), np.int64(0)
    preemptions = gpu_loads = disk_loads = 0
    load_time, finished_tokens = np.int64(0), np.int64(0)
    gaps = np.zeros(GAP_BINS, np.int64)
    gap_sum = np.int64(0)
    step_end = np.zeros(1 << 14, np.int64)
    segments = np.empty((0, 3), np.int64)  # decodes cut short by preemption: request, first step, last step
    resumes = np.empty((0, 2), np.int64)  # gaps over a preemption: request, gap
    segment_count = resume_count = 0
    running_time, waiting_time, kv_time = np.int64(0), np.int64(0), np.int64(0)
    adapter_time, busy_time = np.int64(0), np.int64(0)
    waiting_seconds = np.int64(0)  # what has left `waiting_time`, the only one that could outgrow its 64 bits
    sample_limit = 0
    if window.sample_every > 0:
        sample_limit = (window.end + window.sample_every - 1) // window.sample_every
    samples = np.zeros((sample_limit, 7), np.int64)
    sample_count = 0

    while True:
        # Requests that have arrived by now join the queue.
        while arrived < count and arrival[arrived] <= clock:
            if stall_start <= arrival[arrived] < stall_end and clock < stall_end:
                break
            if window.max_in_flight > 0 and running + waiting >= window.max_in_flight:
                break
            r = arrived
            arrived += 1
            total = prompt[r] + answer[r]
            if total > limits.max_model_len or (total + block_size - 2) // block_size > limits.kv_blocks:
                rejected[r] = True
                continue
            a = adapter_of[r]
            waiting += 1
            if head[a] < 0:
                head[a] = tail[a] = r
                if needs_slot[a]:
                    waiting_set ^= _adapter_hash(a, 1)
                    waiting_adapters += 1
                _set_key(first_of_all, size, a, r)
                if in_batch[a] > 0 or not needs_slot[a]:
                    _set_key(first_in_batch, size, a, r)
            else:
                next_waiting[tail[a]] = r
                tail[a] = r

        if running == 0 and waiting == 0:
            until = arrival[arrived] if arrived < count else max(clock, window.end) if cut else clock
            if arrived < count and scrape_every > 0:
                next_scrape, stall_start, stall_end, stalled = _scraped(
                    scrape_cost, scrape_every, next_scrape, stall_start, stall_end, stalled, label_sets, labels, until
                )
                if stall_start <= until < stall_end:
                    until = stall_end
            while sample_count < sample_limit and sample_count * window.sample_every < min(until, window.end):
                samples[sample_count, 0] = sample_count * window.sample_every
                samples[sample_count, 5] = finished_tokens
                samples[sample_count, 6] = preemptions
                sample_count += 1
            clock = until
            if arrived == count:
                break
            continue

        # Nothing waits and nobody is due: decode, step after step, until a request comes or leaves or lacks a block.
        if waiting == 0 and partial < 0 and sample_limit == 0 and most_flights == 1:
            scheduling = _scheduler_seconds(scheduler_cost, running, 0)
            coming = arrival[arrived] if arrived < count else _EMPTY
            last = min(coming - 1, window.end) if cut else coming - 1
            began = clock
            while True:
                step = steps + 1
                crossing = phase[-step % block_size]
                if bucket[step % ring] >= 0 or crossing > free_blocks or clock > last:
                    break
                seconds = scheduling + _step_seconds(step_cost, decodes, 0, context, distinct)
                end = clock + np.int64(seconds * 1e9 + 0.5)
                if cut and end > window.end:
                    break
                free_blocks -= crossing
                weight = max(np.int64(0), end - max(clock, window.warmup))
                kv_time += (limits.kv_blocks - free_blocks) * weight
                if step >= len(step_end):
                    step_end = _grown(step_end)
                seen = end
                if next_scrape <= end or end < stall_end:
                    next_scrape, stall_start, stall_end, stalled = _scraped(
                        scrape_cost, scrape_every, next_scrape, stall_start, stall_end, stalled, label_sets, labels, end
                    )
                    if stall_start <= end < stall_end:
                        seen = min(stall_end, window.end) if cut else stall_end
                gap = seen - step_end[steps]
                if seen > window.warmup and gap > 0:
                    gaps[_gap_bin(gap)] += decodes
                    gap_sum += gap * decodes
                step_end[step] = seen
                steps = planned = step
                clock = end
                context += decodes
            if clock > began:
                weight = max(np.int64(0), clock - max(began, window.warmup))
                running_time += running * weight
                adapter_time += distinct * weight
                busy_time += weight
                continue

        # Running requests first: blocks for every decode that crosses a block border, and for the prefill's chunk.
        step = planned + 1
        budget = token_budget - decodes
        chunk = chunk_blocks = 0
        if partial >= 0:
            chunk = min(partial_total - partial_done, budget)
            chunk_blocks = (partial_done + chunk + block_size - 1) // block_size - partial_blocks
        crossing = phase[-step % block_size]
        preempted = 0
        while crossing + chunk_blocks > free_blocks:
            # Preempt the last of the running list.
            seat = last_seat
            r = seat_request[seat]
            a = adapter_of[r]
            if len(queue_key) == 0:
                queue_key = np.zeros(count, np.int64)
                last_step = np.zeros(count, np.int64)
            leaves = False
            if seat == partial:
                free_blocks += partial_blocks
                partial, chunk, chunk_blocks = -1, 0, 0
            elif seat_started[seat] + answer[r] - generated[r] - 1 == planned:
                # Its last token is in flight: it leaves from the front of the waiting queue, before the next plan.
                leaves = is_preempted[seat] = True
                ending -= 1
                free_blocks += (prompt[r] + answer[r] + block_size - 2) // block_size
            else:
                cached = seat_context0[seat] + step - seat_started[seat] - 1
                generated[r] += step - seat_started[seat]
                free_blocks += (cached + block_size - 1) // block_size
                crossing -= cached % block_size == 0
                phase[(cached - step) % block_size] -= 1
                context -= cached
                decodes -= 1
                last_step[r] = planned
                slot = (step + answer[r] - generated[r] - 1) % ring
                if bucket_before[seat] >= 0:
                    bucket_after[bucket_before[seat]] = bucket_after[seat]
                else:
                    bucket[slot] = bucket_after[seat]
                if bucket_after[seat] >= 0:
                    bucket_before[bucket_after[seat]] = bucket_before[seat]
                if step > seat_started[seat] + 1:
                    if segment_count == len(segments):
                        segments = _grown_rows(segments)
                    segments[segment_count, 0] = r
                    segments[segment_count, 1] = seat_started[seat] + 1
                    segments[segment_count, 2] = step - 1
                    segment_count += 1
            last_seat = seat_before[seat]
            if last_seat >= 0:
                seat_after[last_seat] = -1
            running -= 1
            free_seats[seats - running - 1] = seat
            seated[a] -= 1
            if needs_slot[a] and seated[a] == 0:
                seated_adapters -= 1
                running_set ^= _adapter_hash(a, 2)
            waiting += 1
            preempted += 1
            if leaves:
                continue
            front_key -= 1
            queue_key[r] = front_key
            next_waiting[r] = head[a]
            if head[a] < 0:
                tail[a] = r
                if needs_slot[a]:
                    waiting_set ^= _adapter_hash(a, 1)
                    waiting_adapters += 1
            head[a] = r
            _set_key(first_of_all, size, a, front_key)
            in_batch[a] -= 1
            if needs_slot[a] and in_batch[a] == 0:
                distinct -= 1
                recency[a] = (step - 1) * adapter_count + position[a]
                _set_key(first_in_batch, size, a, _EMPTY)
            else:
                _set_key(first_in_batch, size, a, front_key)
        preemptions += preempted
        free_blocks -= crossing + chunk_blocks

        # Then the waiting ones, unless somebody was preempted.
        budget = token_budget - decodes - chunk
        prefill_tokens = chunk
        prefill_context = 0
        done_count = woken_count = skipped = 0
        if partial >= 0:
            if partial_total - partial_done == 1 and generated[seat_request[partial]] > 0:
                prefill_tokens, prefill_context = 0, partial_done  # one last token is a decode to vLLM
            partial_done += chunk
            partial_blocks += chunk_blocks
            if partial_done == partial_total:
                seat_context0[partial] = partial_total
                done_seats[0] = partial
                done_count = 1
                partial = -1
        if preempted == 0:
            while waiting > 0 and budget > 0 and running < max_num_seqs:
                if distinct < max_loras:
                    if first_of_all[1] == _EMPTY:
                        break
                    a = _smallest(first_of_all, size)
                else:
                    if first_in_batch[1] == _EMPTY:
                        skipped = waiting
                        break
                    a = _smallest(first_in_batch, size)
                r = head[a]
                total = prompt[r] + generated[r]
                tokens = min(total, budget)
                needed = total if limits.reserve_whole_prompt else tokens
                keep = limits.watermark_blocks if running > 0 else 0
                if (needed + block_size - 1) // block_size > free_blocks - keep:
                    break
                blocks = (tokens + block_size - 1) // block_size
                free_blocks -= blocks
                budget -= tokens
                prefill_tokens += tokens
                waiting -= 1
                # Out of the queue ...
                head[a] = next_waiting[r]
                next_waiting[r] = -1
                if head[a] < 0:
                    tail[a] = -1
                    key = _EMPTY
                    if needs_slot[a]:
                        waiting_set ^= _adapter_hash(a, 1)
                        waiting_adapters -= 1
                elif len(queue_key) > 0 and queue_key[head[a]] != 0:
                    key = queue_key[head[a]]
                else:
                    key = np.int64(head[a])
                if len(queue_key) > 0:
                    queue_key[r] = 0
                _set_key(first_of_all, size, a, key)
                in_batch[a] += 1
                if needs_slot[a] and in_batch[a] == 1:
                    distinct += 1
                    woken[woken_count] = a
                    woken_count += 1
                _set_key(first_in_batch, size, a, key)
                # ... into a seat.
                seated[a] += 1
                if needs_slot[a] and seated[a] == 1:
                    seated_adapters += 1
                    running_set ^= _adapter_hash(a, 2)
                seat = free_seats[seats - running - 1]
                running += 1
                seat_request[seat] = r
                seat_before[seat] = last_seat
                seat_after[seat] = -1
                if last_seat >= 0:
                    seat_after[last_seat] = seat
                last_seat = seat
                if tokens == total:
                    seat_context0[seat] = total
                    done_seats[done_count] = seat
                    done_count += 1
                else:
                    partial, partial_done, partial_total, partial_blocks = seat, tokens, total, blocks

        # Bring the step's adapters to the GPU, one after the other.
        loading = np.int64(0)
        if swapping and woken_count > 0:
            missing = False
            for i in range(woken_count):
                missing |= tier[woken[i]] < 2
            if missing:
                # Adapters that went on from the last step were touched in it; the others hold their recency.
                for i in range(woken_count):
                    in_batch[woken[i]] = -in_batch[woken[i]]
                for a in range(adapter_count):
                    if needs_slot[a] and in_batch[a] > 0:
                        recency[a] = (step - 1) * adapter_count + position[a]
                for p in range(adapter_count):
                    a = at_position[p]
                    if not needs_slot[a] or in_batch[a] == 0:
                        continue
                    if tier[a] == 0:
                        if on_host == limits.max_cpu_loras:
                            oldest = _oldest(tier, 1, recency)
                            on_gpu -= tier[oldest] == 2
                            tier[oldest] = 0
                            on_host -= 1
                        loading += adapters.disk_load[a]
                        disk_loads += 1
                        tier[a] = 1
                        on_host += 1
                        recency[a] = _EMPTY - 1  # being loaded: nobody evicts it before it is touched
                    if tier[a] == 1:
                        if on_gpu == max_loras:
                            tier[_oldest(tier, 2, recency)] = 1
                            on_gpu -= 1
                        loading += adapters.gpu_load[a]
                        gpu_loads += 1
                        tier[a] = 2
                        on_gpu += 1
                    recency[a] = step * adapter_count + p
                for i in range(woken_count):
                    in_batch[woken[i]] = -in_batch[woken[i]]
        load_time += loading

        # The step takes its time, once the one before is done.
        scheduled = running - ending
        tokens = decodes + chunk + (token_budget - decodes - chunk - budget)
        scheduling = _scheduler_seconds(scheduler_cost, scheduled, skipped)
        planning = np.int64(scheduling * 1e9 + 0.5)
        end = clock + planning
        if scheduled > 0:
            seconds = scheduling + _step_seconds(step_cost, tokens, prefill_tokens, context + prefill_context, distinct)
            start = max(end, flight_end[planned % 2]) if planned > steps else end
            planned = step
            flight = step % 2
            flight_end[flight] = start + loading + np.int64(seconds * 1e9 + 0.5) - planning
            flight_decodes[flight] = decodes
            flight_distinct[flight] = distinct
            flight_done[flight] = done_count

            # Every decode will have one more token. Every prefill that is done yields one, and goes on as a decode.
            context += decodes
            for i in range(done_count):
                seat = done_seats[i]
                r = seat_request[seat]
                done_request[flight, i] = r
                done_after[flight, i] = last_step[r] if generated[r] > 0 else 0
                seat_started[seat] = step
                decodes += 1
                context += seat_context0[seat]
                phase[(seat_context0[seat] - step - 1) % block_size] += 1
                slot = (step + answer[r] - generated[r] - 1) % ring
                bucket_before[seat] = -1
                bucket_after[seat] = bucket[slot]
                if bucket[slot] >= 0:
                    bucket_before[bucket[slot]] = seat
                bucket[slot] = seat

            # Those whose last token this is are in no further step.
            seat = bucket[step % ring]
            while seat >= 0:
                cached = seat_context0[seat] + step - seat_started[seat]
                phase[(cached - step - 1) % block_size] -= 1
                context -= cached
                decodes -= 1
                ending += 1
                a = adapter_of[seat_request[seat]]
                in_batch[a] -= 1
                if needs_slot[a] and in_batch[a] == 0:
                    distinct -= 1
                    recency[a] = step * adapter_count + position[a]
                    _set_key(first_in_batch, size, a, _EMPTY)
                seat = bucket_after[seat]

        # Unless another step can be planned first, the oldest one in flight is waited for.
        flight = (steps + 1) % 2
        lands = scheduled == 0 or planned - steps == most_flights
        if lands:
            end = max(end, flight_end[flight])

        until = min(end, window.end) if cut else end
        weight = max(np.int64(0), until - max(clock, window.warmup))
        held = limits.kv_blocks - free_blocks
        running_time += running * weight
        waiting_time += waiting * weight
        if waiting_time > np.int64(1) << np.int64(61):
            waiting_seconds += waiting_time // 1_000_000_000
            waiting_time %= 1_000_000_000
        kv_time += held * weight
        adapter_time += flight_distinct[flight] * weight
        busy_time += weight
        while sample_count < sample_limit and sample_count * window.sample_every < min(end, window.end):
            samples[sample_count, 0] = sample_count * window.sample_every
            samples[sample_count, 1] = running
            samples[sample_count, 2] = waiting
            samples[sample_count, 3] = held
            samples[sample_count, 4] = flight_distinct[flight]
            samples[sample_count, 5] = finished_tokens
            samples[sample_count, 6] = preemptions
            sample_count += 1
        if cut and end > window.end:
            clock = window.end
            break
        clock = end
        if not lands:
            continue
        step = steps + 1
        if step >= len(step_end):
            step_end = _grown(step_end)
        seen = end  # by the client
        if scrape_every > 0:
            next_scrape, stall_start, stall_end, stalled = _scraped(
                scrape_cost, scrape_every, next_scrape, stall_start, stall_end, stalled, label_sets, labels, end
            )
            if stall_start <= end < stall_end:
                seen = min(stall_end, window.end) if cut else stall_end
        if seen > window.warmup and seen > step_end[steps] and flight_decodes[flight] > 0:
            gap = seen - step_end[steps]
            gaps[_gap_bin(gap)] += flight_decodes[flight]
            gap_sum += gap * flight_decodes[flight]
        steps = step
        step_end[step] = seen
        for i in range(flight_done[flight]):
            r = done_request[flight, i]
            before_it = step_end[done_after[flight, i]]
            if first_token[r] < 0:
                first_token[r] = seen
            elif seen > window.warmup and seen > before_it:
                gap = seen - before_it
                gaps[_gap_bin(gap)] += 1
                gap_sum += gap
                if resume_count == len(resumes):
                    resumes = _grown_rows(resumes)
                resumes[resume_count, 0] = r
                resumes[resume_count, 1] = gap
                resume_count += 1

        # Those whose last token this was leave.
        seat = bucket[step % ring]
        bucket[step % ring] = -1
        while seat >= 0:
            r = seat_request[seat]
            finish[r] = seen
            generated[r] = answer[r]
            finished_tokens += prompt[r] + answer[r]
            if is_preempted[seat]:
                is_preempted[seat] = False
                waiting -= 1
            else:
                free_blocks += (prompt[r] + answer[r] + block_size - 2) // block_size
                before, after = seat_before[seat], seat_after[seat]
                if before >= 0:
                    seat_after[before] = after
                if after >= 0:
                    seat_before[after] = before
                else:
                    last_seat = before
                running -= 1
                ending -= 1
                free_seats[seats - running - 1] = seat
                a = adapter_of[r]
                seated[a] -= 1
                if needs_slot[a] and seated[a] == 0:
                    seated_adapters -= 1
                    running_set ^= _adapter_hash(a, 2)
            seat = bucket_after[seat]

        # The engine reports who runs and who waits.
        if scrape_every > 0:
            combination = running_set ^ waiting_set ^ np.uint64(0x5851F42D4C957F2D)
            if combination != last_combination:
                last_combination = combination
                if _add(combinations, combination):
                    label_sets += 1
                    labels += seated_adapters + waiting_adapters
                    if 2 * label_sets > len(combinations):
                        larger = np.zeros(2 * len(combinations), np.uint64)
                        for entry in combinations:
                            if entry != 0:
                                _add(larger, entry)
                        combinations = larger

    # Gaps were counted as they came; those of requests that did not finish are taken back.
    unfinished = np.zeros(planned + 3, np.int64)  # change in the number of such decodes, by step
    seat = last_seat
    while seat >= 0:
        r = seat_request[seat]
        running_at_end[r] = True
        if seat != partial and seat_started[seat] <= steps:
            generated[r] += steps - seat_started[seat] + 1
            unfinished[seat_started[seat] + 1] += 1
            unfinished[steps + 1] -= 1
        seat = seat_before[seat]
    for seat in range(seats):
        if is_preempted[seat]:
            r = seat_request[seat]
            generated[r] = answer[r] - 1
            unfinished[seat_started[seat] + 1] += seat_started[seat] <= steps
            unfinished[steps + 1] -= seat_started[seat] <= steps
    for r in range(len(last_step)):
        generated[r] -= finish[r] < 0 and last_step[r] > steps  # preempted with a token in flight that never came
    for i in range(segment_count):
        if finish[segments[i, 0]] < 0:
            unfinished[segments[i, 1]] += 1
            unfinished[segments[i, 2] + 1] -= 1
    for i in range(resume_count):
        if finish[resumes[i, 0]] < 0:
            gaps[_gap_bin(resumes[i, 1])] -= 1
            gap_sum -= resumes[i, 1]
    counted = np.int64(0)
    for s in range(1, steps + 1):
        counted += unfinished[s]
        if counted > 0 and step_end[s] > max(window.warmup, step_end[s - 1]):
            gap = step_end[s] - step_end[s - 1]
            gaps[_gap_bin(gap)] -= counted
            gap_sum -= gap * counted

    return (
        first_token, finish, generated, rejected, running_at_end, arrived, steps, clock, preemptions,
        gpu_loads, disk_loads, load_time, gaps, gap_sum, label_sets, labels, stalled,
        running_time / 1e9, waiting_seconds + waiting_time / 1e9, kv_time / 1e9, adapter_time / 1e9, busy_time / 1e9,
        samples[:sample_count],
    )  # fmt: skip
