"""Servers with merged weights in a running fleet: they serve their adapter only, and restart for anything else."""

import pytest

from adaptwin import Adapter, Plan, Server, replan
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

MERGED = Server(max_num_seqs=1024).with_merged_weights()
LORA = Server(max_loras=4, max_lora_rank=8, max_cpu_loras=16)


@pytest.fixture
def running(h100):
    """Return a function from workload and servers (settings, shares) to a running plan, which is not verified."""

    def make(workload, servers):
        placed = tuple(
            PlacedServer(name=name, profile=h100.name, server=server, adapters=shares)
            for name, (server, shares) in servers.items()
        )
        return Plan(PlanOptions(), seed=0, lower_bound=1, profiles=(h100,), servers=placed, workload=workload)

    return make


@pytest.fixture
def two(running, fleet):
    """Return a plan with merged weights of a hot adapter on one server, and another adapter on the other."""
    return running(fleet(("hot", 8, 50.0), ("a", 8, 1.0)), {"m": (MERGED, {"hot": 1.0}), "x": (LORA, {"a": 1.0})})


def where(plan):
    return {server.name: (server.merged, dict(server.adapters)) for server in plan.servers}


def actions(plan):
    return [(step.action, *(value for value in (step.server, step.adapter) if value)) for step in plan.migration.steps]


def test_the_same_workload_changes_nothing(two):
    new = replan(two, two.workload)
    assert new.migration.steps == ()
    assert where(new) == where(two)
    assert new.verified


def test_a_new_adapter_goes_to_another_server(two, fleet):
    new = replan(two, fleet(("hot", 8, 20.0), ("a", 8, 1.0), ("b", 8, 1.0), ("base", 0, 1.0)), move_cost=5.0)
    assert where(new) == {"m": (True, {"hot": 1.0}), "x": (False, {"a": 1.0, "b": 1.0, "base": 1.0})}
    assert actions(new) == [("load", "x", "b"), ("route", "b"), ("route", "base")]


def test_its_server_stops_when_the_adapter_leaves(two, fleet):
    new = replan(two, fleet(("a", 8, 1.0)))
    assert where(new) == {"x": (False, {"a": 1.0})}
    assert actions(new) == [("route", "hot"), ("stop", "m")]


def test_other_weights_are_merged_by_a_restart_beside_a_stand_in(running, fleet):
    alone = running(fleet(("hot", 8, 50.0)), {"m": (MERGED, {"hot": 1.0})})
    hot = Adapter("hot", 8, 50.0, artifact="v2")
    new = replan(alone, alone.workload.model_copy(update={"adapters": (hot,)}))
    assert where(new) == where(alone)
    assert actions(new) == [
        ("start", "m-stand-in", "hot"),
        ("route", "hot"),
        ("restart", "m", "hot"),
        ("route", "hot"),
        ("stop", "m-stand-in"),
    ]
    assert all(step.settings.merged for step in new.migration.steps if step.settings)
    assert (new.migration.restarts, new.migration.moves, new.migration.extra_gpus) == (1, 0, 1)


def test_excess_traffic_goes_to_another_server_as_a_lora_adapter(two, fleet):
    new = replan(two, fleet(("hot", 8, 75.0), ("a", 8, 1.0)))
    (is_merged, kept), (is_other_merged, others) = (where(new)[name] for name in ("m", "x"))
    assert is_merged
    assert not is_other_merged
    assert 45.0 < 75.0 * kept["hot"] < 70.0
    assert others == pytest.approx({"a": 1.0, "hot": 1.0 - kept["hot"]})
    assert (new.verified, new.gpus, new.migration.moves, new.migration.restarts) == (True, 2, 1, 0)


def test_little_traffic_leaves_the_merged_server_which_stops(two, fleet):
    new = replan(two, fleet(("hot", 8, 2.0), ("a", 8, 1.0)))
    assert where(new) == {"x": (False, {"a": 1.0, "hot": 1.0})}
    assert new.migration.moves == 1


def test_for_other_adapters_a_server_restarts_without_merged_weights_where_that_costs_least(running, fleet):
    alone = running(fleet(("hot", 8, 50.0)), {"m": (MERGED, {"hot": 1.0})})
    changed = fleet(("hot", 8, 5.0), ("b", 8, 1.0))
    new = replan(alone, changed, restart_cost=0.1, move_cost=0.2)
    assert where(new) == {"m": (False, {"hot": 1.0, "b": 1.0})}
    assert (new.gpus, new.migration.restarts) == (1, 1)
    kept = replan(alone, changed, restart_cost=3.0, move_cost=3.0)
    assert where(kept) == {"m": (True, {"hot": 1.0}), "gpu-0": (False, {"b": 1.0})}


def test_an_adapter_that_becomes_base_traffic_is_not_served_by_merged_weights(two, fleet):
    new = replan(two, fleet(("hot", 0, 5.0), ("a", 8, 1.0)))
    assert not any(server.merged for server in new.servers)
    assert new.verified


def test_the_parts_of_a_split_adapter_stay_where_they_are(running, fleet):
    shares = {"m": (MERGED, {"hot": 0.5}), "n": (MERGED, {"hot": 0.5}), "x": (LORA, {"a": 1.0})}
    plan = running(fleet(("hot", 8, 100.0), ("a", 8, 1.0)), shares)
    new = replan(plan, fleet(("hot", 8, 100.0), ("a", 8, 1.0), ("b", 8, 1.0)))
    assert where(new) == {**where(plan), "x": (False, {"a": 1.0, "b": 1.0})}


def test_new_weights_cost_a_restart(two):
    changed = two.workload.model_copy(update={"adapters": (Adapter("hot", 32, 50.0), two.workload.adapters[1])})
    new = replan(two, changed)
    assert new.migration.restarts == 1
    assert new.verified
