"""Step time: how long a step takes if only the means of its contents are known."""

import math
from typing import NamedTuple

from adaptwin.jit import compiled
from adaptwin.steady_state.in_flight import busy_adapters, peakedness_seen
from adaptwin.steady_state.inputs import MeanTraffic, SteppingServer

P99_DEVIATIONS = 2.33  # standard deviations from the mean of a normal distribution to its 99th percentile
TAIL_SHARE = 0.01  # what happens in a smaller share of the steps does not change the 99th percentile


class LongSteps(NamedTuple):
    """The time of steps that take longer than most, in seconds."""

    p99: float  # 99th percentile over tokens of the time that their step takes
    first: float  # a step that computes a prompt of mean length besides the rest


@compiled
def pace_in_batch(running: float, lasting: float, mean: MeanTraffic, server: SteppingServer) -> float:
    """Mean seconds of the step that yields a token of a request, which shares the batch with `running` others.

    `lasting` is the pace at which this many requests would be in flight; it determines how many adapters are in the
    batch. Because of bursts, a token shares its step with more requests than there are on average.
    """
    requests = 1.0 + running
    if mean.dispersion != 1.0:
        requests += peakedness_seen(mean.by_octave, lasting, mean.dispersion) - 1.0
    prefills = (requests - 1.0) / mean.answer  # prefills that begin in a step; those of a burst delay one another
    adapters = 0.0
    if server.slots > 0.0:
        adapters = min(server.slots, 1.0 + busy_adapters(mean.by_octave, lasting, mean.dispersion).mean)
    deviation = math.sqrt(requests + prefills * mean.prompt_squares)
    tokens = min(requests + prefills * mean.prompt, max(requests, server.token_budget))
    return _expected_seconds(tokens, deviation, requests, mean.cached, adapters, server)


@compiled
def _expected_seconds(
    tokens: float, deviation: float, requests: float, cached: float, adapters: float, server: SteppingServer
) -> float:
    """Expected seconds of a step, including its planning, if the number of tokens is normally distributed.

    `tokens` and `deviation` are its mean and standard deviation, `requests` is the number of decodes, and `cached` the
    tokens of KV cache that each of them reads. For a step whose contents are known exactly, see `step_seconds`.
    """
    cost, planning = server.costs.step, server.costs.scheduler
    width = math.sqrt(2.0) * max(deviation, 1e-6)
    eager = 0.5 * math.erfc((cost.graph_tokens + 0.5 - tokens) / width)
    split = 0.5 * math.erfc((tokens - cost.split_tokens - 0.5) / width)
    seconds = cost.base + cost.per_token * tokens + cost.per_context_token * cached * requests
    seconds += eager * cost.eager + split * cost.split_per_token * tokens
    seconds += server.planning_share * (planning.base + planning.per_running * requests)
    if server.slots > 0.0:
        seconds += cost.lora_base + cost.lora_per_token * tokens
        seconds += (cost.lora_per_adapter + cost.lora_per_token_adapter * tokens) * adapters
        seconds += split * cost.split_per_adapter * adapters
    return seconds


@compiled
def long_steps(
    running: float,
    pace: float,
    wanted: float,
    slots_full: float,
    loads: float,
    mean: MeanTraffic,
    server: SteppingServer,
) -> LongSteps:
    """Estimate the long steps of a server on which `running` requests run and `wanted` adapters want a slot.

    `slots_full` is the probability that every slot is busy, and `loads` the number of adapter loads per second.
    """
    requests = running + peakedness_seen(mean.by_octave, pace, mean.dispersion)
    adapters = min(server.slots, 1.0 + wanted)
    prefills = running / mean.answer
    several = prefills * mean.prompt + P99_DEVIATIONS * math.sqrt(requests + prefills * mean.prompt_squares)
    more = several if prefills > TAIL_SHARE else P99_DEVIATIONS * math.sqrt(requests)
    if TAIL_SHARE < prefills < 1.0:
        more = max(more, mean.prompt)
    most = min(requests + more, max(requests, server.token_budget))
    p99 = _expected_seconds(most, 0.0, requests, mean.cached, adapters, server)
    chain = 1.0 + (math.sqrt(server.slots) - 1.0) * slots_full
    if server.slots > 0.0 and loads * pace / chain > TAIL_SHARE:
        p99 += chain * server.load_seconds
    chunk = min(mean.prompt, server.token_budget)
    tokens = requests + chunk + prefills * mean.prompt
    first = _expected_seconds(tokens, math.sqrt(requests), requests, mean.cached, adapters, server)
    return LongSteps(p99, first)
