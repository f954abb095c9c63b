"""Step time: how long a step takes if only the means of its contents are known."""

import math
from typing import NamedTuple

from adaptwin.jit import compiled
from adaptwin.profile.step_cost import LARGEST_SPLIT, SMALLEST_SPLIT, TOKEN_BLOCK
from adaptwin.steady_state.in_flight import busy_adapters, peakedness_seen
from adaptwin.steady_state.inputs import MeanTraffic, SteppingServer

P99_DEVIATIONS = 2.33  # standard deviations from the mean of a normal distribution to its 99th percentile
TAIL_SHARE = 0.01  # what happens in a smaller share of the steps does not change the 99th percentile


class StepMeans(NamedTuple):
    """The mean contents of a step."""

    tokens: float
    deviation: float  # standard deviation of the tokens
    requests: float  # decodes
    pairs: float  # of tokens that the attention of prompts compares
    adapters: float
    bend: float  # seconds of the linear layers, over those of reading their weights
    expert_bend: float  # seconds of the experts, over those of reading the weights of all


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
    pairs = (tokens - requests) * _pairs_per_token(mean)
    bend, expert_bend = _mean_bends(tokens, requests, prefills, mean, server)
    step = StepMeans(tokens, deviation, requests, pairs, adapters, bend, expert_bend)
    return _expected_seconds(step, mean.cached, server)


@compiled
def _pairs_per_token(mean: MeanTraffic) -> float:
    """Mean pairs that the attention of prompts compares per token to compute: half of the other tokens of the prompt.

    A token to compute is also compared with all tokens before it that are in cached blocks.
    """
    return 0.5 * (mean.pair_squares / max(mean.prompt, 1e-9) + 1.0)


@compiled
def _mean_bends(
    tokens: float, requests: float, prefills: float, mean: MeanTraffic, server: SteppingServer
) -> tuple[float, float]:
    """Mean of both bends over steps, of which most compute no prompt, and the others at most the token budget.

    Within each of the two kinds, the mean of squares stands for the squares.
    """
    chunks = prefills * max(1.0, mean.prompt / server.token_budget)
    share = 1.0 - math.exp(-chunks)
    usual, usual_experts = _bend(requests * requests, server), _expert_bend(requests, server)
    if share < 1e-9:
        return usual, usual_experts
    more = (tokens - requests) / share
    squares = (prefills * mean.prompt_squares + (prefills * mean.prompt) ** 2) / share
    squares = min(squares, more * server.token_budget)
    large = _bend(requests * requests + 2.0 * requests * more + squares, server)
    large_experts = _expert_bend(requests + more, server)
    return (1.0 - share) * usual + share * large, (1.0 - share) * usual_experts + share * large_experts


@compiled
def _bend(squares: float, server: SteppingServer) -> float:
    """Seconds of the linear layers over those of reading their weights, from the square of the tokens."""
    return math.sqrt(1.0 + server.costs.step.balance * squares)


@compiled
def _expert_bend(tokens: float, server: SteppingServer) -> float:
    """Seconds of the experts over those of reading the weights of all; 0 without experts."""
    cost = server.costs.step
    if cost.expert_weights == 0.0:
        return 0.0
    used = 1.0 - cost.untouched**tokens
    return math.hypot(used, cost.expert_balance * tokens)


@compiled
def _expected_seconds(step: StepMeans, cached: float, server: SteppingServer) -> float:
    """Expected seconds of a step, including its planning, if the number of tokens is normally distributed.

    `cached` are the tokens of KV cache that each decode reads. For a step whose contents are known exactly, see
    `step_seconds`. The number of tokens is rounded up to whole blocks, by half a block on average.
    """
    cost, planning = server.costs.step, server.costs.scheduler
    tokens = step.tokens
    width = math.sqrt(2.0) * max(step.deviation, 1e-6)
    eager = 0.5 * math.erfc((cost.graph_tokens + 0.5 - tokens) / width)
    split = 0.5 * math.erfc((tokens - cost.split_tokens - 0.5) / width)
    parts = SMALLEST_SPLIT + split * (LARGEST_SPLIT - SMALLEST_SPLIT)
    rows = max(1.0, tokens / TOKEN_BLOCK + 0.5)
    wide = max(1.0, tokens / (2 * TOKEN_BLOCK) + 0.5)
    seconds = cost.base + cost.weights * step.bend + cost.per_token * tokens
    seconds += cost.expert_weights * step.expert_bend
    seconds += cost.per_pair * step.pairs + cost.per_context_token * cached * step.requests
    seconds += cost.per_sequence * step.requests + eager * cost.eager
    seconds += server.planning_share * (planning.base + planning.per_running * step.requests)
    slots = float(cost.slots_without_lora)
    if server.slots > 0.0:
        slots = float(cost.slots_with_lora)
        if cost.slots_as_needed:
            slots = min(slots, 2.0 ** math.ceil(math.log2(max(1.0, step.adapters))))
        seconds += cost.lora_base + cost.lora_per_token * tokens + server.adapter_seconds * step.adapters
        seconds += cost.shrink_work * parts * ((TOKEN_BLOCK - 1.0) * step.adapters + tokens)
        seconds += cost.expand_active * step.adapters * wide
    return seconds + slots * (cost.per_slot + cost.shrink_grid * parts * rows + cost.expand_grid * wide)


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
    pairs = (most - requests) * _pairs_per_token(mean) if prefills > TAIL_SHARE else 0.0
    step = StepMeans(most, 0.0, requests, pairs, adapters, _bend(most * most, server), _expert_bend(most, server))
    p99 = _expected_seconds(step, mean.cached, server)
    chain = 1.0 + (math.sqrt(server.slots) - 1.0) * slots_full
    if server.slots > 0.0 and loads * pace / chain > TAIL_SHARE:
        p99 += chain * server.load_seconds
    chunk = min(mean.prompt, server.token_budget)
    tokens = requests + chunk + prefills * mean.prompt
    pairs = 0.5 * chunk * (mean.prompt + 1.0) + prefills * mean.prompt * _pairs_per_token(mean)
    bends = _bend(tokens * tokens, server), _expert_bend(tokens, server)
    step = StepMeans(tokens, math.sqrt(requests), requests, pairs, adapters, bends[0], bends[1])
    first = _expected_seconds(step, mean.cached, server)
    return LongSteps(p99, first)
