"""Room: the effect of one more adapter on a running server, and how many more like its own the server can take."""

from functools import cached_property

from adaptwin.explanation.explanation import MOST_MORE, Addition, Kin, Latencies, Unmerging
from adaptwin.explanation.newcomer import mean_adapter
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_count_near
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import best_or_most_served, choose_slots
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.planned_settings import common_settings
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import simulate
from adaptwin.workload.workload import Adapter


class Room:
    """The spare capacity of a server of a plan: for one new adapter, or for more adapters like its own."""

    def __init__(self, plan: Plan, placed: PlacedServer, newcomer: Adapter) -> None:
        self._profile, self._server, self._newcomer = plan.profile_of(placed), placed.server, newcomer
        self._now = plan.workload_of(placed, plan.seed)
        self._kin = mean_adapter(self._now, self._profile)
        self._more_names = [f"{newcomer.name} like those of {placed.name}, {number}" for number in range(MOST_MORE)]
        more = (self._kin.model_copy(update={"name": name}) for name in self._more_names)
        together = self._now.model_copy(update={"adapters": (*self._now.adapters, newcomer, *more)})
        self._capacity = Capacity(
            self._profile,
            together,
            common_settings(placed.server),
            plan.factor,
            latency_limits=plan.options.latency_limits,
        )

    @property
    def capacity(self) -> Capacity:
        """The capacity of the server; a share of 1 is all the traffic that an adapter has on this server."""
        return self._capacity

    @property
    def shares(self) -> dict[str, float]:
        """The adapters on the server, each with a share of 1."""
        return {adapter.name: 1.0 for adapter in self._now.adapters}

    @cached_property
    def kin(self) -> Kin:
        """The average adapter of the server, and how many more like it the server can take without a restart."""
        fits = self._server.can_load(self._kin.rank)  # never with merged weights
        start = max(1, len(self._now) // 8)
        more = largest_count_near(MOST_MORE, start, self.takes) if fits and self.takes(1) else 0
        return Kin(rank=self._kin.rank, rate=self._kin.rate, more=more)

    def takes(self, more: int) -> bool:
        """Whether the server, as it is, can serve this many more adapters like its own."""
        shares = {**self.shares, **dict.fromkeys(self._more_names[:more], 1.0)}
        return self._capacity.ask_on(shares, self._server).ok

    @cached_property
    def addition(self) -> Addition:
        """The effect of the new adapter on the server."""
        both = {**self.shares, self._newcomer.name: 1.0}
        settings = self._settings(both)
        before = _latencies_of(simulate(self._profile, self._server, self._now))
        restart = None if settings == self._server else settings
        if not settings.starts_on(self._profile):
            return Addition(verdict="starved", restart=restart, before=before, after=None)
        after = simulate(self._profile, settings, self._capacity.part(both))
        verdict = self._capacity.ask_on(both, settings).verdict
        return Addition(verdict=verdict, restart=restart, before=before, after=_latencies_of(after))

    @cached_property
    def unmerging(self) -> Unmerging | None:
        """What would come of serving the adapter of a server with merged weights with LoRA; None for other servers."""
        if not self._server.merged:
            return None
        (adapter,) = self.shares
        settings = self._capacity.server(self.shares, best_or_most_served(self._capacity, self.shares))
        starts = settings.starts_on(self._profile)
        return Unmerging(
            adapter=adapter,
            settings=settings,
            verdict=self._capacity.ask_on(self.shares, settings).verdict,
            before=self.addition.before,
            after=_latencies_of(simulate(self._profile, settings, self._now)) if starts else None,
        )

    def _settings(self, shares: dict[str, float]) -> Server:
        """Choose settings that can load the new adapter: the current slots, with a higher rank if needed.

        A server with merged weights can load none, and gets slots.

        Where these do not serve all adapters, choose other settings that do. Where none do, the number of slots stays,
        or is the largest smaller number with which the server starts.
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
    """Whether an adapter could be served by a GPU of its own."""
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
