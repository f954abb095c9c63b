"""Steady state: the state that a server settles into, computed from averages alone, without simulating requests.

Under constant traffic, the requests in flight determine how long a step takes, by the step-cost law. The time that
steps take determines in turn how many requests are in flight, by Little's law: ``running = rate x answer tokens x
pace``. `solve` finds the pace at which both laws agree, the traffic that would fill the server, and how long adapters
wait for a slot. Chance enters through means and variances only, and there is no preemption: the twin simulates both.
Solving takes microseconds. The surrogate starts from the result.
"""

from typing import NamedTuple

from adaptwin.arrays import Array
from adaptwin.jit import compiled
from adaptwin.profile.profile import Profile
from adaptwin.steady_state.costs import Costs
from adaptwin.steady_state.fixed_points import settle
from adaptwin.steady_state.in_flight import busy_adapters
from adaptwin.steady_state.inputs import mean_traffic, stepping_server
from adaptwin.steady_state.prefix_use import NO_USE, PrefixUse, held_tokens, prefix_use
from adaptwin.steady_state.slots import exceeds
from adaptwin.steady_state.step_time import long_steps, pace_in_batch
from adaptwin.twin.server import Limits, Server
from adaptwin.workload.demand.traffic import AdapterDemands, Demand, Traffic, demands_of
from adaptwin.workload.workload import Workload

_ROUNDS = 4  # in which the use of prefixes and the steady state settle


class SteadyState(NamedTuple):
    """The state that a server settles into. Rates are per second, times in seconds."""

    pace: float  # time from one token of an answer to the next
    running: float  # requests in the batch
    most_running: float  # requests that the batch can hold
    fitting: float  # requests that the KV cache can hold
    capacity: float  # requests/s that a full batch serves
    utilisation: float  # rate over capacity
    tokens: float  # tokens in a step
    wanted: float  # adapters with a request in flight if there were a slot for each
    adapters: float  # adapters in a step
    slots_full: float  # probability that more adapters have a request in flight than there are slots, if none waits
    slot_wait: float  # time that an adapter without a slot waits for one; at most the window
    slot_waiting: float  # share of the LoRA requests that arrive while their adapter waits
    reached: float  # share of the requests that need no slot or get one within the window
    loads: float  # adapters loaded to the GPU per second
    stalled: float  # share of the time that these loads take
    long_step: float  # 99th percentile over tokens of the time that their step takes
    first_step: float  # time of a step that computes a prompt of mean length besides the rest
    hits: float  # share of the prompt tokens that are in cached blocks


def demands_on(profile: Profile, server: Server, workload: Workload) -> AdapterDemands:
    """Return the demand of each adapter of a workload, as this profile's model and the server's settings limit it."""
    model = profile.model
    return demands_of(
        workload,
        early_stop_share=model.early_stop_share,
        early_stop_reach=model.early_stop_reach,
        longest=server.max_model_len or model.max_model_len,
    )


def steady_state(demand: Demand, limits: Limits, costs: Costs, duration: float) -> SteadyState:
    """Return what a server with these limits and costs settles into under this demand, in `duration` seconds."""
    return solve(demand.traffic, demand.by_octave, limits, costs, duration)


@compiled
def solve(traffic: Traffic, by_octave: Array, limits: Limits, costs: Costs, duration: float) -> SteadyState:
    """Compute the steady state. This is `steady_state` for compiled callers."""
    use = NO_USE
    state = _solve_with(traffic, by_octave, limits, costs, duration, use)
    if limits.prefix_caching and traffic.shared > 0.0:
        for _ in range(_ROUNDS):
            use = prefix_use(traffic, by_octave, limits, state.running, state.pace, use, duration)
            state = _solve_with(traffic, by_octave, limits, costs, duration, use)
    return state


@compiled
def _solve_with(
    traffic: Traffic, by_octave: Array, limits: Limits, costs: Costs, duration: float, use: PrefixUse
) -> SteadyState:
    """Compute the steady state with a certain use of prefixes."""
    mean, server = mean_traffic(traffic, by_octave, use), stepping_server(traffic, limits, costs)
    fitting = limits.kv_blocks * limits.block_size / held_tokens(traffic, limits, use)
    in_a_step = limits.token_budget / (1.0 + mean.prompt / mean.answer)
    most = max(1.0, min(float(limits.max_num_seqs), min(fitting, in_a_step)))
    full = pace_in_batch(most, most / (mean.rate * mean.answer), mean, server)
    batch, sharing = settle(most, full, mean, server, traffic.adapters, duration)
    wanted = busy_adapters(by_octave, batch.pace, traffic.dispersion)
    slots_full = 0.0
    if 0.0 < server.slots < traffic.adapters:
        slots_full = exceeds(wanted.mean, wanted.variance, server.slots)
    steps = long_steps(batch.running, batch.pace, wanted.mean, slots_full, sharing.loads, mean, server)
    capacity = most / (mean.answer * full) * (1.0 - sharing.stalled)
    return SteadyState(
        pace=batch.pace,
        running=batch.running,
        most_running=most,
        fitting=fitting,
        capacity=capacity,
        utilisation=mean.rate / capacity,
        tokens=batch.running * (1.0 + mean.prompt / mean.answer),
        wanted=wanted.mean,
        adapters=min(server.slots, wanted.mean),
        slots_full=slots_full,
        slot_wait=sharing.wait,
        slot_waiting=sharing.waiting,
        reached=sharing.reached,
        loads=sharing.loads,
        stalled=sharing.stalled,
        long_step=steps.p99,
        first_step=steps.first,
        hits=use.hits * traffic.shared / max(traffic.prompt, 1e-12),
    )
