"""Plans by hand for the tests of single stacks: servers with the shares of their adapters, in a few words."""

from collections.abc import Mapping

from tests.export.hard_plans import LLAMA, SETTINGS

from adaptwin import Adapter, Plan, Server, Workload
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer


def plan_by_hand(
    shares: Mapping[str, Mapping[str, float]],
    *,
    settings: Server = SETTINGS,
    artifacts: Mapping[str, str] = {},
    bases: tuple[str, ...] = (),
) -> Plan:
    """Make a plan with the given shares of adapters by server; `bases` are traffic to the base model."""
    names = dict.fromkeys(name for adapters in shares.values() for name in adapters)
    adapters = [Adapter(name, 0 if name in bases else 8, 1.0, artifact=artifacts.get(name)) for name in names]
    return Plan(
        PlanOptions(strategy="by hand"),
        7,
        lower_bound=1,
        servers=[PlacedServer(server, LLAMA.name, settings, dict(each)) for server, each in shares.items()],
        profiles=[LLAMA],
        workload=Workload(adapters, duration=300.0),
    )
