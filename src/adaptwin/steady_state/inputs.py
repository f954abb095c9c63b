"""Inputs: the traffic and the server, as the compiled functions of the steady state take them."""

import math
from typing import NamedTuple

from adaptwin.arrays import Array
from adaptwin.jit import compiled
from adaptwin.steady_state.costs import Costs
from adaptwin.steady_state.prefix_use import PrefixUse
from adaptwin.twin.server import Limits
from adaptwin.workload.demand.traffic import Traffic


class MeanTraffic(NamedTuple):
    """Traffic, described by the mean of the requests that are not rejected as too long."""

    rate: float  # requests/s
    prompt: float  # mean tokens to compute
    answer: float  # mean tokens
    cached: float  # mean tokens of KV cache that a decode reads
    prompt_squares: float  # mean square of the prompt's tokens to compute
    pair_squares: float  # mean of twice the pairs that attention compares, but for the tokens to compute
    answer_spread: float  # coefficient of variation of the answers, at most 1
    dispersion: float  # squared coefficient of variation of the gaps between an adapter's arrivals
    lora_share: float  # share of the requests that use an adapter
    by_octave: Array  # (octaves, 2), as in `Demand`


class SteppingServer(NamedTuple):
    """A server, described by its limits and by what its steps cost."""

    slots: float  # 0 if no adapter has traffic
    token_budget: float
    planning_share: float  # 1 if steps wait until they are planned, 0 with asynchronous scheduling
    load_seconds: float  # seconds to load an adapter of mean rank to the GPU
    adapter_seconds: float  # seconds of a step for each adapter in it, whatever its tokens
    costs: Costs


@compiled
def mean_traffic(traffic: Traffic, by_octave: Array, use: PrefixUse) -> MeanTraffic:
    """Describe traffic by the mean of its requests, some of whose tokens are in cached blocks."""
    rate = max(traffic.served_rate, 1e-12)
    answer = max(1.0, traffic.answer / rate)
    prompt, squares = traffic.prompt / rate, traffic.prompt_squares / rate
    hit, hit_squares = use.hits * traffic.shared / rate, use.hits * traffic.shared_squares / rate
    return MeanTraffic(
        rate=rate,
        prompt=prompt - hit,
        answer=answer,
        cached=traffic.context / rate / answer,
        prompt_squares=squares - 2.0 * prompt * hit + hit_squares,
        pair_squares=squares - hit_squares,
        answer_spread=min(1.0, math.sqrt(max(0.0, traffic.answer_squares / rate / answer**2 - 1.0))),
        dispersion=traffic.dispersion,
        lora_share=traffic.lora_rate / max(traffic.rate, 1e-12),
        by_octave=by_octave,
    )


@compiled
def stepping_server(traffic: Traffic, limits: Limits, costs: Costs) -> SteppingServer:
    """Describe a server with these limits and costs under this traffic."""
    rank = traffic.rank_rate / max(traffic.lora_rate, 1e-12)
    return SteppingServer(
        slots=float(limits.max_loras) if traffic.adapters > 0.0 else 0.0,
        token_budget=float(limits.token_budget),
        planning_share=0.0 if limits.async_scheduling else 1.0,
        load_seconds=costs.load_base + costs.load_per_rank * rank,
        adapter_seconds=costs.step.lora_per_adapter
        + costs.step.per_listed_adapter * min(traffic.adapters, float(limits.max_cpu_loras)),
        costs=costs,
    )
