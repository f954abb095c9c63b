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
- Those who wait are the requests that were passed over or preempted, in `queue` (see `waiting_queue.py`), and behind
  them the requests ``fresh ... arrived - 1``, at which the scheduler has not looked yet; rejected ones are among these.
  On offer there are the adapters in the batch and the base model.
- While `settled`, nobody who waits can be admitted in the next step: `passed_all` says that this is because everybody
  was passed over and no slot is free, so that only who needs no new slot changes it; otherwise there is no seat or no
  block for the first one, and somebody must leave.
- Where adapters are, `residency.py` knows. While every adapter has a slot nobody is passed over, nothing is ever
  loaded, and neither offers nor residency are kept.
"""

import numpy as np

from adaptwin.jit import compiled, is_cached
from adaptwin.profile.scheduler_cost import scheduler_seconds
from adaptwin.profile.step_cost import step_seconds
from adaptwin.twin.kernel.residency import GPU, HOST, bring, leave_batch, warm_start
from adaptwin.twin.kernel.scrapes import RUNS, WAITS, Scrapes, adapter_hash, add, rehashed, scraped
from adaptwin.twin.kernel.unfinished import take_back
from adaptwin.twin.kernel.waiting_queue import append, empty_queue, first_offered, offer, prepend, take_first, withdraw
from adaptwin.twin.scenario import Outcome, Scenario
from adaptwin.twin.step_totals import StepTotals, add_step
from adaptwin.twin.token_gaps import GAP_BINS, bin_of
from adaptwin.workload.drawing.requests import NO_MORE

_step_seconds = compiled(step_seconds)
_scheduler_seconds = compiled(scheduler_seconds)
_add_step = compiled(add_step)
_TALLIED = len(StepTotals._fields)

_LONGEST_STRETCH = 1_000_000_000_000  # nanoseconds that steps are taken at once,
_LONGEST_WAIT = 10_000_000_000  # and while requests wait: sums are looked after in between

_SEAT = np.dtype(
    [
        ("request", np.int32),
        ("adapter", np.int32),
        ("before", np.int32),  # in order of admission
        ("after", np.int32),
        ("bucket_before", np.int32),
        ("bucket_after", np.int32),
        ("answer", np.int32),
        ("total", np.int32),  # prompt and answer
        ("started", np.int64),  # step that gave the first token since admission
        ("context0", np.int64),  # tokens cached by then
        ("last", np.int64),  # step that gives the last token
        ("preempted", np.int64),  # with its last token in flight
    ]
)


def play(scenario: Scenario) -> Outcome:
    """Play the scenario to its end: the same outcome as `ReferenceTwin(scenario).run()`, bit for bit."""
    return Outcome(*_play(*scenario))


def is_compiled() -> bool:
    """Whether the kernel's machine code is at hand, so that a first run starts at once."""
    return bool(getattr(_play, "signatures", ())) or is_cached(_play)


@compiled
def _grown(array):
    larger = np.zeros(2 * len(array) + 64, array.dtype)
    for i in range(len(array)):  # quicker to compile than assigning a slice
        larger[i] = array[i]
    return larger


@compiled
def _grown_rows(array):
    larger = np.empty((2 * array.shape[0] + 64, array.shape[1]), array.dtype)
    for i in range(array.shape[0]):
        for j in range(array.shape[1]):
            larger[i, j] = array[i, j]
    return larger


@compiled
def _play(requests, adapters, limits, step_cost, scheduler_cost, scrape_cost, window):
    arrival, adapter_of, prompt, answer = requests.arrival, requests.adapter, requests.input, requests.output
    count, adapter_count = len(arrival), len(adapters.needs_slot)
    needs_slot = adapters.needs_slot
    block_size, max_num_seqs, token_budget = limits.block_size, limits.max_num_seqs, limits.token_budget
    max_loras, max_in_flight = limits.max_loras, window.max_in_flight
    cut = not window.drain
    longest_held = limits.kv_blocks * block_size + 1  # the last token is never cached

    # Requests.
    first_token = np.empty(count, np.int64)
    finish = np.empty(count, np.int64)
    generated = np.empty(count, np.int32)
    rejected = np.zeros(count, np.bool_)
    running_at_end = np.zeros(count, np.bool_)
    last_step = np.empty(count, np.int64)  # that gave a preempted request a token

    # Those who wait.
    queue = empty_queue(count, adapter_count)
    waiting = in_queue = fresh = arrived = 0
    front = 0  # position of the request that was preempted last
    settled, passed_all = True, True

    # The running list: seats, linked in order of admission.
    seats = np.empty(max_num_seqs, _SEAT)
    free_seats = np.empty(max_num_seqs, np.int32)
    for s in range(max_num_seqs):
        free_seats[s] = max_num_seqs - 1 - s
        seats[s].preempted = 0
    running, last_seat = 0, -1
    decodes = 0
    ring = 4
    for i in range(count):
        ring = max(ring, answer[i])
    size = 4
    while size < ring + 2:
        size *= 2
    ring = size - 1  # steps are taken modulo the size by their last bits
    bucket = np.empty(size, np.int32)
    for i in range(size):
        bucket[i] = -1
    phase = np.zeros(block_size, np.int64)
    context = np.int64(0)
    done_seats = np.empty(max_num_seqs, np.int32)  # prefills that this step finishes
    ending = 0  # seats whose last token is in flight

    # Steps in flight, by step modulo 2.
    most_flights = 2 if limits.async_scheduling else 1
    flight_end = np.zeros(2, np.int64)
    flight_decodes = np.zeros(2, np.int64)
    flight_distinct = np.zeros(2, np.int64)
    flight_done = np.zeros(2, np.int64)  # requests that get the first token since their admission
    done_request = np.empty((2, max_num_seqs), np.int32)
    done_after = np.empty((2, max_num_seqs), np.int64)  # the step of their token before that

    # The unfinished prefill.
    partial, partial_done, partial_total, partial_blocks = -1, 0, 0, 0

    free_blocks = limits.kv_blocks

    # Adapters: who is in the batch, and in which memory.
    in_batch = np.zeros(adapter_count, np.int64)  # requests that run and still have a token to make
    distinct = 0
    residency = warm_start(adapters, max_loras, limits.max_cpu_loras)
    loras = 0
    for a in range(adapter_count):
        loras += needs_slot[a]
    swapping = loras > max_loras
    woken = np.empty(adapter_count, np.int64)  # adapters that this step's admissions bring into the batch

    # The API server: what its metrics have seen, and when it stands still to write them out.
    scraping = window.scrape_every > 0
    running_set, waiting_set = np.uint64(0), np.uint64(0)
    seated_adapters = waiting_adapters = 0
    seated = np.zeros(adapter_count, np.int64)  # requests that run
    queued = np.zeros(adapter_count, np.int64)  # requests that wait
    combinations = np.zeros(1 << 10, np.uint64)
    last_combination = np.uint64(0)
    label_sets, labels, reported = np.int64(0), np.int64(0), np.int64(0)
    first_scrape = window.scrape_every if scraping else NO_MORE
    scrapes = Scrapes(window.scrape_every, first_scrape, np.int64(0), np.int64(0), np.int64(0))

    # What is counted.
    clock, steps, planned = np.int64(0), np.int64(0), np.int64(0)
    preemptions = 0
    tally = np.zeros(_TALLIED, np.int64)
    load_time, finished_tokens = np.int64(0), np.int64(0)
    gaps = np.zeros(GAP_BINS, np.int64)
    gap_sum = np.int64(0)
    step_end = np.zeros(1 << 14, np.int64)
    step_apart = np.zeros(1 << 14, np.bool_)  # steps whose tokens are chunks of their own, however close together
    segments = np.empty(
        (2 * max_num_seqs, 3), np.int64
    )  # decodes cut short by preemption: request, first step, last step
    resumes = np.empty((2 * max_num_seqs, 2), np.int64)  # gaps over a preemption: request, gap
    segment_count = resume_count = 0
    running_time, waiting_time, kv_time = np.int64(0), np.int64(0), np.int64(0)
    adapter_time, busy_time = np.int64(0), np.int64(0)
    waiting_seconds, kv_seconds = np.int64(0), np.int64(0)  # what has left the two that could outgrow their 64 bits
    sample_limit = 0
    if window.sample_every > 0:
        sample_limit = (window.end + window.sample_every - 1) // window.sample_every
    samples = np.zeros((sample_limit, 7), np.int64)
    sample_count = 0

    # Chapter by chapter: in each there is room for whatever one more step may write down, so that the arrays which grow
    # stay the same in the inner loop. Numba counts references where an array may be replaced, which costs more than
    # most steps.
    over = False
    while not over:
        if planned + 2 >= len(step_end):
            step_end = _grown(step_end)
            step_apart = _grown(step_apart)
        if segment_count + max_num_seqs > len(segments):
            segments = _grown_rows(segments)
        if resume_count + max_num_seqs > len(resumes):
            resumes = _grown_rows(resumes)
        if 2 * label_sets >= len(combinations):
            combinations = rehashed(combinations)
        while (
            planned + 2 < len(step_end)
            and segment_count + max_num_seqs <= len(segments)
            and resume_count + max_num_seqs <= len(resumes)
            and 2 * label_sets < len(combinations)
        ):
            # Requests that have arrived by now join those who wait.
            while arrived < count and arrival[arrived] <= clock:
                if scrapes.due <= arrival[arrived]:
                    scrapes = scraped(scrapes, scrape_cost, label_sets, labels, arrival[arrived])
                if scrapes.start <= arrival[arrived] < scrapes.end and clock < scrapes.end:
                    break
                if max_in_flight > 0 and running + waiting >= max_in_flight:
                    break
                r = arrived
                arrived += 1
                first_token[r] = finish[r] = -1
                generated[r] = 0
                if prompt[r] + requests.asked[r] > limits.max_model_len or prompt[r] + answer[r] > longest_held:
                    rejected[r] = True
                    continue
                waiting += 1
                a = np.int64(adapter_of[r])
                if settled and passed_all:
                    if swapping and distinct == max_loras and needs_slot[a] and in_batch[a] == 0:
                        append(queue, r, a)
                        in_queue += 1
                        fresh = arrived
                    else:
                        settled = False
                if scraping:
                    queued[a] += 1
                    if needs_slot[a] and queued[a] == 1:
                        waiting_set ^= adapter_hash(a, WAITS)
                        waiting_adapters += 1

            # The engine reports who runs and who waits, once after every step.
            if scraping and steps > reported:
                reported = steps
                combination = running_set ^ waiting_set ^ np.uint64(0x5851F42D4C957F2D)
                if combination != last_combination:
                    last_combination = combination
                    if add(combinations, combination):
                        label_sets += 1
                        labels += seated_adapters + waiting_adapters

            if running == 0 and waiting == 0:
                until = arrival[arrived] if arrived < count else max(clock, window.end) if cut else clock
                if arrived < count and scraping:
                    scrapes = scraped(scrapes, scrape_cost, label_sets, labels, until)
                    if scrapes.start <= until < scrapes.end:
                        until = scrapes.end
                while sample_count < sample_limit and sample_count * window.sample_every < min(until, window.end):
                    samples[sample_count, 0] = sample_count * window.sample_every
                    samples[sample_count, 5] = finished_tokens
                    samples[sample_count, 6] = preemptions
                    sample_count += 1
                clock = until
                if arrived == count:
                    over = True
                    break
                continue

            if waiting_time > np.int64(1) << np.int64(61):
                waiting_seconds += waiting_time // 1_000_000_000
                waiting_time %= 1_000_000_000
            if kv_time > np.int64(1) << np.int64(61):
                kv_seconds += kv_time // 1_000_000_000
                kv_time %= 1_000_000_000

            # Nobody can be admitted: decode, step after step, until a request comes or leaves or lacks a block.
            if (settled or waiting == 0) and partial < 0 and most_flights == 1:
                scheduling = _scheduler_seconds(scheduler_cost, running, waiting)
                due = NO_MORE
                if arrived < count and (max_in_flight == 0 or running + waiting < max_in_flight):
                    due = arrival[arrived]
                    if scrapes.start <= due < scrapes.end:
                        due = scrapes.end
                horizon = window.end if cut else NO_MORE
                if sample_count < sample_limit:
                    horizon = min(horizon, sample_count * window.sample_every)
                horizon = min(horizon, clock + (_LONGEST_WAIT if waiting > 0 else _LONGEST_STRETCH))
                began = clock
                apart = decodes > limits.output_chunk
                counted_from = max(began, window.warmup)
                phase_now = -(planned + 1) % block_size
                while clock < due and planned + 1 < len(step_end):
                    step = planned + 1
                    crossing = phase[phase_now]
                    if bucket[step & ring] >= 0 or crossing > free_blocks:
                        break
                    seconds = scheduling + _step_seconds(step_cost, decodes, context, distinct)
                    end = clock + np.int64(seconds * 1e9 + 0.5)
                    if end > horizon:
                        break
                    if window.tally:
                        _add_step(
                            tally,
                            decodes,
                            context,
                            distinct,
                            running,
                            waiting,
                            step_cost.graph_tokens,
                            step_cost.split_tokens,
                        )
                    free_blocks -= crossing
                    kv_time += (limits.kv_blocks - free_blocks) * max(np.int64(0), end - max(clock, window.warmup))
                    seen = end
                    if scrapes.due <= end or end < scrapes.end:
                        scrapes = scraped(scrapes, scrape_cost, label_sets, labels, end)
                        if scrapes.start <= end < scrapes.end:
                            seen = min(scrapes.end, window.end) if cut else scrapes.end
                    gap = seen - step_end[planned]
                    if seen > window.warmup and (gap > 0 or apart):
                        gaps[bin_of(gap)] += decodes
                        gap_sum += gap * decodes
                    step_end[step] = seen
                    step_apart[step] = apart
                    planned = step
                    clock = end
                    context += decodes
                    phase_now = phase_now - 1 if phase_now > 0 else block_size - 1
                if planned > steps:
                    steps = planned
                    weight = max(np.int64(0), clock - counted_from)
                    running_time += running * weight
                    waiting_time += waiting * weight
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
                s = last_seat
                seat = seats[s]
                r, a = np.int64(seat.request), np.int64(seat.adapter)
                leaves = False
                if s == partial:
                    free_blocks += partial_blocks
                    partial, chunk, chunk_blocks = -1, 0, 0
                elif seat.last == planned:
                    # Its last token is in flight: it leaves from the front of the waiting queue, before the next plan.
                    leaves = True
                    seat.preempted = 1
                    ending -= 1
                    free_blocks += (seat.total + block_size - 2) // block_size
                else:
                    cached = seat.context0 + step - seat.started - 1
                    generated[r] += step - seat.started
                    free_blocks += (cached + block_size - 1) // block_size
                    crossing -= cached % block_size == 0
                    phase[(cached - step) % block_size] -= 1
                    context -= cached
                    decodes -= 1
                    last_step[r] = planned
                    if seat.bucket_before >= 0:
                        seats[seat.bucket_before].bucket_after = seat.bucket_after
                    else:
                        bucket[seat.last & ring] = seat.bucket_after
                    if seat.bucket_after >= 0:
                        seats[seat.bucket_after].bucket_before = seat.bucket_before
                    if step > seat.started + 1:
                        segments[segment_count, 0] = r
                        segments[segment_count, 1] = seat.started + 1
                        segments[segment_count, 2] = step - 1
                        segment_count += 1
                last_seat = seat.before
                if last_seat >= 0:
                    seats[last_seat].after = -1
                running -= 1
                free_seats[max_num_seqs - running - 1] = s
                waiting += 1
                preempted += 1
                if scraping:
                    seated[a] -= 1
                    if needs_slot[a] and seated[a] == 0:
                        seated_adapters -= 1
                        running_set ^= adapter_hash(a, RUNS)
                if leaves:
                    continue
                front -= 1
                in_queue += 1
                prepend(queue, r, a, front)
                in_batch[a] -= 1
                if needs_slot[a] and in_batch[a] == 0:
                    distinct -= 1
                    if swapping:
                        leave_batch(residency, adapters, a, step - 1)
                        withdraw(queue, a)
                elif swapping:
                    offer(queue, a)
                if scraping:
                    queued[a] += 1
                    if needs_slot[a] and queued[a] == 1:
                        waiting_set ^= adapter_hash(a, WAITS)
                        waiting_adapters += 1
            preemptions += preempted
            free_blocks -= crossing + chunk_blocks

            # Then those who wait, unless somebody was preempted.
            budget = token_budget - decodes - chunk
            prefill_context = 0
            done_count = woken_count = 0
            if partial >= 0:
                if partial_total - partial_done == 1 and generated[seats[partial].request] > 0:
                    prefill_context = partial_done  # one last token is a decode to vLLM
                partial_done += chunk
                partial_blocks += chunk_blocks
                if partial_done == partial_total:
                    seats[partial].context0 = partial_total
                    done_seats[0] = partial
                    done_count = 1
                    partial = -1
            settled = passed_all = False
            if preempted == 0 and waiting > 0:
                while budget > 0 and running < max_num_seqs:
                    # The first who needs no new slot, or one that is free.
                    slot_is_free = distinct < max_loras or not swapping
                    r = a = -1
                    if in_queue > 0:
                        if slot_is_free:
                            r = np.int64(queue.after[count])
                            a = np.int64(adapter_of[r])
                        else:
                            a = first_offered(queue)
                            if a >= 0:
                                r = np.int64(queue.head[a])
                    is_fresh = r < 0
                    while r < 0 and fresh < arrived:
                        if rejected[fresh]:
                            fresh += 1
                            continue
                        a = np.int64(adapter_of[fresh])
                        if slot_is_free or in_batch[a] > 0 or not needs_slot[a]:
                            r = fresh
                        else:
                            append(queue, fresh, a)
                            in_queue += 1
                            fresh += 1
                    if r < 0:
                        passed_all = settled = True
                        break
                    total = prompt[r] if is_fresh else prompt[r] + generated[r]
                    tokens = min(total, budget)
                    blocks = (tokens + block_size - 1) // block_size
                    needed = (total + block_size - 1) // block_size if limits.reserve_whole_prompt else blocks
                    if needed > free_blocks - (limits.watermark_blocks if running > 0 else 0):
                        settled = True
                        break
                    free_blocks -= blocks
                    budget -= tokens
                    waiting -= 1
                    # Into the batch ...
                    in_batch[a] += 1
                    if in_batch[a] == 1 and needs_slot[a]:
                        distinct += 1
                        woken[woken_count] = a
                        woken_count += 1
                    # ... out of the queue ...
                    if is_fresh:
                        fresh += 1
                    else:
                        in_queue -= 1
                        take_first(queue, a)
                        if swapping:
                            offer(queue, a)
                    # ... and into a seat.
                    s = free_seats[max_num_seqs - running - 1]
                    running += 1
                    seat = seats[s]
                    seat.request, seat.adapter, seat.answer, seat.total = r, a, answer[r], prompt[r] + answer[r]
                    seat.before, seat.after = last_seat, -1
                    if last_seat >= 0:
                        seats[last_seat].after = s
                    last_seat = s
                    if tokens == total:
                        seat.context0 = total
                        done_seats[done_count] = s
                        done_count += 1
                    else:
                        partial, partial_done, partial_total, partial_blocks = s, tokens, total, blocks
                    if scraping:
                        seated[a] += 1
                        queued[a] -= 1
                        if needs_slot[a] and seated[a] == 1:
                            seated_adapters += 1
                            running_set ^= adapter_hash(a, RUNS)
                        if needs_slot[a] and queued[a] == 0:
                            waiting_adapters -= 1
                            waiting_set ^= adapter_hash(a, WAITS)
                settled = settled or running == max_num_seqs

            # Bring the step's adapters to the GPU, one after the other.
            loading = np.int64(0)
            if swapping and woken_count > 0:
                loading = bring(residency, adapters, limits, step, woken[:woken_count])
                load_time += loading

            # The step takes its time, once the one before is done.
            scheduled = running - ending
            tokens = token_budget - budget
            scheduling = _scheduler_seconds(scheduler_cost, scheduled, waiting)
            planning = np.int64(scheduling * 1e9 + 0.5)
            end = clock + planning
            if scheduled > 0:
                seconds = scheduling + _step_seconds(step_cost, tokens, context + prefill_context, distinct)
                if window.tally:
                    _add_step(
                        tally,
                        tokens,
                        context + prefill_context,
                        distinct,
                        scheduled,
                        waiting,
                        step_cost.graph_tokens,
                        step_cost.split_tokens,
                    )
                flight = step & 1
                start = max(end, flight_end[1 - flight]) if planned > steps else end
                planned = step
                flight_end[flight] = start + loading + np.int64(seconds * 1e9 + 0.5) - planning
                flight_decodes[flight] = decodes
                flight_distinct[flight] = distinct
                flight_done[flight] = done_count

                # Every decode will have one more token. Every prefill that is done yields one, and goes on as a decode.
                context += decodes
                decodes += done_count
                for i in range(done_count):
                    s = done_seats[i]
                    seat = seats[s]
                    r = seat.request
                    done_request[flight, i] = r
                    done_after[flight, i] = last_step[r] if generated[r] > 0 else 0
                    context += seat.context0
                    phase[(seat.context0 - step - 1) % block_size] += 1
                    seat.started = step
                    seat.last = step + seat.answer - generated[r] - 1
                    first = bucket[seat.last & ring]
                    seat.bucket_before, seat.bucket_after = -1, first
                    if first >= 0:
                        seats[first].bucket_before = s
                    bucket[seat.last & ring] = s

                # Those whose last token this is are in no further step.
                s = bucket[step & ring]
                while s >= 0:
                    seat = seats[s]
                    cached = seat.context0 + step - seat.started
                    phase[(cached - step - 1) % block_size] -= 1
                    context -= cached
                    decodes -= 1
                    ending += 1
                    a = np.int64(seat.adapter)
                    in_batch[a] -= 1
                    if in_batch[a] == 0 and needs_slot[a]:
                        distinct -= 1
                        if swapping:
                            leave_batch(residency, adapters, a, step)
                            withdraw(queue, a)
                    s = seat.bucket_after

            # Unless another step can be planned first, the oldest one in flight is waited for.
            flight = (steps + 1) & 1
            lands = scheduled == 0 or planned - steps == most_flights
            if lands:
                end = max(end, flight_end[flight])

            until = min(end, window.end) if cut else end
            weight = max(np.int64(0), until - max(clock, window.warmup))
            held = limits.kv_blocks - free_blocks
            running_time += running * weight
            waiting_time += waiting * weight
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
                over = True
                break
            clock = end
            if not lands:
                continue
            step = steps + 1
            seen = end  # by the client
            if scraping:
                scrapes = scraped(scrapes, scrape_cost, label_sets, labels, end)
                if scrapes.start <= end < scrapes.end:
                    seen = min(scrapes.end, window.end) if cut else scrapes.end
            apart = flight_decodes[flight] + flight_done[flight] > limits.output_chunk
            gap = seen - step_end[steps]
            if seen > window.warmup and (gap > 0 or apart) and flight_decodes[flight] > 0:
                gaps[bin_of(gap)] += flight_decodes[flight]
                gap_sum += gap * flight_decodes[flight]
            steps = step
            step_end[step] = seen
            step_apart[step] = apart
            for i in range(flight_done[flight]):
                r = done_request[flight, i]
                if first_token[r] < 0:
                    first_token[r] = seen
                    continue
                gap = seen - step_end[done_after[flight, i]]
                if seen > window.warmup and (gap > 0 or apart):
                    gaps[bin_of(gap)] += 1
                    gap_sum += gap
                    resumes[resume_count, 0] = r
                    resumes[resume_count, 1] = gap
                    resume_count += 1

            # Those whose last token this was leave.
            s = bucket[step & ring]
            bucket[step & ring] = -1
            if s >= 0:
                settled = settled and passed_all and swapping and distinct == max_loras
            while s >= 0:
                seat = seats[s]
                r = seat.request
                finish[r] = seen
                generated[r] = seat.answer
                finished_tokens += seat.total
                if seat.preempted > 0:
                    seat.preempted = 0
                    waiting -= 1
                else:
                    free_blocks += (seat.total + block_size - 2) // block_size
                    if seat.before >= 0:
                        seats[seat.before].after = seat.after
                    if seat.after >= 0:
                        seats[seat.after].before = seat.before
                    else:
                        last_seat = seat.before
                    running -= 1
                    ending -= 1
                    free_seats[max_num_seqs - running - 1] = s
                    if scraping:
                        a = np.int64(seat.adapter)
                        seated[a] -= 1
                        if needs_slot[a] and seated[a] == 0:
                            seated_adapters -= 1
                            running_set ^= adapter_hash(a, RUNS)
                s = seat.bucket_after

    for r in range(arrived, count):
        first_token[r] = finish[r] = -1
        generated[r] = 0

    # Who did not finish.
    unfinished = np.zeros(planned + 3, np.int64)  # change in the number of such decodes, by step
    s = last_seat
    while s >= 0:
        seat = seats[s]
        running_at_end[seat.request] = True
        if s != partial and seat.started <= steps:
            generated[seat.request] += steps - seat.started + 1
            unfinished[seat.started + 1] += 1
            unfinished[steps + 1] -= 1
        s = seat.before
    for s in range(max_num_seqs):
        seat = seats[s]
        if seat.preempted > 0:
            generated[seat.request] = seat.answer - 1
            unfinished[seat.started + 1] += seat.started <= steps
            unfinished[steps + 1] -= seat.started <= steps
    r = np.int64(queue.after[count])
    while r < count and queue.position[r] < 0:
        generated[r] -= generated[r] > 0 and last_step[r] > steps  # preempted with a token in flight that never came
        r = queue.after[r]
    gap_sum = take_back(
        gaps,
        gap_sum,
        unfinished,
        segments[:segment_count],
        resumes[:resume_count],
        finish,
        step_end,
        step_apart,
        steps,
        window.warmup,
    )

    return (
        first_token, finish, generated, rejected, running_at_end, arrived, steps, clock, preemptions,
        residency.loads[GPU], residency.loads[HOST], load_time, gaps, gap_sum, label_sets, labels, scrapes.stalled,
        running_time / 1e9, waiting_seconds + waiting_time / 1e9, kv_seconds + kv_time / 1e9, adapter_time / 1e9,
        busy_time / 1e9,
        samples[:sample_count], tally,
    )  # fmt: skip
