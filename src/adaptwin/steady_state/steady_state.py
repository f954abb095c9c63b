"""Steady state: what a server settles into, worked out from averages alone, without playing a single request.

A server under constant traffic is a loop: requests in flight make a step long, and long steps keep requests in flight.
Little's law closes it - ``running = rate x answer tokens x pace`` - and the step-cost law opens it again. `settle`
finds the pace at which both agree, how much traffic would fill the server, and how long adapters wait for a slot. It
knows nothing of chance beyond that requests come independently, nor of preemption: the twin plays those. It costs
microseconds, and is where `surrogate` starts from.
"""

import math
from typing import NamedTuple

from adaptwin.jit import compiled
from adaptwin.profile.profile import Profile
from adaptwin.profile.scheduler_cost import SchedulerCoefficients
from adaptwin.profile.step_cost import StepCoefficients
from adaptwin.twin.server import Limits, Server
from adaptwin.workload.demand.traffic import AdapterDemands, Demand, demands_of
from adaptwin.workload.workload import Workload

_TOLERANCE = 1e-3  # of the number of running requests, relative
_TRIES = 40
_LARGEST_STALL = 0.95  # share of the time that loads of adapters may take
P99_DEVIATIONS = 2.33  # standard deviations of a normal variate
TAIL_SHARE = 0.01  # what happens in fewer steps does not show in the 99th percentile
_LONGEST_STAY = 30.0  # requests in flight on average, with which an adapter never leaves its slot


class Costs(NamedTuple):
    """A profile under a server's settings."""

    step: StepCoefficients
    scheduler: SchedulerCoefficients
    load_base: float  # seconds to bring an adapter to the GPU
    load_per_rank: float  # and per unit of its own rank; what is negative is padding saved
    request_latency: float
    rank: float  # max_lora_rank


class SteadyState(NamedTuple):
    """What a server settles into. Rates are per second, times in seconds."""

    pace: float  # from one token of an answer to the next
    running: float  # requests in the batch
    most_running: float  # requests that the batch can hold
    fitting: float  # requests that the KV cache can hold
    capacity: float  # requests/s that a full batch serves
    utilisation: float  # rate over capacity
    tokens: float  # in a step
    wanted: float  # adapters with a request in flight if there were a slot for each
    adapters: float  # adapters in a step
    slots_full: float  # probability that every slot is busy, if nobody waits
    slot_wait: float  # that an adapter without a slot waits for one; at most the window
    slot_waiting: float  # share of the LoRA requests that come while their adapter waits
    reached: float  # share of the requests that get a slot within the window
    loads: float  # adapters brought to the GPU per second
    stalled: float  # share of the time that takes
    long_step: float  # a step that 99 of 100 tokens come sooner than
    first_step: float  # a step that has a mean prompt in it besides the rest


def costs_of(profile: Profile, server: Server) -> Costs:
    """The costs that a steady state rests on."""
    load, rank = profile.load_cost, server.max_lora_rank
    return Costs(
        step=profile.step_cost.resolve(max_loras=server.max_loras, max_lora_rank=rank),
        scheduler=profile.scheduler_cost.coefficients(),
        load_base=load.gpu_base + load.gpu_per_padding * rank,
        load_per_rank=load.gpu_per_rank - load.gpu_per_padding,
        request_latency=profile.request_latency,
        rank=float(rank),
    )


def demands_on(profile: Profile, server: Server, workload: Workload) -> AdapterDemands:
    """What each adapter of a workload asks of this profile's model on a server with these settings."""
    model = profile.model
    return demands_of(
        workload,
        early_stop_share=model.early_stop_share,
        early_stop_reach=model.early_stop_reach,
        longest=server.max_model_len or model.max_model_len,
    )


def steady_state(demand: Demand, limits: Limits, costs: Costs, duration: float) -> SteadyState:
    """What a server with these limits and costs settles into under this demand, within a window of this duration."""
    return SteadyState(*settle(demand.traffic, demand.by_octave, limits, costs, duration))


@compiled
def settle(traffic, by_octave, limits, costs, duration):
    """The fields of `SteadyState`."""
    rate = max(traffic.served_rate, 1e-12)
    prompt, answer = traffic.prompt / rate, max(1.0, traffic.answer / rate)
    cached = traffic.context / rate / answer  # tokens that a decode reads
    held = cached + (prompt + 1.0) / answer + 0.5 * limits.block_size
    fitting = limits.kv_blocks * limits.block_size / held
    in_a_step = limits.token_budget / (1.0 + prompt / answer)
    most = max(1.0, min(float(limits.max_num_seqs), min(fitting, in_a_step)))
    slots = float(limits.max_loras) if traffic.adapters > 0.0 else 0.0
    request = (rate, prompt, answer, cached, traffic.prompt_squares / rate, traffic.dispersion)
    server = (slots, costs, 0.0 if limits.async_scheduling else 1.0, float(limits.token_budget))
    full = _pace(most, most / (rate * answer), by_octave, request, server)

    spread = min(1.0, math.sqrt(max(0.0, traffic.answer_squares / rate / answer**2 - 1.0)))  # of the answers
    rank = traffic.rank_rate / max(traffic.lora_rate, 1e-12)
    window = (
        duration,
        spread,
        costs.load_base + costs.load_per_rank * rank,
        traffic.lora_rate / max(traffic.rate, 1e-12),
    )
    running, pace, turns = _in_turn(most, full, by_octave, request, server, window, traffic.adapters)
    slot_wait, waiting, reached, loads, stalled = turns
    wanted, variance = busy_adapters(by_octave, pace, traffic.dispersion)
    slots_full = 0.0
    if 0.0 < slots < traffic.adapters:
        slots_full = _exceeds(wanted, variance, slots)
    long_step, first_step = _long_steps(running, pace, wanted, slots_full, by_octave, request, server, window, loads)
    capacity = most / (answer * full) * (1.0 - stalled)
    return (
        pace,
        running,
        most,
        fitting,
        capacity,
        rate / capacity,
        running * (1.0 + prompt / answer),
        wanted,
        min(slots, wanted),
        slots_full,
        slot_wait,
        waiting,
        reached,
        loads,
        stalled,
        long_step,
        first_step,
    )


@compiled
def _in_turn(most, full, by_octave, request, server, window, adapters):
    """Running requests and pace, and how adapters take turns, when loading stalls steps just as much as it is needed.

    The longer steps are stalled, the longer adapters stay in their slots and the less there is to load: where the two
    meet is found by halving.
    """
    slots = server[0]
    duration, _, load_seconds, lora_share = window
    running, pace = _balance(most, full, by_octave, request, server, 0.0, 1.0)
    turns = (0.0, 0.0, 1.0, 0.0, 0.0)
    if slots == 0.0 or adapters <= slots:
        return running, pace, turns
    low, high, stalled, reached = 0.0, _LARGEST_STALL, 0.0, 1.0
    for _ in range(_TRIES):
        slot_wait, waiting, holding, loads = _turns(by_octave, pace, request, server, window)
        delayed = 0.5 * slot_wait * waiting / duration
        served = 1.0 - lora_share * (1.0 - holding * (1.0 - delayed))
        needed = min(_LARGEST_STALL, loads * load_seconds)
        turns = (slot_wait, waiting, reached, loads, stalled)
        if (abs(needed - stalled) < 0.01 or high - low < 0.01) and abs(served - reached) < 0.01:
            break
        if needed > stalled:
            low = stalled
        else:
            high = stalled
        stalled = 0.5 * (low + high) if abs(needed - stalled) > 0.1 else min(high, max(low, 0.5 * (needed + stalled)))
        reached = 0.5 * (served + reached) if abs(served - reached) > 0.1 else served
        running, pace = _balance(most, full, by_octave, request, server, stalled, reached)
    return running, pace, turns


@compiled
def _balance(most, full, by_octave, request, server, stalled, reached):
    """The number of running requests, at most `most`, that steps of their own length keep up; and their pace.

    `full` is the pace of a full batch, `reached` the share of the requests that are served at all.
    """
    arriving = request[0] * request[2] * reached  # answer tokens/s
    slowed = 1.0 / (1.0 - stalled)
    low, high = 0.0, most
    # Requests in flight at the pace of a batch, less the batch: above 0 it fills, below it empties.
    at_low = arriving * slowed * _pace(0.0, 0.0, by_octave, request, server)
    at_high = arriving * slowed * full - most
    if at_high >= 0.0:
        return most, full * slowed
    running = pace = 0.0
    for _ in range(_TRIES):
        running = (low * at_high - high * at_low) / (at_high - at_low)
        pace = slowed * _pace(running, running / arriving, by_octave, request, server)
        excess = arriving * pace - running
        if abs(excess) < _TOLERANCE * running:
            break
        if excess > 0.0:
            low, at_low, at_high = running, excess, 0.5 * at_high  # the Illinois rule: no end stays for long
        else:
            high, at_high, at_low = running, excess, 0.5 * at_low
    return running, pace


@compiled
def _pace(running, lasting, by_octave, request, server):
    """Seconds of the step that a token sees which is one of a batch: of its own request and of `running` others.

    `lasting` is the pace at which so many requests would be in flight, which tells how many adapters are. Bursts put
    more others beside a token than there are on average.
    """
    _, prompt, answer, cached, prompt_square, dispersion = request
    slots = server[0]
    requests = 1.0 + running
    if dispersion != 1.0:
        requests += _peakedness_seen(by_octave, lasting, dispersion) - 1.0
    prefills = (requests - 1.0) / answer  # that begin in a step; those of a burst hold up one another
    adapters = 0.0
    if slots > 0.0:
        busy, _ = busy_adapters(by_octave, lasting, dispersion)
        adapters = min(slots, 1.0 + busy)
    deviation = math.sqrt(requests + prefills * prompt_square)
    tokens = min(requests + prefills * prompt, max(requests, server[3]))
    return _expected_step_seconds(tokens, deviation, requests, cached, adapters, server)


@compiled
def _expected_step_seconds(tokens, deviation, requests, cached, adapters, server):
    """Seconds of a step with so many tokens, give or take a normal deviation, of decodes of so many requests.

    Planning is part of it. `step_seconds` says the same of a step that is known exactly.
    """
    slots, costs, is_planned, _ = server
    cost = costs.step
    width = math.sqrt(2.0) * max(deviation, 1e-6)
    eager = 0.5 * math.erfc((cost.graph_tokens + 0.5 - tokens) / width)
    split = 0.5 * math.erfc((tokens - cost.split_tokens - 0.5) / width)
    seconds = cost.base + cost.per_token * tokens + cost.per_context_token * cached * requests
    seconds += eager * cost.eager + split * cost.split_per_token * tokens
    seconds += is_planned * (costs.scheduler.base + costs.scheduler.per_running * requests)
    if slots > 0.0:
        seconds += cost.lora_base + cost.lora_per_token * tokens
        seconds += (cost.lora_per_adapter + cost.lora_per_token_adapter * tokens) * adapters
        seconds += split * cost.split_per_adapter * adapters
    return seconds


@compiled
def _long_steps(running, pace, wanted, full, by_octave, request, server, window, loads):
    """The step that 99 of 100 tokens come sooner than, and one with a mean prompt in it."""
    _, prompt, answer, cached, prompt_square, dispersion = request
    slots, token_budget, load_seconds = server[0], server[3], window[2]
    requests = running + _peakedness_seen(by_octave, pace, dispersion)
    adapters = min(slots, 1.0 + wanted)
    prefills = running / answer
    several = prefills * prompt + P99_DEVIATIONS * math.sqrt(requests + prefills * prompt_square)
    more = several if prefills > TAIL_SHARE else P99_DEVIATIONS * math.sqrt(requests)
    if TAIL_SHARE < prefills < 1.0:
        more = max(more, prompt)
    high = _expected_step_seconds(
        min(requests + more, max(requests, token_budget)), 0.0, requests, cached, adapters, server
    )
    chain = 1.0 + (math.sqrt(slots) - 1.0) * full
    if slots > 0.0 and loads * pace / chain > TAIL_SHARE:
        high += chain * load_seconds
    chunk = min(prompt, token_budget)
    first = _expected_step_seconds(
        requests + chunk + prefills * prompt, math.sqrt(requests), requests, cached, adapters, server
    )
    return high, first


@compiled
def _peakedness(flying, dispersion):
    """Variance over mean of an adapter's requests in flight; also, about how many come together.

    The peakedness of a renewal process with Gamma gaps (Eckberg 1983): 1 for Poisson arrivals.
    """
    if dispersion == 1.0 or flying <= 0.0:
        return 1.0
    return 1.0 / (1.0 - (1.0 + dispersion / flying) ** (-1.0 / dispersion)) - flying


@compiled
def _peakedness_seen(by_octave, pace, dispersion):
    """The same as tokens see it: the mean over adapters, weighted by their tokens."""
    seen = total = 0.0
    for i in range(len(by_octave)):
        if by_octave[i, 0] > 0.0:
            seen += by_octave[i, 1] * _peakedness(by_octave[i, 1] / by_octave[i, 0] * pace, dispersion)
            total += by_octave[i, 1]
    return seen / total if total > 0.0 else 1.0


@compiled
def busy_adapters(by_octave, pace, dispersion):
    """Mean and variance of the adapters with a request in flight, if a token takes so long and nobody waits."""
    mean = variance = 0.0
    for i in range(len(by_octave)):
        if by_octave[i, 0] > 0.0:
            flying = by_octave[i, 1] / by_octave[i, 0] * pace
            idle = math.exp(-flying / _peakedness(flying, dispersion))
            mean += by_octave[i, 0] * (1.0 - idle)
            variance += by_octave[i, 0] * idle * (1.0 - idle)
    return mean, variance


@compiled
def _turns(by_octave, pace, request, server, window):
    """How adapters take turns in the slots.

    Gives the wait for a slot, the share of requests that come meanwhile, the share of adapters' time that finds a slot
    within the window, and loads/s. An adapter keeps its slot for a busy period: (e^n - 1) / rate with n requests in
    flight on average, and longer by the logarithm of the requests that gathered while it waited. Between two stays it
    waits for the first request and then for a slot, so all stays together need ``sum of stay / (stay + wait + 1 /
    rate)`` slots. That falls with the wait, and where it comes down to the slots there are, there the wait settles.
    Where no wait is needed, adapters linger in their slots after their last request, until others push them out: the
    longest unused goes first.
    """
    answer, slots, (duration, spread, _, _) = request[2], server[0], window
    wanted, variance = busy_adapters(by_octave, pace, request[5])
    # While all slots are busy, a newcomer pushes out adapters that are in the batch and have to come back at once,
    # which pushes out others: the twin counts about as many loads as the root of the slots for each newcomer.
    chain = math.sqrt(slots)
    if wanted < slots:
        lingering = _lingering(by_octave, answer, pace, slots)
        newcomers = 0.0
        for i in range(len(by_octave)):
            if by_octave[i, 0] > 0.0:
                rate = by_octave[i, 1] / by_octave[i, 0] / answer
                newcomers += by_octave[i, 0] * rate * math.exp(-rate * (answer * pace + lingering))
        return 0.0, 0.0, 1.0, newcomers * (1.0 + (chain - 1.0) * _exceeds(wanted, variance, slots))
    needed, turns, waiting = _stays(by_octave, pace, answer, spread, duration)
    if needed > slots:
        return duration, waiting, slots / needed, turns * chain
    low, high = math.log(1e-3), math.log(duration)
    while high - low > 0.02:
        middle = 0.5 * (low + high)
        needed, turns, waiting = _stays(by_octave, pace, answer, spread, math.exp(middle))
        if needed > slots:
            low = middle
        else:
            high = middle
    return math.exp(high), waiting, 1.0, turns * chain


@compiled
def _exceeds(mean, variance, slots):
    """Probability that more adapters are busy than there are slots, for a normal number of them."""
    return 0.5 * math.erfc((slots + 0.5 - mean) / math.sqrt(2.0 * max(variance, 1e-9)))


@compiled
def _stays(by_octave, pace, answer, spread, wait):
    """Slots that all stays need if adapters wait so long for theirs, stays/s, and the share of requests that wait."""
    needed = turns = waiting = total = 0.0
    lifetime = answer * pace
    for i in range(len(by_octave)):
        if by_octave[i, 0] == 0.0 or by_octave[i, 1] == 0.0:
            continue
        rate = by_octave[i, 1] / by_octave[i, 0] / answer
        stay = math.expm1(min(_LONGEST_STAY, rate * lifetime)) / rate + spread * lifetime * math.log1p(rate * wait)
        turn = stay + wait + 1.0 / rate
        needed += by_octave[i, 0] * stay / turn
        turns += by_octave[i, 0] / turn
        waiting += by_octave[i, 0] * (1.0 + rate * wait) / turn
        total += by_octave[i, 0] * rate
    return needed, turns, waiting / max(total, 1e-300)


@compiled
def _lingering(by_octave, answer, pace, slots):
    """How long an adapter stays in its slot after its last request: until as many others have come as there are slots.

    That is Che's approximation of a cache that forgets what was used least recently.
    """
    low, high = math.log(1e-3), math.log(1e7)
    while high - low > 0.05:
        middle = 0.5 * (low + high)
        kept, _ = busy_adapters(by_octave, pace + math.exp(middle) / answer, 1.0)
        if kept < slots:
            low = middle
        else:
            high = middle
    return math.exp(high)
