"""play: run the compiled twin, which gives the outcome of the reference but does work only for what changes in a step.

For speed, state is spread over flat arrays. Invariants keep it correct; they stand in the file that owns the state:
`seats` owns the running list, `waiting_queue` the waiting requests, `adapter_slots` and `residency` the adapters,
`flights` the steps in flight, `presence` and `scrapes` the API server, and `ledger` what is counted.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import borrowing, inlined
from adaptwin.profile.scheduler_cost import scheduler_seconds
from adaptwin.profile.step_cost import seconds_besides_cache, step_contents
from adaptwin.twin.kernel.adapter_slots import all_taken, empty_slots, load, needs_new_slot
from adaptwin.twin.kernel.cached_runs import empty_cache
from adaptwin.twin.kernel.flights import Flights, land, launch, no_flights
from adaptwin.twin.kernel.interruptions import forget, no_interruptions, remember
from adaptwin.twin.kernel.ledger import Ledger, Sums, add_time, empty_ledger, next_sample, note_step, record
from adaptwin.twin.kernel.notes import USUAL_SIZES, Sizes, first_notes, have_room, next_notes
from adaptwin.twin.kernel.presence import WAITING, empty_presence, joins, note
from adaptwin.twin.kernel.scheduler import Scheduler, no_progress, schedule_running, schedule_waiting
from adaptwin.twin.kernel.scrapes import Scrapes, after_stall, no_scrapes, passes
from adaptwin.twin.kernel.seats import empty_seats, first_in_bucket
from adaptwin.twin.kernel.unfinished import stop
from adaptwin.twin.kernel.waiting_queue import append, empty_queue
from adaptwin.twin.scenario import NOT_YET, Outcome, Sample, Scenario, require_in_reach
from adaptwin.twin.token_gaps import bin_of
from adaptwin.twin.wide_sums import add_product
from adaptwin.workload.drawing.requests import NO_MORE

_step_contents = inlined(step_contents)
_seconds_besides_cache = inlined(seconds_besides_cache)
_scheduler_seconds = inlined(scheduler_seconds)

_CLOCK = np.dtype([("time", np.int64), ("steps", np.int64), ("planned", np.int64), ("reported", np.int64)])


class Engine(NamedTuple):
    """All state that changes while a scenario is simulated."""

    scheduler: Scheduler
    flights: Flights
    scrapes: Scrapes
    ledger: Ledger
    clock: NDArray[np.void]  # (1,)


def play(scenario: Scenario, sizes: Sizes = USUAL_SIZES) -> Outcome:
    """Simulate the scenario to its end and return the outcome of `ReferenceTwin(scenario).run()`, bit for bit.

    The run is simulated in chapters, because the compiled functions make no arrays, and their integers have 64 bits.
    After each chapter, Python moves its sums to integers of any size, and clears or enlarges the notes.

    Raises:
        SpecError: The run takes too many steps, or too much simulated time.
    """
    engine, notes, sums, interruptions = (
        _first_engine(scenario),
        first_notes(scenario, sizes),
        Sums(),
        no_interruptions(),
    )
    while not _play_chapter(scenario, engine, notes):
        sums.take(engine.ledger)
        clock = _values(engine.clock)
        require_in_reach(clock["time"], clock["steps"])
        interruptions = remember(interruptions, engine.scheduler, engine.ledger, notes, scenario.window, clock["steps"])
        notes = next_notes(
            notes,
            scenario,
            sizes,
            oldest=forget(engine.scheduler, notes, clock["steps"]),
            planned=clock["planned"],
            time=clock["time"],
            label_sets=int(engine.scheduler.presence.seen["label_sets"][0]),
        )
    steps = int(engine.clock["steps"][0])
    interruptions = remember(interruptions, engine.scheduler, engine.ledger, notes, scenario.window, steps)
    stop(engine.scheduler, engine.ledger, notes, interruptions, steps, scenario.window.warmup)
    sums.take(engine.ledger)
    return _outcome(engine, sums)


def _first_engine(scenario: Scenario) -> Engine:
    """Return the engine before the first request."""
    requests, adapters, limits, window = scenario.requests, scenario.adapters, scenario.limits, scenario.window
    count = len(requests.arrival)
    return Engine(
        scheduler=Scheduler(
            seats=empty_seats(limits, requests.output),
            queue=empty_queue(count, len(adapters.needs_slot)),
            slots=empty_slots(adapters, limits),
            presence=empty_presence(adapters, is_kept=window.scrape_every > 0),
            progress=no_progress(count),
            cache=empty_cache(limits, requests),
        ),
        flights=no_flights(limits.max_num_seqs),
        scrapes=no_scrapes(window.scrape_every, scenario.scrape_cost),
        ledger=empty_ledger(window),
        clock=np.zeros(1, _CLOCK),
    )


def _outcome(engine: Engine, sums: Sums) -> Outcome:
    scheduler, ledger = engine.scheduler, engine.ledger
    progress, loads = scheduler.progress, _values(scheduler.slots.residency.state)
    clock, counts, seen = _values(engine.clock), _values(ledger.counts), _values(scheduler.presence.seen)
    cached = _values(scheduler.cache.state)
    arrived = _values(scheduler.queue.state)["arrived"]
    for array, value in ((progress.first_token, NOT_YET), (progress.finish, NOT_YET), (progress.generated, 0)):
        array[arrived:] = value
    return Outcome(
        first_token=progress.first_token,
        finish=progress.finish,
        generated=progress.generated,
        rejected=progress.rejected,
        running=progress.has_seat,
        arrived=arrived,
        steps=clock["steps"],
        end=clock["time"],
        preemptions=counts["preemptions"],
        queried_tokens=cached["queried_tokens"],
        hit_tokens=cached["hit_tokens"],
        gpu_loads=loads["gpu_loads"],
        disk_loads=loads["disk_loads"],
        load_time=counts["load_time"],
        gaps=ledger.gaps,
        label_sets=seen["label_sets"],
        labels=seen["labels"],
        stalled=_values(engine.scrapes.state)["stalled"],
        samples=ledger.samples[: counts["samples"]].view(np.int64).reshape(-1, len(Sample._fields)),
        step_totals=sums.step_totals,
        **sums.integrals,
    )


def _values(state: NDArray[np.void]) -> dict[str, int]:
    """Return the fields of a state record as Python numbers."""
    assert state.dtype.names is not None
    return dict(zip(state.dtype.names, state[0].item(), strict=True))


@borrowing
def _play_chapter(scenario, engine, notes):
    """Simulate until the run ends or the notes are full; return whether the run has ended."""
    seats, queue, _, presence, _, cache = engine.scheduler
    clock, seated, waiting = engine.clock[0], seats.state[0], queue.state[0]
    counts = engine.ledger.counts[0]
    synchronous, most_seats = not scenario.limits.async_scheduling, scenario.limits.max_num_seqs
    while have_room(notes, counts, clock, scenario.limits.max_num_seqs, presence.seen[0].label_sets):
        _receive(scenario, engine)
        if presence.is_kept and clock.steps > clock.reported:
            clock.reported = clock.steps
            note(presence, notes.combinations)
        if seated.running == 0 and waiting.waiting == 0:
            if _idle(scenario, engine):
                return True
            continue
        is_final = waiting.passed_all or seated.running == most_seats or cache.state[0].publishers == 0
        admits_nobody = waiting.settled and is_final
        only_decodes = synchronous and seated.partial < 0 and (admits_nobody or waiting.waiting == 0)
        if only_decodes and _decode(scenario, engine, notes):
            continue
        if _one_step(scenario, engine, notes):
            return True
    return False


@inlined
def _receive(scenario, engine):
    """Queue the requests that have arrived by now, as far as the client's limit on open requests allows."""
    requests, limits, most = scenario.requests, scenario.limits, scenario.window.max_in_flight
    seats, queue, slots, presence, progress, _ = engine.scheduler
    clock, seated, waiting = engine.clock[0], seats.state[0], queue.state[0]
    longest_held = limits.kv_blocks * limits.block_size + 1  # the last output token is never cached
    no_slot_is_free = all_taken(slots)
    for r in range(waiting.arrived, len(requests.arrival)):
        if requests.arrival[r] > clock.time or passes(engine.scrapes, presence, requests.arrival[r]) > clock.time:
            break
        if 0 < most <= seated.running + waiting.waiting:
            break
        waiting.arrived = r + 1
        progress.first_token[r] = progress.finish[r] = NOT_YET
        progress.generated[r] = 0
        prompt, a = requests.input[r], np.int64(requests.adapter[r])
        is_too_long = prompt + requests.asked[r] > limits.max_model_len or prompt + requests.output[r] > longest_held
        if is_too_long or seated.running + waiting.waiting >= limits.max_num_queued_reqs:
            progress.rejected[r] = True
            continue
        waiting.waiting += 1
        joins(presence, WAITING, a)
        if waiting.settled and waiting.passed_all:
            if no_slot_is_free and needs_new_slot(slots, a):
                append(queue, r, a)
                waiting.fresh = waiting.arrived
            else:
                waiting.settled = False


@inlined
def _idle(scenario, engine):
    """Advance the clock to the next request or, without one, to the end of the run; return whether there is none."""
    arrival, window = scenario.requests.arrival, scenario.window
    clock, arrived = engine.clock[0], engine.scheduler.queue.state[0].arrived
    over = arrived == len(arrival)
    if over:
        until = clock.time if window.drain else max(clock.time, window.end)
    else:
        until = passes(engine.scrapes, engine.scheduler.presence, arrival[arrived])
    record(engine.ledger, window, until, 0, 0, 0, 0)
    clock.time = until
    return over


@inlined
def _decode(scenario, engine, notes):
    """Take steps that only decode, until a request arrives, finishes or lacks a block; none can be admitted meanwhile.

    Returns whether there was such a step.
    """
    limits, step_cost, window = scenario.limits, scenario.step_cost, scenario.window
    seats, queue, slots, presence, _, _ = engine.scheduler
    clock, seated, integrals = engine.clock[0], seats.state[0], engine.ledger.integrals[0]
    running, waiting = seated.running, queue.state[0].waiting
    decodes, distinct = seated.decodes, slots.state[0].adapters
    due, horizon = _next_event(scenario, engine, notes)
    scheduling = _scheduler_seconds(scenario.scheduler_cost, running, waiting)
    contents = _step_contents(step_cost, decodes, decodes, 0, distinct)
    besides = _seconds_besides_cache(step_cost, contents)
    apart = decodes > limits.output_chunk
    cut = NO_MORE if window.drain else window.end
    began = time = clock.time
    planned, free_blocks, context = clock.planned, seated.free_blocks, seated.context
    kv_time = gap_sum = np.int64(0)
    phase = -(planned + 1) % limits.block_size
    while time < due and planned < notes.last:
        crossing = seats.phase[phase]
        if first_in_bucket(seats, planned + 1) >= 0 or crossing > free_blocks:
            break
        seconds = scheduling + (besides + step_cost.per_context_token * context)
        end = time + np.int64(seconds * 1e9 + 0.5)
        if end > horizon:
            break
        note_step(engine.ledger, window, contents, context, waiting)
        free_blocks -= crossing
        kv_time += (limits.kv_blocks - free_blocks) * max(np.int64(0), end - max(time, window.warmup))
        seen = min(passes(engine.scrapes, presence, end), cut)
        gap = seen - notes.step_end[planned - notes.first]
        if seen > window.warmup and (gap > 0 or apart):
            engine.ledger.gaps[bin_of(gap)] += decodes
            gap_sum += gap
        planned += 1
        notes.step_end[planned - notes.first] = seen
        notes.step_apart[planned - notes.first] = apart
        time = end
        context += decodes
        phase = phase - 1 if phase > 0 else limits.block_size - 1
    if planned == clock.planned:
        return False
    clock.steps = clock.planned = planned
    clock.time = time
    seated.free_blocks, seated.context = free_blocks, context
    integrals.kv_time.low += kv_time
    add_product(integrals.gap_sum, decodes, gap_sum)
    add_time(integrals, max(np.int64(0), time - max(began, window.warmup)), running, waiting, distinct, 0)
    return True


@inlined
def _next_event(scenario, engine, notes):
    """Return when the next request arrives, if the client can send it, and when a stretch of steps must end anyway."""
    requests, window, queue = scenario.requests, scenario.window, engine.scheduler.queue.state[0]
    due = NO_MORE
    in_flight = engine.scheduler.seats.state[0].running + queue.waiting
    if queue.arrived < len(requests.arrival) and not 0 < window.max_in_flight <= in_flight:
        due = after_stall(engine.scrapes, requests.arrival[queue.arrived])
    horizon = min(notes.until, next_sample(engine.ledger, window, NO_MORE))
    return due, horizon if window.drain else min(horizon, window.end)


@inlined
def _one_step(scenario, engine, notes):
    """Plan a step, and take the tokens of the oldest step in flight unless another step can be planned first.

    Returns whether this would end after the end of a window that is cut.
    """
    limits, window = scenario.limits, scenario.window
    clock, seated, integrals = engine.clock[0], engine.scheduler.seats.state[0], engine.ledger.integrals[0]
    planned = clock.planned
    end = _launch(scenario, engine, notes)
    flight = engine.flights.flight[(clock.steps + 1) & 1]
    in_flight = clock.planned - clock.steps
    lands = clock.planned == planned or in_flight == 2 or not limits.async_scheduling
    if lands:
        end = max(end, flight.end)
    until = end if window.drain else min(end, window.end)
    time = max(np.int64(0), until - max(clock.time, window.warmup))
    held = limits.kv_blocks - seated.free_blocks
    running, waiting = seated.running, engine.scheduler.queue.state[0].waiting
    add_time(integrals, time, running, waiting, flight.adapters, held)
    record(engine.ledger, window, end, running, waiting, held, flight.adapters)
    clock.time = until
    if until < end:
        return True
    if lands:
        clock.steps += 1
        seen = passes(engine.scrapes, engine.scheduler.presence, end)
        seen = seen if window.drain else min(seen, window.end)
        land(engine.flights, engine.scheduler, limits, engine.ledger, notes, clock.steps, seen, window.warmup)
    return False


@inlined
def _launch(scenario, engine, notes):
    """Plan a step and send it to the model, unless it is empty; return when it is planned."""
    limits, step_cost, scheduler, ledger = scenario.limits, scenario.step_cost, engine.scheduler, engine.ledger
    clock, seated, waiting = engine.clock[0], scheduler.seats.state[0], scheduler.queue.state[0]
    counts, slots = ledger.counts[0], scheduler.slots
    step, preemptions = clock.planned + 1, counts.preemptions
    tokens, context, pairs = schedule_running(scheduler, limits, step, counts, notes.segments)
    waiting.settled = waiting.passed_all = False
    if counts.preemptions == preemptions and waiting.waiting > 0:
        admitted, more_context, more_pairs = schedule_waiting(
            scheduler, limits, scenario.requests, step, limits.token_budget - tokens
        )
        tokens += admitted
        context += more_context
        pairs += more_pairs
    loading = load(slots, step)
    counts.load_time += loading
    scheduled = seated.running - seated.ending
    scheduling = _scheduler_seconds(scenario.scheduler_cost, scheduled, waiting.waiting)
    planning = np.int64(scheduling * 1e9 + 0.5)
    planned = clock.time + planning
    if scheduled > 0:
        context += seated.context
        contents = _step_contents(step_cost, tokens, scheduled, pairs, slots.state[0].adapters)
        besides = _seconds_besides_cache(step_cost, contents)
        seconds = scheduling + (besides + step_cost.per_context_token * context)
        note_step(ledger, scenario.window, contents, context, waiting.waiting)
        start = planned
        if clock.planned > clock.steps:
            start = max(start, engine.flights.flight[clock.planned & 1].end)
        launch(engine.flights, scheduler, notes, step, start + loading + np.int64(seconds * 1e9 + 0.5) - planning)
        clock.planned = step
    return planned
