"""A briefing: the figures of a plan's servers again, a naive plan, and what happens when traffic grows."""

import pytest

from adaptwin import Adapter, Infeasible, Lengths, Server, Workload, make_plan
from adaptwin.briefing.make_briefing import MOST_RECORDED, make_briefing
from adaptwin.briefing.more_traffic import with_more_traffic
from adaptwin.briefing.naive import naive_plan
from adaptwin.plan.plan import Plan
from adaptwin.progress import silent

FIXED = Lengths.fixed(250, 230)


@pytest.fixture(scope="module")
def plan(h100) -> Plan:
    adapters = tuple(Adapter(name=f"a{i}", rank=16 if i % 3 else 32, rate=0.05 + 0.6 / (1 + i)) for i in range(80))
    return make_plan(h100, Workload(adapters=adapters, lengths=FIXED, duration=300, seed=3), seed=5)


@pytest.fixture(scope="module")
def briefing(plan):
    return make_briefing(plan, more_traffic=(1.05, 4.0))


def test_the_runs_are_those_that_the_forecasts_are_from(plan, briefing):
    assert set(briefing.runs) == {server.name for server in plan.serving}
    assert briefing.unsimulated == 0
    for server in plan.servers:
        run = briefing.runs[server.name]
        assert run.throughput == server.forecast.throughput
        assert run.ttft.p99 == server.forecast.ttft_p99
        assert set(run.adapters["name"]) == set(server.adapters)
        assert run.series is not None


def test_a_server_fails_where_its_headroom_ends(plan, briefing):
    little, much = briefing.more_traffic
    for found in (little, much):
        beyond = {server.name for server in plan.servers if server.forecast.headroom < found.factor - 1.0}
        assert set(found.failing) == beyond
        assert "ok" not in found.failing.values()
    assert much.failing


def test_more_traffic_needs_at_least_as_many_gpus_and_its_plan_is_verified(plan, briefing):
    little, much = briefing.more_traffic
    assert plan.gpus <= little.gpus < much.gpus
    assert much.verified
    assert much.gpus == make_plan(plan.profiles, plan.workload.scaled(4.0), seed=5).gpus


def test_a_naive_plan_has_a_slot_for_each_adapter_and_needs_no_fewer_gpus(plan, briefing):
    assert briefing.naive.verified
    assert briefing.naive.gpus >= plan.gpus
    assert briefing.naive.cost_per_hour is None


def test_a_naive_plan_keeps_settings_that_were_given(h100):
    adapters = tuple(Adapter(name=f"a{i}", rank=16, rate=0.5) for i in range(40))
    workload = Workload(adapters=adapters, lengths=FIXED, duration=300)
    free, narrow = (
        naive_plan(make_plan(h100, workload, server=server), "shipped", silent)
        for server in (Server(), Server(max_num_seqs=8))
    )
    assert narrow.gpus > free.gpus


def test_what_cannot_be_planned_is_said(plan, monkeypatch):
    def refuse(*_, **__):
        raise Infeasible("a0 is too much for any server")

    for module in ("naive", "more_traffic"):
        monkeypatch.setattr(f"adaptwin.briefing.{module}.find_plan", refuse)
    naive = naive_plan(plan, "shipped", silent)
    assert (naive.gpus, naive.problem) == (None, "a0 is too much for any server")
    more = with_more_traffic(plan, 2.0, "shipped", silent)
    assert (more.gpus, more.verified, more.problem) == (None, False, "a0 is too much for any server")


def test_without_comparison_no_other_plan_is_looked_for(plan, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("looked for a plan")

    for module in ("naive", "more_traffic"):
        monkeypatch.setattr(f"adaptwin.briefing.{module}.find_plan", refuse)
    quick = make_briefing(plan, more_traffic=(), compares=False)
    assert quick.naive is None
    assert quick.more_traffic == quick.savings == ()
    assert quick.runs


def test_only_the_fullest_servers_of_many_are_recorded(plan):
    (server, *_) = plan.servers
    many = 2 * MOST_RECORDED
    share = 1.0 / many
    copies = tuple(
        server.model_copy(update={"name": f"gpu-{i}", "adapters": dict.fromkeys(server.adapters, share)})
        for i in range(many)
    )
    wide = plan.model_copy(update={"servers": copies})
    runs = make_briefing(wide, more_traffic=(), compares=False).runs
    assert len(runs) == many
    assert sum(run.series is not None for run in runs.values()) == MOST_RECORDED
