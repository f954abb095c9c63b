"""Forecast: simulated figures, headroom and binding constraint of each server of a placement."""

from collections.abc import Iterable, Sequence

import joblib

from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.packing.problem import Assignment
from adaptwin.placement.verification.binding import binding_of
from adaptwin.placement.verification.headroom import FoundHeadroom, find_headroom
from adaptwin.plan.assumptions import assumptions_of
from adaptwin.plan.forecast import MOST_HEADROOM, Binding, Brink, Forecast, Missed, TriedSlots
from adaptwin.plan.plan import Plan
from adaptwin.profile.memory import GIB
from adaptwin.progress import Progress, silent
from adaptwin.twin.host_memory import host_bytes
from adaptwin.twin.run import Run
from adaptwin.twin.simulate import Case, simulate, simulate_many
from adaptwin.workload.workload import Workload

SLOT_CHOICES_SHOWN = 12
SERVERS_WITH_ALL_CHOICES = 12  # above it, only the nearest numbers of slots are tried for each server
NEAREST_CHOICES = 3


def forecast(capacity: Capacity, assignment: Assignment, run: Run) -> Forecast:
    """Return the figures of a server from its `run`, its headroom, and what binds it beyond that."""
    found = find_headroom(capacity, assignment)
    brink = _brink(capacity, assignment, found)
    return Forecast(
        throughput=run.throughput,
        offered_throughput=run.offered_throughput,
        request_rate=capacity.part(assignment.shares).rate,
        ttft_p50=run.ttft.p50,
        ttft_p99=run.ttft.p99,
        itl_mean=run.itl.mean,
        itl_p99=run.itl.p99,
        kv_usage=run.kv_usage,
        prefix_hit_rate=run.prefix_hit_rate,
        mean_running=run.mean_running,
        busy=run.busy,
        host_memory_gib=_host_gib(capacity, assignment),
        preemptions=run.preemptions,
        rejected=run.rejected,
        verdict=run.worst,
        sluggish=run.sluggish and capacity.latency_limits.ttft_p99 is None,
        intervals=run.intervals,
        extrapolations=run.extrapolations,
        headroom=found.headroom,
        binding=_binding(capacity, assignment, found.answer, brink),
        brink=brink,
    )


def _host_gib(capacity: Capacity, assignment: Assignment) -> float:
    adapters = [capacity.adapter(name) for name in assignment.shares]
    return host_bytes(capacity.profile, adapters, assignment.server.adapters_in_host) / GIB


def _brink(capacity: Capacity, assignment: Assignment, found: FoundHeadroom) -> Brink | None:
    """Simulate a server just beyond its headroom, with a seed with which it fails; None where no limit was found."""
    if found.headroom >= MOST_HEADROOM:
        return None
    traffic = 1.0 + found.too_much
    workload = capacity.fresh_part(assignment.shares, traffic, found.seed)
    run = simulate(capacity.profile, assignment.server, workload)
    return Brink(
        traffic=traffic,
        mean_running=run.mean_running,
        mean_waiting=run.mean_waiting,
        mean_adapters=run.mean_adapters,
        kv_usage=run.kv_usage,
        busy=run.busy,
        preemptions=run.preemptions,
        loading=run.adapter_load_time / run.simulated if run.simulated else 0.0,
        ttft_p99=run.ttft.p99,
        itl_mean=run.itl.mean,
        itl_p99=run.itl.p99,
        missed=_most_missed(workload, run),
    )


def _most_missed(workload: Workload, run: Run) -> Missed | None:
    """Return the objective that is missed by the largest ratio, if any is missed."""
    missed = [
        Missed(adapter=adapter.name, objective=objective, latency=latency, allowed=allowed)
        for adapter, row in zip(workload.adapters, run.adapters.iter_rows(named=True), strict=True)
        for objective, latency, allowed in (
            ("ttft", row["ttft_p99"], adapter.slo_ttft),
            ("itl", row["itl_mean"], adapter.slo_itl),
        )
        if allowed and latency and latency > allowed
    ]
    return max(missed, key=lambda each: each.latency / each.allowed, default=None)


def slot_choices(
    capacity: Capacity, assignment: Assignment, run: Run, most: int = SLOT_CHOICES_SHOWN
) -> tuple[TriedSlots, ...]:
    """Simulate numbers of slots around the chosen one for the same adapters; `run` is the run of the chosen one.

    A server with merged weights has no slots to choose.
    """
    if assignment.server.merged:
        return ()
    chosen = assignment.server.max_loras
    choices = sorted({chosen, *capacity.all_slot_choices(assignment.shares)})
    first = max(0, min(choices.index(chosen) - most // 2, len(choices) - most))
    shown = choices[first : first + most]
    return tuple(
        _slot_choice(slots, run if slots == chosen else _run_with(capacity, assignment, slots)) for slots in shown
    )


def with_forecasts(plan: Plan, assignments: Sequence[tuple[Capacity, Assignment]], progress: Progress) -> Plan:
    """Return the plan with forecasts for all servers but standbys, which come last.

    Servers that are like another one get the forecast of that one.
    """
    own = [each for each, server in zip(assignments, plan.servers, strict=False) if server.like is None]
    found = iter(forecast_all(own, progress))
    described = {server.name: next(found) for server in plan.servers[: len(assignments)] if server.like is None}
    serving = tuple(
        server.model_copy(update={"forecast": expected, "choices": choices})
        for server in plan.servers[: len(assignments)]
        for expected, choices in [described[server.like or server.name]]
    )
    servers = serving + plan.servers[len(serving) :]
    return plan.model_copy(update={"servers": servers, "assumptions": assumptions_of(plan)})


def forecast_all(
    assignments: Iterable[tuple[Capacity, Assignment]], progress: Progress = silent
) -> list[tuple[Forecast, tuple[TriedSlots, ...]]]:
    """Return the forecast and the slot choices of every server, computed on all cores."""
    work = list(assignments)
    most = NEAREST_CHOICES if len(work) > SERVERS_WITH_ALL_CHOICES else SLOT_CHOICES_SHOWN
    runs = simulate_many(
        Case(capacity.profile, assignment.server, capacity.part(assignment.shares)) for capacity, assignment in work
    )
    asked = [(*each, run) for each, run in zip(work, runs, strict=True)]
    calls = [  # forecasts come first: each is a long series of runs
        *(joblib.delayed(forecast)(*each) for each in asked),
        *(joblib.delayed(slot_choices)(*each, most) for each in asked),
    ]
    progress("measuring headroom", 0, len(calls))
    answers = []
    for answer in joblib.Parallel(n_jobs=-1, require="sharedmem", return_as="generator")(calls):
        answers.append(answer)
        progress("measuring headroom", len(answers), len(calls))
    return list(zip(answers[: len(work)], answers[len(work) :], strict=True))


def _binding(capacity: Capacity, assignment: Assignment, beyond: Answer, brink: Brink | None) -> Binding:
    """Return what binds a server, given its answer and its run beyond its headroom."""
    return binding_of(
        brink,
        beyond.verdict,
        loras=sum(capacity.adapter(name).rank > 0 for name in assignment.shares),
        max_loras=assignment.server.max_loras,
        max_num_seqs=assignment.server.budgets(capacity.profile)[1],
    )


def _run_with(capacity: Capacity, assignment: Assignment, slots: int) -> Run | None:
    """Simulate the adapters of a server with this many slots; None if the server would not start."""
    now = assignment.server
    held = max(slots, now.max_cpu_loras or 0)
    server = now.with_slots(slots, max_lora_rank=now.max_lora_rank, max_cpu_loras=held)
    if not server.starts_on(capacity.profile):
        return None
    return simulate(capacity.profile, server, capacity.part(assignment.shares))


def _slot_choice(slots: int, run: Run | None) -> TriedSlots:
    if run is None:
        return TriedSlots(max_loras=slots, starts=False)
    return TriedSlots(
        max_loras=slots,
        starts=True,
        throughput=run.throughput,
        itl_mean=run.itl.mean,
        ttft_p50=run.ttft.p50,
        kv_cache_tokens=run.kv_cache_tokens,
        verdict=run.worst,
    )
