"""loraserve_third: a slot for every three adapters, rounded; the placement is that of loraserve."""

import pytest

from adaptwin import make_plan
from adaptwin.placement.strategies.loraserve_third import third


@pytest.mark.parametrize(("adapters", "slots"), [(0, 0), (1, 1), (2, 1), (4, 1), (5, 2), (7, 2), (8, 3), (60, 20)])
def test_a_third_is_rounded_and_at_least_one(adapters, slots):
    assert third(adapters) == slots


def test_every_server_has_a_slot_for_three_adapters(h100, fleet):
    adapters = [(f"high-{i}", 64, 3.0) for i in range(6)] + [(f"low-{i}", 8, 3.0) for i in range(6)]
    plan = make_plan(h100, fleet(*adapters, ("base", 0, 0.1)), strategy="loraserve_third")
    loras = [sum(name != "base" for name in server.adapters) for server in plan.servers]
    assert [server.server.max_loras for server in plan.servers] == [third(count) for count in loras]
    assert sum(loras) == 12


def test_three_times_as_many_adapters_start_as_with_a_slot_for_each(h100, fleet):
    """The slots of 140 adapters do not fit on a GPU, but 47 do."""
    calm = fleet(*[(f"a{i:03}", 64, 0.01) for i in range(140)])
    (server,) = make_plan(h100, calm, strategy="loraserve_third").servers
    assert server.server.max_loras == 47
