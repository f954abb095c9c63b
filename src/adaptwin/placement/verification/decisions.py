"""Decisions: what each setting that was chosen instead of vLLM's default gains on its server, simulated without it."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import NamedTuple

from adaptwin.placement.alike import of_each_kind
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.slots import best_or_most_served
from adaptwin.placement.packing.problem import Assignment
from adaptwin.plan.decisions import Decision, DefaultPerformance, Setting
from adaptwin.plan.plan import Plan
from adaptwin.progress import Progress
from adaptwin.twin.server import Server

BUDGETS: tuple[Setting, ...] = ("max_num_seqs", "max_num_batched_tokens")


class _Choice(NamedTuple):
    """A setting of a server, and the server without the choice."""

    setting: Setting
    chosen: int
    default: int
    without: Server


def with_decisions(plan: Plan, assignments: Sequence[tuple[Capacity, Assignment]], progress: Progress) -> Plan:
    """Return the plan with the decisions of all servers but standbys, which come last."""

    def found(index: int) -> tuple[Decision, ...]:
        return decisions_of(*assignments[index], plan.settings)

    progress("comparing settings", 0, 1)
    decisions = of_each_kind([assignment for _, assignment in assignments], found)
    progress("comparing settings", 1, 1)
    serving = tuple(
        server.model_copy(update={"decisions": of_server})
        for server, of_server in zip(plan.servers, decisions, strict=False)
    )
    return plan.model_copy(update={"servers": serving + plan.servers[len(serving) :]})


def decisions_of(capacity: Capacity, assignment: Assignment, given: Server) -> tuple[Decision, ...]:
    """Return the settings of a server that were chosen, each with the performance without it.

    Each setting is taken back alone, at the traffic of the plan without headroom and margin, as in the forecast.
    """
    return tuple(
        Decision(
            setting=choice.setting,
            chosen=choice.chosen,
            default=choice.default,
            without=_performance_in(capacity.simulate(capacity.part(assignment.shares), choice.without)),
        )
        for choice in _choices_made(capacity, assignment, given)
    )


def _choices_made(capacity: Capacity, assignment: Assignment, given: Server) -> Iterator[_Choice]:
    server, shares = assignment.server, assignment.shares
    if server.merged:
        slots = best_or_most_served(capacity, shares)
        now = {str(name): getattr(server, name) for name in BUDGETS}
        yield _Choice("merged", 1, 0, capacity.server(shares, slots).model_copy(update=now))
    for setting, usual, used in zip(
        BUDGETS,
        reversed(given.budgets(capacity.profile)),
        reversed(server.budgets(capacity.profile)),
        strict=True,
    ):
        if usual != used:
            yield _Choice(setting, used, usual, server.model_copy(update={setting: getattr(given, setting)}))
    if server.max_model_len != given.max_model_len:
        longest = capacity.profile.model.max_model_len
        whole = server.model_copy(update={"max_model_len": given.max_model_len})
        yield _Choice("max_model_len", server.max_model_len or longest, longest, whole)
    loras = sum(capacity.adapter(name).rank > 0 for name in shares)
    if server.max_loras and server.adapters_in_host < loras:
        held = server.model_copy(update={"max_cpu_loras": loras})
        yield _Choice("max_cpu_loras", server.adapters_in_host, loras, held)


def _performance_in(answer: Answer) -> DefaultPerformance | None:
    """Return the performance that an answer says; None if the server does not start."""
    if not answer.starts:
        return None
    figures = {name: getattr(answer, name) for name in ("itl_mean", "itl_p99", "ttft_p99")}
    return DefaultPerformance(verdict=answer.verdict, **{name: None if isnan(v) else v for name, v in figures.items()})
