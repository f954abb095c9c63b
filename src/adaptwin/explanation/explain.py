"""explain: why each GPU of a plan is full, what it could still take, and what would save one."""

from collections.abc import Sequence
from typing import Literal

import joblib

from adaptwin.errors import SpecError
from adaptwin.explanation.explanation import Advice, Explanation, ServerExplanation
from adaptwin.explanation.newcomer import typical_adapter
from adaptwin.explanation.room import Room, serves_alone
from adaptwin.explanation.savings import savings
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.planner_settings import common_settings
from adaptwin.placement.packing.problem import Assignment
from adaptwin.placement.verification.forecast import brink, forecast
from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.compilation import compile_planning
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.compilation import compile_twin
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
    """Why each GPU is full, what it could still take, what one more adapter would do, and what would save a GPU.

    What is said of the plan's servers is what the twin says. What would save a GPU is an estimate.

    Args:
        plan: The plan; it carries its workload and profiles.
        rank: Of the adapter that may come; by default the median of the plan's. 0 is more traffic to the base model.
        rate: Its requests/s; by default the median of the plan's.
        lengths: Of its requests; by default those of the plan's adapters together.
        surrogate: Predictors that estimate what would save a GPU, as for `make_plan`.
        jobs: Cores to use; -1 is all.
        progress: Told what is being done, and how much of it.

    Raises:
        SpecError: A rank that vLLM does not serve, a rate below zero, or a plan without servers.
    """
    if not plan.servers:
        raise SpecError("the plan has none: there is nothing to explain", "servers")
    newcomer = typical_adapter(plan, rank, rate, lengths)
    (compile_twin if surrogate is None else compile_planning)(progress)
    calls = (joblib.delayed(_explained)(plan, placed, newcomer) for placed in plan.servers)
    answers = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(calls)
    servers: list[ServerExplanation] = []
    for explained in answers:
        servers.append(explained)
        progress("asking the twin", len(servers), plan.gpus)
    forecasts = {each.server: each.forecast for each in servers}
    return Explanation(
        gpus=plan.gpus,
        lower_bound=plan.lower_bound,
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
        adapters=len(adapters),
        max_loras=placed.server.max_loras,
        max_lora_rank=placed.server.max_lora_rank,
        max_num_seqs=placed.server.budgets(profile)[1],
        loras=sum(adapter.rank > 0 for adapter in adapters),
        forecast=_forecast(room, placed),
        kin=room.kin,
        addition=room.addition,
    )


def _forecast(room: Room, placed: PlacedServer) -> Forecast:
    """That of the plan; what it lacks is asked of the twin."""
    known, assignment = placed.forecast, Assignment(placed.server, room.shares)
    if known is None:
        run = simulate(room.capacity.profile, placed.server, room.capacity.part(room.shares))
        return forecast(room.capacity, assignment, run)
    if known.brink is None:
        return known.model_copy(update={"brink": brink(room.capacity, assignment, known.headroom)})
    return known


def _advice(plan: Plan, newcomer: Adapter, servers: Sequence[ServerExplanation]) -> Advice:
    """On a server as it is if one takes it, else on one that restarts, else on a new one."""
    good = [each for each in servers if each.addition.ok]
    if good:
        best = min(good, key=lambda each: (each.addition.restart is not None, each.addition.harm))
        settings = best.addition.restart
        if settings is None:
            return Advice(action="load", server=best.server)
        return Advice(
            action="restart",
            server=best.server,
            max_lora_rank=settings.max_lora_rank,
            max_loras=settings.max_loras,
        )
    alone = plan.workload.model_copy(update={"adapters": (newcomer,), "seed": plan.seed})
    templates = {server.profile: common_settings(server.server) for server in plan.servers}
    for profile in plan.profiles:
        if profile.name in templates:
            capacity = Capacity(profile, alone, templates[profile.name], plan.factor)
            if serves_alone(capacity, newcomer):
                return Advice(action="new GPU", max_lora_rank=server_rank(newcomer.rank))
    return Advice(action="nowhere")
