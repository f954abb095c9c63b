"""Alternatives: how many GPUs a plan would need without some of the planner's decisions."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from adaptwin.errors import Infeasible
from adaptwin.placement.objectives.objective import Placed
from adaptwin.placement.objectives.registry import Objective
from adaptwin.placement.packing.fill import fill
from adaptwin.placement.packing.items import items_of
from adaptwin.placement.packing.orders import orders
from adaptwin.placement.strategies.registry import Strategy
from adaptwin.plan.decisions import Alternative
from adaptwin.plan.plan import Plan


def alternatives(
    plan: Plan, servers: Sequence[Placed], objective: Objective, strategy: Strategy
) -> Iterator[Alternative]:
    """Yield how many GPUs would be needed without the settings that were chosen for the search."""
    problems = {id(each.problem): each.problem for each in servers}
    if objective.given_gpus or len(problems) > 1:
        return
    (problem,) = problems.values()
    size, gpus = problem.capacity.profile.tensor_parallel_size, len(servers)
    if any(each.assignment.server.merged for each in servers):
        with suppress(Infeasible):
            found = len(strategy.place(problem))  # what the twin has said is remembered
            yield Alternative(without="merged", gpus=size * max(found, gpus), found_by="search")
    if problem.capacity.template.max_num_seqs != plan.settings.max_num_seqs and problem.capacity.surrogate:
        usual = problem._replace(capacity=problem.capacity.on_template(plan.settings))
        with suppress(Infeasible):
            found = min(len(fill(usual, way)) for way in orders(items_of(usual)))
            if usual.capacity.surrogate_knows:
                yield Alternative(without="max_num_seqs", gpus=size * max(found, gpus), found_by="prediction")
