"""Template choice: the settings of all servers with which the fewest servers bear a fleet.

vLLM's default for ``max_num_seqs`` lets few requests run at once on many GPUs, which wastes the time that every step
takes whatever it holds. A higher value needs some memory and makes steps longer. Where latency is limited,
``max_num_batched_tokens`` matters as well, because prompts that share a step with decodes delay them. For each rank of
the fleet, a typical server tells how much more traffic it bears with one value than with another.
"""

from typing import Literal, NamedTuple

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.planner_settings import budget_choices, seats_choices, with_budgets
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.capacity.surrogate_choice import workload_surrogate_for
from adaptwin.placement.capacity.typical_server import typical_server
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.caution import FILL_LIKELIHOOD
from adaptwin.plan.latency_limits import LatencyLimits
from adaptwin.profile.profile import Profile
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload

LEAST_TYPICAL_FACTOR = 0.03  # lowest factor on the typical traffic at which the limit is searched for
MOST_TYPICAL_FACTOR = 4.0  # highest such factor
PREDICTED_LIMIT_PRECISION = 1.01  # precision of the limit, as a ratio, by predictions
ASKED_LIMIT_PRECISION = 1.1  # precision of the limit, as a ratio, where the twin must be run
LEAST_SHARE_SAVED = 0.02  # share of the servers that other settings must save to be preferred to vLLM's defaults
ONE_SERVER = 0.8  # servers needed with vLLM's defaults up to which one is surely enough, and nothing is saved


class _Typical(NamedTuple):
    """A typical server for the adapters of one rank, as a workload of its own, and how many such servers there are."""

    workload: Workload
    servers: float


class ChosenTemplate(NamedTuple):
    """The settings that all servers of a profile have in a search, and the surrogate for them."""

    template: Server
    surrogate: WorkloadSurrogate | None


def template_and_surrogate(
    profile: Profile,
    workload: Workload,
    given: Server,
    factor: float,
    limits: LatencyLimits,
    surrogate: Surrogate | Literal["shipped"] | None,
    seed: int,
) -> ChosenTemplate:
    """Return what `chosen_template` chooses, with draws from a seed, and the surrogate for servers with it."""
    known = workload_surrogate_for(surrogate, profile, workload, given)
    drawn = workload.model_copy(update={"seed": seed})
    template = chosen_template(profile, drawn, given, factor, limits, known)
    return ChosenTemplate(template, known and known.with_template(template))


def chosen_template(
    profile: Profile,
    workload: Workload,
    given: Server,
    factor: float,
    limits: LatencyLimits,
    surrogate: WorkloadSurrogate | None,
) -> Server:
    """Return the given settings with those that the planner chooses for all servers; None stands for vLLM's default.

    Args:
        profile: Profile of the servers.
        workload: Adapters and their traffic.
        given: Settings that all servers must have.
        factor: Factor on the traffic that the servers must bear.
        limits: Limits on latency that every server must keep.
        surrogate: Predictions for the workload; without them, or where it knows no such servers, the twin is run.
    """
    choices = _templates(given, profile, limits=bool(limits) or workload.has_objectives)
    if len(choices) == 1:
        return given
    typical = _typical_servers(Capacity(profile, workload, given, factor), surrogate)

    def servers_needed(template: Server) -> float:
        return sum(_needed(one, profile, template, factor, limits, surrogate) for one in typical)

    usual = servers_needed(given)
    if usual <= ONE_SERVER:
        return given
    needed = {template: servers_needed(template) for template in choices[1:]}
    best = min(needed, key=needed.__getitem__)
    return best if needed[best] <= (1.0 - LEAST_SHARE_SAVED) * usual else given


def _templates(given: Server, profile: Profile, *, limits: bool) -> list[Server]:
    """Return the settings to compare, the given ones first."""
    usual_tokens = given.budgets(profile)[0]
    return [
        with_budgets(given, given, profile, seqs=seqs, tokens=tokens)
        for seqs in seats_choices(given, profile)
        for tokens in (budget_choices(given, profile) if limits else [usual_tokens])
        if tokens >= seqs
    ]


def _typical_servers(capacity: Capacity, surrogate: WorkloadSurrogate | None) -> list[_Typical]:
    """Return a typical server for each rank or, if the twin must be run, for the rank with the highest load only."""
    by_rank: dict[int, list[str]] = {}
    for name in capacity.names:
        by_rank.setdefault(capacity.slot_rank(name), []).append(name)
    loads = {rank: capacity.load(dict.fromkeys(names, 1.0)) for rank, names in by_rank.items()}
    found: list[_Typical] = []
    for rank in sorted(loads, key=loads.__getitem__, reverse=True):
        shares = typical_server(capacity, by_rank[rank])
        if not capacity.slot_choices(shares) or not loads[rank]:
            continue
        found.append(_Typical(capacity.part(shares), loads[rank] / capacity.load(shares)))
        if len(found) == 1 and not _is_known(found[0], capacity, surrogate):
            break
    return found


def _is_known(typical: _Typical, capacity: Capacity, surrogate: WorkloadSurrogate | None) -> bool:
    """Whether the surrogate knows a typical server."""
    if surrogate is None:
        return False
    known = surrogate.on_workload(typical.workload)
    capacity = Capacity(capacity.profile, typical.workload, capacity.template, capacity.factor, known)
    demand = capacity.demand_of((name, 1.0) for name in capacity.names)
    return capacity.likelihood_of_overload(demand) is not None


def _needed(
    typical: _Typical,
    profile: Profile,
    template: Server,
    factor: float,
    limits: LatencyLimits,
    surrogate: WorkloadSurrogate | None,
) -> float:
    """Return how many servers with these settings bear the traffic that typical servers stand for."""
    workload = typical.workload
    known = surrogate and surrogate.on_workload(workload).with_template(template)
    capacity = Capacity(profile, workload, template, factor, known, limits)
    shares = dict.fromkeys(capacity.names, 1.0)
    demand = capacity.demand_of(shares.items())

    def holds(more: float) -> bool:
        likelihood = capacity.likelihood_of_overload(demand, more)
        if likelihood is None:
            return choose_slots(capacity, shares, more) is not None
        return likelihood <= FILL_LIKELIHOOD

    is_known = capacity.likelihood_of_overload(demand) is not None
    precision = PREDICTED_LIMIT_PRECISION if is_known else ASKED_LIMIT_PRECISION
    return typical.servers / largest_factor(LEAST_TYPICAL_FACTOR, MOST_TYPICAL_FACTOR, precision, holds).low
