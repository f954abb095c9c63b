"""migration: every step is possible, no adapter goes unserved meanwhile, and the result is the new plan."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, Plan, Server, Workload
from adaptwin.plan.forecast import Forecast
from adaptwin.plan.migration import Migration
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.replanning.ordering import migration
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter

NAMES = [f"a{i}" for i in range(6)]
SERVERS = [f"gpu-{i}" for i in range(4)]


def forecast(headroom, throughput):
    figures = dict.fromkeys(("ttft_p50", "ttft_p99", "itl_mean", "itl_p99", "kv_usage", "mean_running", "busy"), 0.1)
    return Forecast(
        throughput=throughput,
        offered_throughput=throughput,
        request_rate=1.0,
        preemptions=0,
        verdict="ok",
        headroom=headroom,
        binding="compute",
        **figures,
    )


@pytest.fixture(scope="module")
def plan_of(h100):
    """Return a function from adapters (name: rank) and servers (name: settings, shares) to a plan."""

    def make(ranks, servers, headroom=None):
        workload = Workload([Adapter(name, rank, 1.0) for name, rank in ranks.items()], duration=60.0)
        tokens = next(iter(tokens_per_adapter(workload).values()))
        placed = [
            PlacedServer(
                name=name,
                profile=h100.name,
                server=server,
                adapters=shares,
                forecast=None if headroom is None else forecast(headroom, tokens * sum(shares.values())),
            )
            for name, (server, shares) in servers.items()
        ]
        return Plan(
            options=PlanOptions(),
            seed=0,
            lower_bound=1,
            servers=tuple(placed),
            profiles=(h100,),
            workload=workload,
        )

    return make


class Replay:
    """A running fleet that carries out steps and asserts that each is possible."""

    def __init__(self, old, new):
        self.old, self.new = ({a.name: a.rank for a in plan.workload.adapters} for plan in (old, new))
        self.settings = {server.name: server.server for server in old.servers}
        self.loaded = {s.name: {name: self.old[name] for name in s.adapters if self.old[name]} for s in old.servers}
        self.routes = {}
        for server in old.servers:
            for name, share in server.adapters.items():
                self.routes.setdefault(name, {})[server.name] = share
        self.first_routes = {name: dict(route) for name, route in self.routes.items()}
        self.most = len(self.settings)

    def take(self, step):
        getattr(self, step.action)(step)
        self.most = max(self.most, len(self.settings))
        self.require_service()

    def start(self, step):
        assert step.server not in self.settings
        self.settings[step.server], self.loaded[step.server] = step.settings, {}

    def restart(self, step):
        assert not self.routed_to(step.server)
        assert step.settings != self.settings[step.server]
        self.settings[step.server], self.loaded[step.server] = step.settings, {}

    def stop(self, step):
        assert not self.routed_to(step.server)
        del self.settings[step.server], self.loaded[step.server]

    def load(self, step):
        server, rank = self.settings[step.server], self.new[step.adapter]
        assert rank > 0
        assert server.max_loras > 0
        assert rank <= server.max_lora_rank
        assert self.loaded[step.server].get(step.adapter) != rank  # no needless load
        self.loaded[step.server][step.adapter] = rank

    def unload(self, step):
        assert step.server not in self.routes.get(step.adapter, {}) or self.new[step.adapter] == 0
        del self.loaded[step.server][step.adapter]

    def route(self, step):
        assert step.shares != self.routes.get(step.adapter)
        if step.adapter in self.new:
            assert all(self.has(server, step.adapter) for server in step.shares)
            assert sum(step.shares.values()) == pytest.approx(1.0)
        else:
            assert step.shares == {}
        self.routes[step.adapter] = step.shares

    def routed_to(self, server):
        return [name for name, route in self.routes.items() if server in route]

    def has(self, server, name):
        was_base = (
            self.old.get(name) == 0 and server in self.first_routes[name]
        )  # served by the base model until loaded
        return server in self.settings and (name in self.loaded[server] or self.new[name] == 0 or was_base)

    def require_service(self):
        for name in self.old.keys() & self.new.keys():
            assert self.routes[name]
            assert all(self.has(server, name) for server in self.routes[name])

    def require_end(self, new):
        assert self.settings == {server.name: server.server for server in new.servers}
        assert self.loaded == {s.name: {a: self.new[a] for a in s.adapters if self.new[a]} for s in new.servers}
        goal = {}
        for server in new.servers:
            for name, share in server.adapters.items():
                goal.setdefault(name, {})[server.name] = share
        assert {name: route for name, route in self.routes.items() if route} == goal


def bears_all(profile, server, shares):
    return True


def replayed(old, new, bears=bears_all):
    """Return the migration, after carrying out every step of it."""
    found = migration(old, new, bears)
    replay = Replay(old, new)
    for step in found.steps:
        replay.take(step)
    replay.require_end(new)
    assert replay.most == max(old.gpus, new.gpus) + found.extra_gpus
    return found


@st.composite
def fleets(draw, before=None):
    """Draw ranks and servers of a fleet, mostly as in `before` where that is given."""
    ranks_before, servers_before = before or ({}, {})
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    ranks = {name: draw(st.sampled_from([0, 8, 16, 64])) for name in names}
    for name in names:
        if name in ranks_before and draw(st.integers(0, 4)):
            ranks[name] = ranks_before[name]
    on = draw(st.lists(st.sampled_from(SERVERS), unique=True, min_size=1))
    shares = {server: {} for server in on}
    for name in names:
        chosen = draw(st.lists(st.sampled_from(on), unique=True, min_size=1, max_size=2))
        for server in chosen:
            shares[server][name] = 1.0 / len(chosen)
    servers = {}
    for server in on:
        rank = max([8, *(ranks[name] for name in shares[server])])
        wanted = draw(st.sampled_from([rank, 64]))
        chosen = Server(max_loras=draw(st.sampled_from([1, 4])), max_lora_rank=wanted, max_cpu_loras=8)
        kept = servers_before.get(server, (chosen,))[0]
        keeps = kept.max_lora_rank >= rank and draw(st.integers(0, 2))
        servers[server] = (kept if keeps else chosen, shares[server])
    return ranks, servers


@st.composite
def changes(draw):
    """Draw two fleets, the headroom in the forecasts of both, or None, and the adapters that each server bears."""
    before = draw(fleets())
    return before, draw(fleets(before)), draw(st.sampled_from([None, 0.0, 0.5])), draw(st.sampled_from([0, 2, 6]))


def many_examples(law, examples=150):
    unhurried = settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    return unhurried(given(changes())(law))


def test_every_step_is_possible_and_the_end_is_the_new_plan(plan_of):
    def law(change):
        before, after, headroom, most = change
        replayed(plan_of(*before, headroom), plan_of(*after, headroom), lambda _, __, shares: len(shares) <= most)

    many_examples(law)()


def test_the_cases_have_restarts_stand_ins_splits_and_departures(plan_of):
    seen = Counter()

    def count(change):
        before, after, headroom, _ = change
        old, new = plan_of(*before, headroom), plan_of(*after, headroom)
        found = migration(old, new, bears_all)
        names = [step.server for step in found.steps if step.action == "start"]
        both = before[0].keys() & after[0].keys()
        seen.update(
            {
                "restarts": found.restarts > 0,
                "restarts with all adapters parked on others": found.restarts > 0 and found.extra_gpus == 0,
                "stand-ins": any("stand-in" in name for name in names),
                "departures": found.departed > 0,
                "additions": found.added > 0,
                "moves": found.moves > 0,
                "splits": any(len(step.shares) > 1 for step in found.steps if step.action == "route"),
                "stops": any(step.action == "stop" and "stand-in" not in step.server for step in found.steps),
                "other ranks": any(before[0][name] != after[0][name] for name in both),
            }
        )

    many_examples(count)()
    rare = {case: seen[case] for case in seen if seen[case] < 10}
    assert rare == {}


def actions(found: Migration):
    return [(step.action, *(value for value in (step.server, step.adapter) if value)) for step in found.steps]


SMALL, LARGE = Server(max_loras=1, max_lora_rank=8), Server(max_loras=1, max_lora_rank=64)


def test_the_same_plan_needs_no_step(plan_of):
    plan = plan_of({"a": 8}, {"gpu-0": (SMALL, {"a": 1.0})})
    assert migration(plan, plan) == Migration(
        gpus_before=1, extra_gpus=0, moves=0, restarts=0, added=0, departed=0, steps=()
    )


def test_an_adapter_is_loaded_routed_and_then_unloaded(plan_of):
    ranks = {"a": 8, "b": 8}
    old = plan_of(ranks, {"gpu-0": (SMALL, {"a": 1.0, "b": 1.0}), "gpu-1": (SMALL, {})})
    new = plan_of(ranks, {"gpu-0": (SMALL, {"a": 1.0}), "gpu-1": (SMALL, {"b": 1.0})})
    found = replayed(old, new)
    assert actions(found) == [("load", "gpu-1", "b"), ("route", "b"), ("unload", "gpu-0", "b")]
    assert (found.moves, found.restarts, found.extra_gpus) == (1, 0, 0)


def test_requests_of_a_departed_adapter_are_refused_before_it_is_unloaded(plan_of):
    old = plan_of({"a": 8, "b": 8}, {"gpu-0": (SMALL, {"a": 1.0, "b": 1.0})})
    found = replayed(old, plan_of({"a": 8}, {"gpu-0": (SMALL, {"a": 1.0})}))
    assert actions(found) == [("route", "b"), ("unload", "gpu-0", "b")]
    assert (found.departed, found.moves) == (1, 0)


def test_base_model_traffic_is_routed_without_a_load(plan_of):
    old = plan_of({"base": 0}, {"gpu-0": (SMALL, {"base": 1.0})})
    new = plan_of({"base": 0}, {"gpu-1": (SMALL, {"base": 1.0})})
    assert actions(replayed(old, new)) == [("start", "gpu-1"), ("route", "base"), ("stop", "gpu-0")]


def test_an_adapter_with_another_rank_is_loaded_in_place(plan_of):
    old, new = (plan_of({"a": rank}, {"gpu-0": (LARGE, {"a": 1.0})}) for rank in (8, 16))
    found = replayed(old, new)
    assert actions(found) == [("load", "gpu-0", "a")]
    assert found.moves == 0


def restart(plan_of, headroom):
    """Return the migration for new settings of gpu-0, beside gpu-1 with this headroom."""
    ranks = {"a": 8, "b": 8}
    old = plan_of(ranks, {"gpu-0": (SMALL, {"a": 1.0}), "gpu-1": (SMALL, {"b": 1.0})}, headroom)
    return replayed(old, plan_of(ranks, {"gpu-0": (LARGE, {"a": 1.0}), "gpu-1": (SMALL, {"b": 1.0})}, headroom))


def test_adapters_of_a_restarting_server_are_parked_where_there_is_headroom(plan_of):
    found = restart(plan_of, headroom=5.0)
    assert (found.restarts, found.extra_gpus, found.moves) == (1, 0, 0)
    assert actions(found) == [
        ("load", "gpu-1", "a"),
        ("route", "a"),
        ("restart", "gpu-0"),
        ("load", "gpu-0", "a"),
        ("route", "a"),
        ("unload", "gpu-1", "a"),
    ]


def test_without_headroom_a_stand_in_with_the_new_settings_takes_the_traffic(plan_of):
    found = restart(plan_of, headroom=0.0)
    assert (found.restarts, found.extra_gpus) == (1, 1)
    assert actions(found)[:3] == [("start", "gpu-0-stand-in"), ("load", "gpu-0-stand-in", "a"), ("route", "a")]
    assert actions(found)[-1] == ("stop", "gpu-0-stand-in")
    assert found.steps[0].settings == LARGE


def restart_of_three(plan_of, bears):
    """Return the migration for new settings of gpu-0, which has four adapters, beside two servers with one each."""
    ranks = dict.fromkeys(NAMES, 8)
    four = dict.fromkeys(NAMES[:4], 1.0)
    others = {"gpu-1": (SMALL, {NAMES[4]: 1.0}), "gpu-2": (SMALL, {NAMES[5]: 1.0})}
    old, new = (plan_of(ranks, {"gpu-0": (server, four), **others}) for server in (SMALL, LARGE))
    return replayed(old, new, bears)


def test_parked_adapters_are_divided_among_the_servers_that_bear_them(plan_of):
    found = restart_of_three(plan_of, lambda _, __, shares: len(shares) <= 4)
    assert (found.extra_gpus, found.overloaded) == (0, ())
    parked = Counter(step.server for step in found.steps[:4])
    assert max(parked.values()) <= 3
    assert set(parked) == {"gpu-1", "gpu-2"}


def test_a_stand_in_takes_the_traffic_that_no_other_server_bears(plan_of):
    found = restart_of_three(plan_of, lambda _, server, shares: server == LARGE or len(shares) == 1)
    assert (found.extra_gpus, found.overloaded) == (1, ())
    assert found.steps[0].server == "gpu-0-stand-in"


def test_what_even_a_stand_in_does_not_bear_is_said(plan_of):
    found = restart_of_three(plan_of, lambda _, __, shares: len(shares) == 1)
    assert found.overloaded == ("gpu-0-stand-in",)


def test_the_twin_says_what_a_server_bears(h100, fleet):
    """Of two servers, one restarts: the other takes its traffic only where it is low."""
    small, large = (Server(max_loras=2, max_lora_rank=rank, max_cpu_loras=2) for rank in (16, 64))

    def extra_gpus(rate):
        workload = fleet(("a", 16, rate), ("b", 16, rate))
        plans = (
            Plan(
                options=PlanOptions(),
                seed=0,
                lower_bound=1,
                servers=tuple(
                    PlacedServer(name=name, profile=h100.name, server=server, adapters={adapter: 1.0})
                    for name, server, adapter in (("gpu-0", first, "a"), ("gpu-1", small, "b"))
                ),
                profiles=(h100,),
                workload=workload,
            )
            for first in (small, large)
        )
        found = migration(*plans)
        assert found.overloaded == ()
        return found.extra_gpus

    assert [extra_gpus(rate) for rate in (1.0, 25.0)] == [0, 1]


def test_a_plan_with_a_migration_reads_back_as_it_was(plan_of, tmp_path):
    old = plan_of({"a": 8, "b": 8}, {"gpu-0": (SMALL, {"a": 1.0, "b": 1.0})})
    new = plan_of({"a": 8}, {"gpu-1": (LARGE, {"a": 1.0})})
    new = new.model_copy(update={"migration": migration(old, new)})
    new.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == new
    old.write(tmp_path / "old.yaml")
    assert "migration" not in (tmp_path / "old.yaml").read_text(encoding="utf-8")
