"""ServerTable: servers as records of one array, from which compiled loops read their limits and costs.

A list of named tuples would do, but Numba compiles the functions of its typed list anew in every process, which takes
about as long as the search of a plan. Numba cannot return a record from a function, so each is read back into the named
tuples that the steady state takes.
"""

from collections.abc import Iterable, Sequence
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.profile.scheduler_cost import SchedulerCoefficients
from adaptwin.profile.step_cost import StepCoefficients
from adaptwin.steady_state.costs import Costs
from adaptwin.twin.server import Limits

ServerTable = NDArray[np.void]  # (servers,), with the fields of `Limits` and of `Costs`


def server_table(servers: Sequence[tuple[Limits, Costs]]) -> ServerTable:
    """Convert servers to a table."""
    return np.array([tuple(server) for server in servers], dtype=_SERVER)


def joined(tables: Iterable[ServerTable]) -> ServerTable:
    """Join tables. `np.concatenate` would take a millisecond, because it compares records within records by name."""
    return np.frombuffer(bytearray().join(table.tobytes() for table in tables), _SERVER)


def _record(fields: Any) -> Any:
    """Return a record type with the fields of a named tuple, and of the named tuples inside it."""
    types = get_type_hints(fields)
    return np.dtype([(name, t if t in (int, float, bool) else _record(t)) for name, t in types.items()], align=True)


_SERVER = np.dtype([("limits", _record(Limits)), ("costs", _record(Costs))], align=True)


@compiled
def limits_in(servers, i):
    """Return the `Limits` of server `i` of a table."""
    limits = servers[i].limits
    return Limits(
        block_size=limits.block_size,
        kv_blocks=limits.kv_blocks,
        max_loras=limits.max_loras,
        max_cpu_loras=limits.max_cpu_loras,
        max_num_seqs=limits.max_num_seqs,
        token_budget=limits.token_budget,
        max_model_len=limits.max_model_len,
        reserve_whole_prompt=limits.reserve_whole_prompt,
        watermark_blocks=limits.watermark_blocks,
        async_scheduling=limits.async_scheduling,
        prefix_caching=limits.prefix_caching,
        max_num_queued_reqs=limits.max_num_queued_reqs,
        uncached_first=limits.uncached_first,
        output_chunk=limits.output_chunk,
    )


@compiled
def costs_in(servers, i):
    """Return the `Costs` of server `i` of a table."""
    costs = servers[i].costs
    step, scheduler = costs.step, costs.scheduler
    return Costs(
        step=StepCoefficients(
            base=step.base,
            weights=step.weights,
            balance=step.balance,
            expert_weights=step.expert_weights,
            untouched=step.untouched,
            expert_balance=step.expert_balance,
            per_token=step.per_token,
            per_pair=step.per_pair,
            per_context_token=step.per_context_token,
            per_sequence=step.per_sequence,
            eager=step.eager,
            graph_tokens=step.graph_tokens,
            split_tokens=step.split_tokens,
            slots_without_lora=step.slots_without_lora,
            slots_with_lora=step.slots_with_lora,
            slots_as_needed=step.slots_as_needed,
            per_slot=step.per_slot,
            shrink_grid=step.shrink_grid,
            expand_grid=step.expand_grid,
            lora_base=step.lora_base,
            lora_per_token=step.lora_per_token,
            shrink_work=step.shrink_work,
            lora_per_adapter=step.lora_per_adapter,
            expand_active=step.expand_active,
            per_listed_adapter=step.per_listed_adapter,
        ),
        scheduler=SchedulerCoefficients(
            base=scheduler.base, per_running=scheduler.per_running, per_waiting=scheduler.per_waiting
        ),
        load_base=costs.load_base,
        load_per_rank=costs.load_per_rank,
        request_latency=costs.request_latency,
        rank=costs.rank,
    )
