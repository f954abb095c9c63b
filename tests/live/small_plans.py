"""Small plans of one or two servers, made by hand, of which the first has too few slots."""

from adaptwin import Adapter, PlacedServer, Plan, Server, Workload
from adaptwin.plan.options import PlanOptions
from adaptwin.profile.profile import Profile
from adaptwin.workload.lengths import Lengths

WINDOW = 150.0  # seconds of traffic


def plan_of(profile: Profile, *servers: PlacedServer, rates: dict[str, float], **options) -> Plan:
    """Return a plan of these servers; adapters have rank 16, prompts 200 tokens and answers 150."""
    adapters = [Adapter(name=name, rank=16, rate=rate, artifact=f"/adapters/{name}") for name, rate in rates.items()]
    return Plan(
        options=PlanOptions(**options),
        seed=0,
        lower_bound=1,
        servers=servers,
        profiles=(profile,),
        workload=Workload(adapters=adapters, lengths=Lengths.fixed(200, 150), duration=WINDOW),
    )


def placed(profile: Profile, name: str, adapters: str, max_loras: int, **settings) -> PlacedServer:
    """Return a server with adapters of one letter each."""
    server = Server(max_loras=max_loras, max_lora_rank=16, max_cpu_loras=max(max_loras, len(adapters)), **settings)
    return PlacedServer(name=name, profile=profile.name, server=server, adapters=dict.fromkeys(adapters, 1.0))


def crowded_plan(profile: Profile, **options) -> Plan:
    """Return a plan whose first server has two slots for six adapters, one of them hot; the second one has room."""
    rates = {"a": 4.0, "b": 0.5, "c": 0.5, "d": 0.5, "e": 0.5, "f": 0.5, "g": 0.5}
    servers = placed(profile, "gpu-0", "abcdef", 2), placed(profile, "gpu-1", "g", 4)
    return plan_of(profile, *servers, rates=rates, **options)
