"""Room: what one more adapter would do to a server that runs, and how many more of its kind it takes."""

from functools import cached_property

from adaptwin.explanation.explanation import MOST_MORE, Addition, Kin, Latencies
from adaptwin.explanation.newcomer import mean_adapter
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_count_near
from adaptwin.placement.capacity.planner_settings import common_settings
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import simulate
from adaptwin.workload.workload import Adapter


class Room:
    """A server of a plan, and what it is asked about: one newcomer, or more of its kind."""

    def __init__(self, plan: Plan, placed: PlacedServer, newcomer: Adapter) -> None:
        self._profile, self._server, self._newcomer = plan.profile_of(placed), placed.server, newcomer
        self._now = plan.workload_of(placed, plan.seed)
        self._kin = mean_adapter(self._now)
        self._more_names = [f"{newcomer.name} like those of {placed.name}, {number}" for number in range(MOST_MORE)]
        crowd = (self._kin.model_copy(update={"name": name}) for name in self._more_names)
        everybody = self._now.model_copy(update={"adapters": (*self._now.adapters, newcomer, *crowd)})
        self._capacity = Capacity(self._profile, everybody, common_settings(placed.server), plan.factor)

    @property
    def capacity(self) -> Capacity:
        """To ask about its adapters, each with all the traffic that it has on this server."""
        return self._capacity

    @property
    def shares(self) -> dict[str, float]:
        """What is on it."""
        return {adapter.name: 1.0 for adapter in self._now.adapters}

    @cached_property
    def kin(self) -> Kin:
        """How many more adapters of its kind it takes without a restart."""
        fits = self._server.can_load(self._kin.rank)
        start = max(1, len(self._now) // 8)
        more = largest_count_near(MOST_MORE, start, self.takes) if fits and self.takes(1) else 0
        return Kin(rank=self._kin.rank, rate=self._kin.rate, more=more)

    def takes(self, more: int) -> bool:
        """Whether so many more adapters of its kind are served on the server as it is."""
        shares = {**self.shares, **dict.fromkeys(self._more_names[:more], 1.0)}
        return self._capacity.ask_on(shares, self._server).ok

    @cached_property
    def addition(self) -> Addition:
        """What the newcomer would do."""
        both = {**self.shares, self._newcomer.name: 1.0}
        settings = self._settings(both)
        before = _latencies_of(simulate(self._profile, self._server, self._now))
        restart = None if settings == self._server else settings
        if not settings.starts_on(self._profile):
            return Addition(verdict="starved", restart=restart, before=before, after=None)
        after = simulate(self._profile, settings, self._capacity.part(both))
        verdict = self._capacity.ask_on(both, settings).verdict
        return Addition(verdict=verdict, restart=restart, before=before, after=_latencies_of(after))

    def _settings(self, shares: dict[str, float]) -> Server:
        """Its settings if they serve all adapters, else others that do; in any case a rank that loads the newcomer.

        Where none serve all adapters, as many slots as it has, or as start.
        """
        capacity, now = self._capacity, self._server
        can_load = now.can_load(self._newcomer.rank)
        settings = now if can_load else capacity.server(shares, max(1, now.max_loras))
        if settings.starts_on(self._profile) and capacity.ask_on(shares, settings).ok:
            return settings
        if fit := choose_slots(capacity, shares):
            return capacity.server(shares, fit.max_loras)
        if can_load:
            return now
        fewer = [slots for slots in capacity.slot_choices(shares) if slots <= settings.max_loras]
        return capacity.server(shares, max(fewer, default=settings.max_loras))


def serves_alone(capacity: Capacity, newcomer: Adapter) -> bool:
    """Whether a GPU of its own would serve an adapter."""
    item = AdapterPart(newcomer.name, 1.0)
    return bool(
        capacity.starts({newcomer.name: 1.0}, capacity.fewest_slots(item)) and choose_slots(capacity, dict([item]))
    )


def _latencies_of(run: Run) -> Latencies:
    return Latencies(
        ttft_p99=run.ttft.p99,
        itl_mean=run.itl.mean,
        itl_p99=run.itl.p99,
        in_system=run.mean_running + run.mean_waiting,
    )
