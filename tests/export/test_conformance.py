"""Conformance: what holds for the text of every export target."""

import pytest

from adaptwin import Adapter, Plan, Server, Workload, load_profile
from adaptwin.export.registry import TARGETS
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")
ADAPTERS = (
    Adapter("tenant-a", 8, 1.0),
    Adapter("tenant-b", 16, 1.0, artifact="s3://bucket/b"),
    Adapter("hot", 8, 5.0),
    Adapter("base", 0, 1.0),
    Adapter("hottest", 8, 40.0),
)
SETTINGS = Server(max_loras=4, max_lora_rank=16)

every_target = pytest.mark.parametrize("write", TARGETS.values(), ids=TARGETS.keys())


def make_plan() -> Plan:
    """Make a plan of servers that share an adapter, of the base model, with merged weights, and a standby."""
    return Plan(
        PlanOptions(strategy="by hand", spare=1),
        7,
        lower_bound=1,
        servers=(
            PlacedServer("serving-0", H100.name, SETTINGS, {"tenant-a": 1.0, "hot": 0.4}),
            PlacedServer("serving-1", H100.name, SETTINGS, {"tenant-b": 1.0, "hot": 0.6}),
            PlacedServer("serving-2", H100.name, Server(max_loras=0, max_cpu_loras=0), {"base": 1.0}),
            PlacedServer("serving-3", H100.name, SETTINGS.with_merged_weights(), {"hottest": 1.0}),
            PlacedServer("waiting-4", H100.name, SETTINGS, {}),
        ),
        profiles=[H100],
        workload=Workload(ADAPTERS, duration=300.0),
    )


@pytest.fixture(scope="module")
def plan():
    return make_plan()


@every_target
def test_the_same_plan_gives_the_same_text(plan, write):
    assert write(plan) == write(plan) == write(make_plan())


@every_target
def test_every_server_that_serves_is_named(plan, write):
    text = write(plan)
    assert all(server.name in text for server in plan.servers if not server.is_standby)


@every_target
def test_every_adapter_is_named(plan, write):
    text = write(plan)
    assert all(adapter.name in text for adapter in plan.workload.adapters if adapter.rank > 0)


@every_target
def test_a_standby_is_named(plan, write):
    assert [server.name for server in plan.standbys] == ["waiting-4"]
    assert "waiting-4" in write(plan)


@every_target
def test_the_text_ends_with_one_line_break(plan, write):
    text = write(plan)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
