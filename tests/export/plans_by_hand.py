"""Small plans by hand, for tests of what is particular to a stack."""

from tests.export.hard_plans import LLAMA, SETTINGS

from adaptwin import Adapter, Plan, Workload
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer


def plan_of(placed, *, artifacts=(), profiles=(LLAMA,), settings=SETTINGS):
    """Make a plan: shares of adapters by server, artifacts of some, and a profile for each server in turn.

    Settings are those of all servers, or a mapping from servers to their own.
    """
    names = dict.fromkeys(name for adapters in placed.values() for name in adapters)
    where = dict(artifacts)
    own = settings if isinstance(settings, dict) else {}
    servers = [
        PlacedServer(name, profiles[i % len(profiles)].name, own.get(name, SETTINGS if own else settings), adapters)
        for i, (name, adapters) in enumerate(placed.items())
    ]
    return Plan(
        PlanOptions(strategy="by hand"),
        7,
        lower_bound=1,
        servers=servers,
        profiles=list(profiles),
        workload=Workload([Adapter(name, 8, 1.0, artifact=where.get(name)) for name in names], duration=300.0),
    )
