"""explain: what limits each GPU of a plan, its spare capacity, and which changes would save a GPU."""

from collections.abc import Sequence
from typing import Literal

import joblib

from adaptwin.errors import SpecError
from adaptwin.explanation.explanation import Advice, Explanation, ServerExplanation
from adaptwin.explanation.newcomer import typical_adapter
from adaptwin.explanation.room import Room, serves_alone
from adaptwin.explanation.savings import savings
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.shorter_requests import with_startable_length
from adaptwin.placement.packing.problem import Assignment
from adaptwin.placement.verification.forecast import forecast
from adaptwin.plan.assumptions import assumptions_of
from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.compilation import compile_planning
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import server_rank
from adaptwin.twin.simulate import simulate
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Adapter


def explain(
    plan: Plan,
    *,
    rank: int | None = None,
    rate: float | None = None,
    lengths: Lengths | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    jobs: int = -1,
    progress: Progress = silent,
) -> Explanation:
    """Explain a plan: what limits each GPU, its spare capacity, the effect of one more adapter, and how to save a GPU.

    Everything about the servers of the plan is simulated. The changes that would save a GPU are estimates.

    Args:
        plan: The plan, which holds its workload and profiles.
        rank: Rank of one more adapter; by default the median of the plan's. 0 is traffic to the base model.
        rate: Requests/s of this adapter; by default the median of the plan's.
        lengths: Lengths of its requests; by default those of all adapters of the plan together.
        surrogate: Surrogate that estimates which changes would save a GPU, as for `make_plan`.
        jobs: Number of cores to use; -1 is all.
        progress: Called with the current stage, the work done and the total work.

    Raises:
        SpecError: vLLM does not serve the rank, the rate is below zero, or the plan has no servers.
    """
    serving = plan.serving
    if not serving:
        raise SpecError("none serves adapters: there is nothing to explain", "servers")
    newcomer = typical_adapter(plan, rank, rate, lengths)
    compile_planning(progress, predicts=surrogate is not None)
    calls = (joblib.delayed(_explained)(plan, placed, newcomer) for placed in serving)
    answers = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(calls)
    servers: list[ServerExplanation] = []
    for explained in answers:
        servers.append(explained)
        progress("simulating servers", len(servers), len(serving))
    forecasts = {each.server: each.forecast for each in servers}
    return Explanation(
        gpus=plan.gpus,
        lower_bound=plan.lower_bound,
        assumptions=assumptions_of(plan),
        newcomer=newcomer,
        servers=tuple(servers),
        advice=_advice(plan, newcomer, servers),
        savings=savings(plan, forecasts, surrogate, progress),
    )


def _explained(plan: Plan, placed: PlacedServer, newcomer: Adapter) -> ServerExplanation:
    profile, room = plan.profile_of(placed), Room(plan, placed, newcomer)
    adapters = plan.workload_of(placed).adapters
    return ServerExplanation(
        server=placed.name,
        profile=placed.profile,
        gpus=profile.tensor_parallel_size,
        adapters=len(adapters),
        max_loras=placed.server.max_loras,
        max_lora_rank=placed.server.max_lora_rank,
        max_num_seqs=placed.server.budgets(profile)[1],
        loras=sum(adapter.rank > 0 for adapter in adapters),
        forecast=_forecast(room, placed),
        unmerging=room.unmerging,
        kin=room.kin,
        addition=room.addition,
    )


def _forecast(room: Room, placed: PlacedServer) -> Forecast:
    """Return the plan's forecast of the server, or a new one where it is missing or lacks a brink."""
    known, assignment = placed.forecast, Assignment(placed.server, room.shares)
    if known is not None and (known.brink is not None or known.headroom_is_open):
        return known
    run = simulate(room.capacity.profile, placed.server, room.capacity.part(room.shares))
    return forecast(room.capacity, assignment, run)


def _burden(each: ServerExplanation) -> tuple[bool, bool, float]:
    """Sort key: servers that need no restart first, those that would give up merged weights last."""
    return each.addition.restart is not None, each.unmerging is not None, each.addition.harm


def _advice(plan: Plan, newcomer: Adapter, servers: Sequence[ServerExplanation]) -> Advice:
    """Choose where the new adapter goes: to a server as it is, else to one that restarts, else to a new one."""
    good = [each for each in servers if each.addition.ok]
    if good:
        best = min(good, key=_burden)
        settings = best.addition.restart
        if settings is None:
            return Advice(action="load", server=best.server)
        return Advice(
            action="restart",
            server=best.server,
            max_lora_rank=settings.max_lora_rank,
            max_loras=settings.max_loras,
            unmerged=best.unmerging.adapter if best.unmerging else None,
        )
    alone = plan.workload.model_copy(update={"adapters": (newcomer,), "seed": plan.seed})
    used = {server.profile for server in plan.servers}
    startable = with_startable_length(plan.settings, plan.profiles, alone)
    for profile in plan.profiles:
        if profile.name in used:
            limits = plan.options.latency_limits
            capacity = Capacity(profile, alone, startable, plan.factor, latency_limits=limits)
            if serves_alone(capacity, newcomer):
                rank = server_rank(newcomer.rank, profile)
                return Advice(action="new GPU", gpus=profile.tensor_parallel_size, max_lora_rank=rank)
    return Advice(action="nowhere")
