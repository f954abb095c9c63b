"""Alternatives: how many GPUs a plan would need without some of the planner's decisions."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from adaptwin.errors import Infeasible
from adaptwin.placement.configurations.estimate import divided_servers
from adaptwin.placement.objectives.objective import Placed
from adaptwin.placement.objectives.registry import Objective
from adaptwin.placement.packing.fill import fewest_bins
from adaptwin.placement.packing.items import items_of
from adaptwin.placement.packing.orders import orders
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.registry import Strategy
from adaptwin.plan.decisions import Alternative
from adaptwin.plan.plan import Plan


def alternatives(
    plan: Plan, servers: Sequence[Placed], objective: Objective, strategy: Strategy
) -> Iterator[Alternative]:
    """Yield how many GPUs would be needed without the settings that were chosen for the search, spare ones included.

    There are none for plans with a given number of GPUs, with several profiles, or out of time.
    """
    problems = {id(each.problem): each.problem for each in servers}
    problem = next(iter(problems.values()))
    if objective.given_gpus or len(problems) > 1 or problem.out_of_time:
        return
    size = problem.capacity.profile.tensor_parallel_size
    is_bulk = any(each.assignment.kind is not None for each in servers)
    if any(each.assignment.server.merged for each in servers):
        with suppress(Infeasible):
            found = len(strategy.place(problem)) + plan.options.spare  # what the twin has said is remembered
            yield Alternative(without="merged", gpus=max(size * found, plan.gpus), found_by="search")
    elif (more := _more_servers(problem, plan, is_bulk=is_bulk)) is not None:
        yield Alternative(without="max_num_seqs", gpus=plan.gpus + size * more, found_by="prediction")


def _more_servers(problem: Problem, plan: Plan, *, is_bulk: bool) -> int | None:
    """Return how many servers more are filled with the default of ``max_num_seqs``, by predictions.

    None if it was not chosen, or where the surrogate does not know the servers.
    """
    template = problem.capacity.template
    if template.max_num_seqs == plan.settings.max_num_seqs or not problem.capacity.surrogate_knows:
        return None
    usual = template.model_copy(update={"max_num_seqs": plan.settings.max_num_seqs})
    needed = divided_servers if is_bulk else _filled
    numbers = []
    for each in (problem, problem._replace(capacity=problem.capacity.on_template(usual))):
        try:
            numbers.append(needed(each))
        except Infeasible:
            return None
        if not each.capacity.surrogate_knows:
            return None
    return max(0, round(numbers[1] - numbers[0]))


def _filled(problem: Problem) -> int:
    """Return on how many servers the adapters fit by predictions."""
    return len(fewest_bins(problem, orders(items_of(problem))))
