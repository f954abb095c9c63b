"""Plans by hand for the tests of single stacks: servers with the shares of their adapters, in a few words."""

from collections.abc import Mapping, Sequence

from tests.export.hard_plans import LLAMA, SETTINGS

from adaptwin import Adapter, Plan, Profile, Server, Workload
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer


def plan_by_hand(
    shares: Mapping[str, Mapping[str, float]],
    *,
    settings: Server | Mapping[str, Server] = SETTINGS,
    artifacts: Mapping[str, str] = {},
    bases: tuple[str, ...] = (),
    profiles: Sequence[Profile] = (LLAMA,),
) -> Plan:
    """Make a plan with the given shares of adapters by server; `bases` are traffic to the base model.

    Settings are those of all servers, or of some by name; servers take the profiles in turn.
    """
    names = dict.fromkeys(name for adapters in shares.values() for name in adapters)
    adapters = [Adapter(name, 0 if name in bases else 8, 1.0, artifact=artifacts.get(name)) for name in names]
    own = settings if isinstance(settings, Mapping) else dict.fromkeys(shares, settings)
    servers = [
        PlacedServer(server, profiles[place % len(profiles)].name, own.get(server, SETTINGS), dict(each))
        for place, (server, each) in enumerate(shares.items())
    ]
    return Plan(
        PlanOptions(strategy="by hand"),
        7,
        lower_bound=1,
        servers=servers,
        profiles=list(profiles),
        workload=Workload(adapters, duration=300.0),
    )
