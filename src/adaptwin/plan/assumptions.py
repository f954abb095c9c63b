"""Assumptions of a plan: what the figures of its servers assume, in words."""

from adaptwin.plan.plan import Plan
from adaptwin.twin.assumptions import assumptions


def assumptions_of(plan: Plan) -> tuple[str, ...]:
    """Return what the figures of a plan assume, one clause each."""
    servers = ((plan.profile_of(server), server.server) for server in plan.servers)
    return assumptions(plan.workload, servers, plan.settings)
