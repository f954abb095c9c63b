"""Features: what the surrogate sees of a server and its traffic. Training and placement both use this file.

Most features are ratios from the steady state - how full the batch is, how many adapters want a slot - so that what is
learned on one mix, length or GPU means the same on another. Some tell what a step is made of: a GPU on which prompts
are slow beside decodes has other values than one on which all steps are slow. No feature depends on the name of a
profile, or on an adapter's name or position.
`SteadyStateAnswer` is what the steady state alone answers; the surrogate learns by which factor the twin departs from
it.
"""

import math
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.dataset.play_mix import OCTAVE_COLUMNS
from adaptwin.jit import compiled
from adaptwin.profile.profile import Profile
from adaptwin.steady_state.costs import Costs, costs_of
from adaptwin.steady_state.in_flight import adapters_with_more, busy_adapters
from adaptwin.steady_state.inputs import SteppingServer, stepping_server
from adaptwin.steady_state.steady_state import solve
from adaptwin.surrogate.server_table import ServerTable, costs_in, limits_in, server_table
from adaptwin.twin.server import Limits, Server
from adaptwin.workload.demand.traffic import OCTAVES, Demand, Traffic

STAYING_REQUESTS = 3.0  # mean requests in flight above which an adapter hardly ever leaves its slot


class Features(NamedTuple):
    """Features of one server under its traffic. Logarithms are natural; ratios have no unit."""

    utilisation: float  # log of the arriving requests over those that a full batch serves
    fullness: float  # log of the running requests over the most that can run
    kv_fullness: float  # log of the running requests over those that fit the KV cache
    kv_bound: float  # log of the requests that fit the KV cache over those that other limits allow
    step_fullness: float  # log of the tokens in a step over the token budget
    step_size: float  # log of the tokens in a step over those of the largest CUDA graph
    slot_pressure: float  # log of the adapters that want a slot over the slots
    slot_pressure_later: float  # log of the adapters that want a slot, if requests took four times as long, over slots
    staying: float  # log of the adapters that hardly ever leave their slot over the slots
    slots_full: float  # probability that every slot is busy, if no request waited for one
    slot_wait: float  # log of one plus the seconds that an adapter waits for a slot
    slot_wait_lifetimes: float  # log of one plus the wait for a slot, in lifetimes of a request
    slot_waiting: float  # share of the LoRA requests that arrive while their adapter waits for a slot
    slot_reached: float  # share of the requests that get a slot within the window
    slot_supply: float  # log of the slots over the adapters; 0 when each adapter has a slot
    reloads: float  # log of one plus the adapters loaded per second
    stalled: float  # share of the time that loading adapters takes
    pace: float  # log of the seconds from token to token
    running: float  # log of the running requests
    crowding: float  # log of the running LoRA requests per adapter in a step
    slots: float  # log of one plus the slots
    adapters: float  # log of one plus the adapters
    rank: float  # log of max_lora_rank
    prompt: float  # log of the mean prompt's tokens
    answer: float  # log of the mean answer's tokens
    prompt_spread: float  # coefficient of variation of the prompts' tokens, over all requests
    answer_spread: float  # coefficient of variation of the answers' tokens, over all requests
    chunks: float  # log of the mean prompt over the token budget
    lora_share: float  # share of the requests that use an adapter
    hottest: float  # log of the share of the requests that go to the busiest adapter
    evenness: float  # log of the number of equally popular adapters whose shares have as large a sum of squares
    burstiness: float  # log of the squared coefficient of variation of the gaps between arrivals
    swing: float  # relative variance of the arrival rate, where it switches between regimes
    lifetimes: float  # log of the window over the lifetime of a request
    requests: float  # log of the requests in the window
    rejected: float  # share of requests that are too long
    capacity_tokens: float  # log of the tokens/s that a full batch serves
    hit_share: float  # share of the prompt tokens that are in cached blocks
    is_async: float  # 1 if a step is planned while the step before it computes, else 0
    # The last ones tell apart laws of different proportions, as GPUs, models and versions of vLLM have them.
    full_pace: float  # log of the pace of a full batch over the pace
    long_step: float  # log of the 99th percentile of step times over the pace
    prompt_step: float  # log of the seconds of a step that computes a mean prompt over the pace
    fixed_share: float  # share of the pace that even an empty batch takes: host, and reading weights
    adapter_share: float  # share of the pace that the adapters in a step take
    arithmetic: float  # log of the tokens in a step over those that compute as long as the weights are read
    load_steps: float  # log of one plus the seconds to load a mean adapter over the pace


class SteadyStateAnswer(NamedTuple):
    """What the steady state alone answers: the figures that the surrogate corrects. Latencies are in seconds."""

    offered: float  # tokens/s
    served: float  # share of the offered tokens
    itl_mean: float
    itl_p99: float
    ttft_p50: float
    ttft_p99: float
    e2e_mean: float
    window: float  # seconds; no latency exceeds it, as a request that waits longer does not finish


FEATURE_COUNT, STEADY_ANSWER_COUNT = len(Features._fields), len(SteadyStateAnswer._fields)
OFFERED = SteadyStateAnswer._fields.index("offered")


def features_of(
    demand: Demand, limits: Limits, costs: Costs, duration: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `Features` and `SteadyStateAnswer` as arrays, for a server that has traffic."""
    features, steady_answers = features_of_servers(demand, server_table([(limits, costs)]), duration)
    return features[0], steady_answers[0]


def features_of_servers(
    demand: Demand, servers: ServerTable, duration: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `Features` and `SteadyStateAnswer` of several servers with the same traffic, of shape (servers, ...)."""
    return _arrays_of_servers(demand.traffic, demand.by_octave, servers, duration)


def features_of_table(rows: pl.DataFrame, profiles: dict[str, Profile]) -> tuple[NDArray[np.float64], ...]:
    """Return `Features` (rows, features) and `SteadyStateAnswer` (rows, 8) for rows of a dataset; profiles by name."""
    traffics = rows.select(Traffic._fields).rows()
    by_octave = np.ascontiguousarray(rows.select(OCTAVE_COLUMNS).to_numpy()).reshape(-1, OCTAVES, 2)
    settings = rows.select(
        "profile", "max_loras", "max_lora_rank", "kv_cache_tokens", "max_num_seqs", "max_num_batched_tokens",
        "max_model_len", "async_scheduling", "duration",
    ).rows()  # fmt: skip
    features, steady_answers = np.empty((len(rows), FEATURE_COUNT)), np.empty((len(rows), STEADY_ANSWER_COUNT))
    known: dict[tuple[object, ...], ServerTable] = {}
    for i, (name, *of_server, duration) in enumerate(settings):
        key = (name, *of_server)
        if key not in known:
            known[key] = server_table([_server_of_row(profiles[name], *of_server)])
        of_row = _arrays_of_servers(Traffic(*traffics[i]), by_octave[i], known[key], duration)
        features[i], steady_answers[i] = (array[0] for array in of_row)
    return features, steady_answers


def _server_of_row(
    profile: Profile, slots: int, rank: int, kv_tokens: int, seqs: int, budget: int, longest: int, is_async: bool
) -> tuple[Limits, Costs]:
    server = Server(
        max_loras=slots,
        max_lora_rank=rank,
        kv_cache_tokens=kv_tokens,
        max_num_seqs=seqs,
        max_num_batched_tokens=budget,
        max_model_len=longest,
        async_scheduling=is_async,
    )
    return server.limits(profile), costs_of(profile, server)


@compiled
def _arrays_of_servers(traffic, by_octave, servers, duration):
    """Return `Features` and `SteadyStateAnswer` as arrays with a row for each server."""
    features, steady_answers = np.empty((len(servers), FEATURE_COUNT)), np.empty((len(servers), STEADY_ANSWER_COUNT))
    for i in range(len(servers)):
        limits, costs = limits_in(servers, i), costs_in(servers, i)
        _write_features(features[i], steady_answers[i], traffic, by_octave, limits, costs, duration)
    return features, steady_answers


@compiled
def _write_features(features, steady_answers, traffic, by_octave, limits, costs, duration):
    """Write the fields of `Features` and `SteadyStateAnswer`, in order, into two arrays.

    Assigning whole rows would be shorter, but Numba then compiles the message of a shape that does not fit: 2 s.
    """
    state = solve(traffic, by_octave, limits, costs, duration)
    for place, value in enumerate(_features(state, traffic, by_octave, limits, costs, duration)):
        features[place] = value
    for place, value in enumerate(_steady_answer(state, traffic, limits, costs, duration)):
        steady_answers[place] = value


@compiled
def _features(state, traffic, by_octave, limits, costs, duration):
    """Features of a server in this steady state."""
    served_rate, rate = max(traffic.served_rate, 1e-12), max(traffic.rate, 1e-12)
    prompt, answer = max(1.0, traffic.prompt / served_rate), max(1.0, traffic.answer / served_rate)
    lifetime = answer * state.pace
    slots = float(limits.max_loras)
    others = min(float(limits.max_num_seqs), limits.token_budget / (1.0 + prompt * (1.0 - state.hits) / answer))
    wanted_later = busy_adapters(by_octave, 4.0 * state.pace, traffic.dispersion).mean
    staying = adapters_with_more(by_octave, state.pace, STAYING_REQUESTS)
    slot_pressure = slot_pressure_later = -12.0
    slot_supply = crowding = 0.0
    if traffic.adapters > 0.0 and slots > 0.0:
        slot_pressure, slot_pressure_later = _log(state.wanted / slots), _log(wanted_later / slots)
        slot_supply = min(0.0, math.log(slots / traffic.adapters))
        crowding = _log(state.running * traffic.lora_rate / rate / max(state.adapters, 1e-6))
    is_async = 1.0 if limits.async_scheduling else 0.0
    server = stepping_server(traffic, limits, costs)
    fixed = costs.step.base + costs.step.weights + server.planning_share * costs.scheduler.base
    # Numba compiles a call with this many keywords only if no argument contains an `if`.
    return Features(
        utilisation=_log(state.utilisation),
        fullness=_log(state.running / state.most_running),
        kv_fullness=_log(state.running / state.fitting),
        kv_bound=_log(state.fitting / others),
        step_fullness=_log(state.tokens / limits.token_budget),
        step_size=_log(state.tokens / max(1, costs.step.graph_tokens)),
        slot_pressure=slot_pressure,
        slot_pressure_later=slot_pressure_later,
        staying=math.log((0.5 + staying) / (0.5 + slots)),
        slots_full=state.slots_full,
        slot_wait=math.log1p(state.slot_wait),
        slot_wait_lifetimes=math.log1p(state.slot_wait / lifetime),
        slot_waiting=state.slot_waiting,
        slot_reached=state.reached,
        slot_supply=slot_supply,
        reloads=math.log1p(state.loads),
        stalled=state.stalled,
        pace=math.log(state.pace),
        running=_log(state.running),
        crowding=crowding,
        slots=math.log1p(slots),
        adapters=math.log1p(traffic.adapters),
        rank=math.log(costs.rank),
        prompt=math.log(prompt),
        answer=math.log(answer),
        prompt_spread=_variation(traffic.prompt_squares / served_rate, prompt),
        answer_spread=_variation(traffic.answer_squares / served_rate, answer),
        chunks=math.log(max(1.0, prompt * (1.0 - state.hits)) / limits.token_budget),
        lora_share=traffic.lora_rate / rate,
        hottest=_log(traffic.hottest / rate),
        evenness=_log(rate * rate / max(traffic.rate_squares, 1e-24)),
        burstiness=_log(traffic.dispersion),
        swing=traffic.swing,
        lifetimes=_log(duration / lifetime),
        requests=_log(rate * duration),
        rejected=1.0 - traffic.served_rate / rate,
        capacity_tokens=_log(state.capacity * (prompt + answer)),
        hit_share=state.hits,
        is_async=is_async,
        full_pace=_log(state.most_running * (1.0 - state.stalled) / (answer * state.capacity * state.pace)),
        long_step=_log(state.long_step / state.pace),
        prompt_step=_log(state.first_step / state.pace),
        fixed_share=fixed / state.pace,
        adapter_share=_adapter_seconds(state.adapters, server) / state.pace,
        arithmetic=_log(state.tokens * math.sqrt(costs.step.balance)),
        load_steps=math.log1p(server.load_seconds / state.pace),
    )


@compiled
def _adapter_seconds(adapters: float, server: SteppingServer) -> float:
    """Seconds of a step that this many adapters take, but for the part that grows with its tokens."""
    if server.slots == 0.0:
        return 0.0
    step = server.costs.step
    return step.lora_base + server.adapter_seconds * adapters + step.per_slot * step.slots_with_lora


@compiled
def _steady_answer(state, traffic, limits, costs, duration):
    """Return what the steady state answers for a server."""
    served_rate = max(traffic.served_rate, 1e-12)
    prompt, answer = max(1.0, traffic.prompt / served_rate), max(1.0, traffic.answer / served_rate)
    lifetime = answer * state.pace
    over = max(0.0, 1.0 - 1.0 / max(state.utilisation * state.reached, 1e-9))
    turn = min(state.slot_wait, 0.5 * duration)
    to_compute = prompt * (1.0 - state.hits)
    prefill = costs.request_latency + math.ceil(to_compute / limits.token_budget) * state.first_step
    ttft = prefill + 0.5 * state.pace * min(1.0, state.running) + 0.5 * over * duration
    served = min(state.reached, 1.0 / max(state.utilisation, 1e-9)) / (1.0 + lifetime / duration)
    offered = traffic.prompt + traffic.asked
    given = (traffic.prompt + traffic.answer) / max(offered, 1e-9)  # under 1 where answers end early
    return SteadyStateAnswer(
        offered=offered,
        served=served * given,
        itl_mean=state.pace,
        itl_p99=state.long_step,
        ttft_p50=ttft + (0.5 * turn if state.slot_waiting > 0.5 else 0.0),
        ttft_p99=prefill + state.long_step + over * duration + (turn if state.slot_waiting > 0.01 else 0.0),
        e2e_mean=ttft + 0.5 * turn * state.slot_waiting + lifetime,
        window=duration,
    )


@compiled
def _variation(square: float, mean: float) -> float:
    """Coefficient of variation, from the mean square and the mean."""
    return math.sqrt(max(0.0, square / mean**2 - 1.0))


@compiled
def _log(value: float) -> float:
    return math.log(min(1e12, max(1e-9, value)))
