"""Balancing: after a server was started, none is left at its limit beside one with little to do."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from adaptwin import Adapter, Plan, Server, Workload, make_plan, replan
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.packing.problem import Problem
from adaptwin.plan.constraints import Constraints
from adaptwin.plan.migration import Balancing, Migration
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.progress import silent
from adaptwin.replanning.balancing import balance, growth_of
from adaptwin.replanning.rearrangement import Prices, Rearrangement, Running, ServerContents
from adaptwin.report.plan.migration import changes_sentence, step_lines
from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.sentences import disk_reads_sentence
from adaptwin.workload.sources.synthetic import synthesize

WINDOW = 300.0
HEADROOM_STEP = 0.02  # to which headroom is measured
SERVER = Server(max_loras=8, max_lora_rank=16, max_cpu_loras=16)


def running_plan(h100, workload, servers):
    placed = tuple(
        PlacedServer(name=name, profile=h100.name, server=SERVER, adapters=dict.fromkeys(names, 1.0))
        for name, names in servers.items()
    )
    return Plan(options=PlanOptions(), seed=0, lower_bound=1, profiles=(h100,), servers=placed, workload=workload)


def rearranged(h100, workload, before, after, *, constraints=None, move=0.01):
    """A fleet that ran with the adapters `before`, by server, and now has those `after`; new servers are open."""
    capacity = Capacity(h100, workload, Server(), 1.0)
    problem = Problem(capacity, 1, silent, math.inf, constraints or Constraints())
    running = Running.of(running_plan(h100, workload, before), problem, capacity, Prices(move, 0.2))
    contents = {
        name: ServerContents(SERVER if name in before else None, dict.fromkeys(names, 1.0))
        for name, names in after.items()
    }
    return Rearrangement(running, contents)


def adapters(*rates, rank=8):
    return [Adapter(f"a{i}", rank, rate) for i, rate in enumerate(rates)]


def headrooms(plan):
    return {server.name: server.forecast.headroom for server in plan.servers if server.forecast}


def numbered(*positions):
    return [f"a{i}" for i in positions]


# Whole plans


@pytest.fixture(scope="module")
def tight_plan(h100):
    """A plan for sixty adapters on few GPUs."""
    return make_plan(h100, synthesize(adapters=60, rate=20, ranks=(8, 16), popularity="zipf:0.9", duration=WINDOW))


@pytest.mark.parametrize("factor", [1.5, *(pytest.param(each, marks=pytest.mark.long) for each in (2.0, 3.0))])
def test_after_a_server_was_started_each_has_half_the_headroom_of_a_fresh_plan(h100, tight_plan, factor):
    new = replan(tight_plan, tight_plan.workload.scaled(factor))
    fresh = make_plan(h100, new.workload)
    assert new.verified
    assert new.gpus > tight_plan.gpus
    assert new.gpus >= fresh.gpus
    assert min(headrooms(new).values()) >= 0.5 * min(headrooms(fresh).values()) - HEADROOM_STEP
    assert new.migration.moves < len(new.workload) / 2
    assert max(server.forecast.ttft_p50 for server in new.servers) < 0.5


def test_one_hot_adapter_does_not_leave_a_server_at_its_limit(tight_plan):
    """Growth of one adapter that needs a further server: the others may move there as well."""
    names = sorted(tight_plan.workload.adapters, key=lambda adapter: -adapter.rate)
    hot = names[5].name
    workload = tight_plan.workload.model_copy(
        update={"adapters": tuple(a.scaled(12.0) if a.name == hot else a for a in tight_plan.workload.adapters)}
    )
    new = replan(tight_plan, workload)
    assert new.verified
    assert new.gpus > tight_plan.gpus
    assert min(headrooms(new).values()) > 0.1


def test_traffic_that_falls_or_stays_moves_nothing_for_balance(tight_plan):
    grown = replan(tight_plan, tight_plan.workload.scaled(2.0))
    for factor in (1.0, 0.97):
        again = replan(grown, grown.workload.scaled(factor))
        assert (again.migration.moves, again.migration.restarts, again.migration.balancing) == (0, 0, None)


def test_expensive_moves_are_not_made_for_balance(tight_plan):
    cheap, dear = (replan(tight_plan, tight_plan.workload.scaled(2.0), move_cost=cost) for cost in (0.001, 0.5))
    assert cheap.migration.balancing.moves > 2
    assert dear.migration.balancing is None or dear.migration.balancing.moves <= 2


def test_the_hottest_adapter_stays_where_it_is_pinned_when_the_traffic_doubles(h100, tight_plan):
    hot = max(tight_plan.workload.adapters, key=lambda adapter: adapter.rate).name
    plan = make_plan(h100, tight_plan.workload, constraints=Constraints(pinned={hot: "east"}))
    new = replan(plan, plan.workload.scaled(2.0))
    assert new.verified
    assert [server.name for server in new.servers if hot in server.adapters] == ["east"]
    assert min(headrooms(new).values()) > 0.1


def test_the_trade_is_told(tight_plan):
    new = replan(tight_plan, tight_plan.workload.scaled(2.0))
    told = new.migration.balancing
    assert 0 < told.moves <= new.migration.moves
    assert told.headroom_before < 0.1 < told.headroom_after
    text = changes_sentence(new.migration, new.gpus)
    assert f"Of these, {told.moves} moves relieve the fullest servers: the lowest headroom rises from" in text


@pytest.mark.parametrize(
    ("trade", "text"),
    [
        (
            (1, 0.0, 3.0),
            "Of these, 1 move relieves the fullest servers: the lowest headroom rises from 0 % to over 300 %",
        ),
        ((7, 0.04, 0.61), "Of these, 7 moves relieve the fullest servers: the lowest headroom rises from 4 % to 61 %"),
        (
            (0, 0.0, 0.5),
            "The fullest servers are relieved without further moves: the lowest headroom rises from 0 % to",
        ),
    ],
)
def test_the_trade_in_words(trade, text):
    moves, before, after = trade
    balancing = Balancing(moves=moves, headroom_before=before, headroom_after=after)
    found = Migration(
        gpus_before=1, extra_gpus=0, moves=9, restarts=0, added=0, departed=0, balancing=balancing, steps=()
    )
    assert changes_sentence(found, 2).splitlines()[1].startswith(text)


# Fleets built by hand


def test_equal_adapters_are_halved_between_an_old_and_a_new_server(h100):
    """Twelve adapters of 2 requests/s, all on the old server but one: about half of them are worth moving."""
    workload = Workload(adapters(*[2.0] * 12), duration=WINDOW)
    fleet = rearranged(h100, workload, {"old": numbered(*range(12))}, {"old": numbered(*range(11)), "new": ["a11"]})
    before = growth_of(fleet, "old")
    found = balance(fleet, [])
    assert 3 <= len(found.fleet.contents["new"].shares) <= 7
    assert growth_of(found.fleet, "old") > before
    assert found.gain == Balancing(
        moves=found.fleet.moves() - 1,
        headroom_before=before - 1.0,
        headroom_after=min(growth_of(found.fleet, name) for name in ("old", "new")) - 1.0,
    )


def test_the_adapters_with_most_load_move_first(h100):
    workload = Workload(adapters(6.0, 6.0, *[0.5] * 12), duration=WINDOW)
    fleet = rearranged(h100, workload, {"old": numbered(*range(14))}, {"old": numbered(*range(13)), "new": ["a13"]})
    assert set(balance(fleet, []).fleet.contents["new"].shares) & {"a0", "a1"}


def test_without_a_new_server_only_strained_ones_beside_roomy_ones_are_relieved(h100):
    workload = Workload(adapters(*[2.2] * 12), duration=WINDOW)
    on = {"full": numbered(*range(11)), "idle": ["a11"]}
    fleet = rearranged(h100, workload, on, on)
    assert growth_of(fleet, "full") < 1.1
    assert balance(fleet, []).gain is None
    assert balance(fleet, ["idle"]).gain is None
    assert balance(fleet, ["full"]).gain.moves >= 2


def test_no_adapter_goes_where_its_rank_does_not_fit_or_host_memory_is_full(h100):
    workload = Workload([*adapters(*[2.0] * 10, rank=16), Adapter("new", 8, 0.1)], duration=WINDOW)
    before = {"old": numbered(*range(10)), "other": ["new"]}
    for settings_of_other in (
        Server(max_loras=8, max_lora_rank=8, max_cpu_loras=16),
        Server(max_loras=1, max_lora_rank=16, max_cpu_loras=1),
    ):
        fleet = rearranged(h100, workload, before, before)
        fleet.contents["other"] = ServerContents(settings_of_other, {"new": 1.0})
        assert balance(fleet, ["old"]).gain is None


def test_shares_of_a_split_adapter_are_evened_without_a_move(h100):
    workload = Workload([*adapters(28.0), Adapter("a1", 8, 0.2)], duration=WINDOW)
    split = rearranged(h100, workload, {"x": ["a0", "a1"]}, {"x": ["a0"], "y": ["a1"]})
    split.contents["x"] = ServerContents(SERVER, {"a0": 0.95, "a1": 1.0})
    split.contents["y"] = ServerContents(None, {"a0": 0.05})
    found = balance(split, []).fleet
    shares = [server.shares for server in found.contents.values()]
    assert shares[0]["a0"] + shares[1]["a0"] == pytest.approx(1.0)
    assert 0.3 < shares[1]["a0"] < 0.7
    assert found.moves() == split.moves() == 1


@st.composite
def fleets(draw):
    """Rates of adapters, the number of them on the old server, and constraints on them."""
    rates = draw(st.lists(st.floats(0.05, 4.0), min_size=3, max_size=12))
    names = numbered(*range(len(rates)))
    old = draw(st.integers(1, len(rates) - 1))
    pinned = {names[0]: "old"} if draw(st.booleans()) else {}
    together = (tuple(names[1:3]),) if old >= 3 and draw(st.booleans()) else ()
    apart = ((names[0], names[-1]),) if draw(st.booleans()) else ()
    return rates, old, Constraints(pinned=pinned, together=together, apart=apart)


@given(drawn=fleets(), price=st.sampled_from([0.0, 0.01, 0.5]))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_balancing_loses_no_adapter_breaks_no_constraint_and_pays_for_itself(h100, drawn, price):
    rates, old, constraints = drawn
    names = numbered(*range(len(rates)))
    workload = Workload(adapters(*rates), duration=WINDOW)
    after = {"old": names[:old], "new": names[old:]}
    fleet = rearranged(h100, workload, {"old": names}, after, constraints=constraints, move=price)
    lowest = min(growth_of(fleet, name) for name in after)
    balanced, gain = balance(fleet, [])
    assert sorted(name for server in balanced.contents.values() for name in server.shares) == sorted(names)
    assert not balanced.unplaced
    assert constraints.violations({name: server.shares for name, server in balanced.contents.items()}) == []
    if gain:
        assert min(growth_of(balanced, name) for name in after) > lowest
        assert gain.moves * price <= 1.0
    else:
        assert balanced.contents == fleet.contents


def test_a_new_adapter_goes_where_host_memory_has_room_for_it(h100):
    """Server x is fuller, and comes first otherwise, but its host memory is full."""
    before = Workload(adapters(2.0, 2.0, 0.5), duration=WINDOW)
    servers = (
        ("x", Server(max_loras=2, max_lora_rank=16, max_cpu_loras=2), numbered(0, 1)),
        ("y", Server(max_loras=2, max_lora_rank=16, max_cpu_loras=2), numbered(2)),
    )
    plan = running_plan(h100, before, {name: names for name, _, names in servers})
    placed = tuple(
        PlacedServer(name=name, profile=h100.name, server=settings, adapters=dict.fromkeys(names, 1.0))
        for name, settings, names in servers
    )
    after = before.model_copy(update={"adapters": (*before.adapters, Adapter("new", 8, 0.1))})
    plan = plan.model_copy(update={"servers": placed})
    new = replan(plan, after, move_cost=10.0)
    assert [server.name for server in new.servers if "new" in server.adapters] == ["y"]
    assert all(len(server.adapters) <= server.server.adapters_in_host for server in new.servers)
    assert disk_reads_sentence(new) == ""


def test_more_adapters_than_host_memory_holds_are_told(h100):
    settings = Server(max_loras=1, max_lora_rank=16, max_cpu_loras=2)
    plan = running_plan(h100, Workload(adapters(0.1, 0.1, 0.1), duration=WINDOW), {"x": numbered(0, 1, 2)})
    full = plan.servers[0].model_copy(update={"server": settings})
    assert disk_reads_sentence(plan.model_copy(update={"servers": (full,)})) == (
        "1 GPU with more adapters than max_cpu_loras (x: 3, and 2 in host memory): vLLM reads the least recently used "
        "ones from disk again."
    )


def test_the_page_of_a_changed_plan_lists_changes_and_steps(tight_plan):
    new = replan(tight_plan, tight_plan.workload.scaled(2.0))
    page = plan_report(new)
    assert "Changes to the running fleet" in page
    for line in (*changes_sentence(new.migration, new.gpus).splitlines(), *step_lines(new.migration.steps)):
        assert f"{escape(line)}" in page
    assert "Changes to the running fleet" not in plan_report(tight_plan)
    same = plan_report(replan(tight_plan, tight_plan.workload))
    assert "Nothing changes: the fleet stays as it is." in same
