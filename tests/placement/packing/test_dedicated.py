"""Dedicated servers: for a hot adapter with merged weights where that is allowed, and for hot base traffic."""

import pytest

from adaptwin import Adapter, make_plan, simulate, verify
from adaptwin.placement.packing.dedicated import dedicated_server
from adaptwin.plan.constraints import Constraints
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture(scope="module")
def hot():
    """Return a workload with an adapter that is too hot for one server, among mild ones."""
    mild = synthesize(adapters=20, rate=6, ranks=(8, 16), duration=300.0)
    return mild.model_copy(update={"adapters": (Adapter("hot", 16, 90.0), *mild.adapters)})


@pytest.fixture(scope="module")
def merged(h100, hot):
    """Return the plan where weights may be merged."""
    return make_plan(h100, hot, allow_merged=True)


def share_of_hot(plan):
    return sum(server.adapters.get("hot", 0.0) for server in plan.servers)


def test_merged_weights_save_a_server(h100, hot, merged):
    plain = make_plan(h100, hot)
    assert plain.verified
    assert merged.verified
    assert merged.gpus < plain.gpus
    assert not any(server.merged for server in plain.servers)
    assert share_of_hot(merged) == pytest.approx(1.0)


def test_a_server_with_merged_weights_has_one_adapter_and_no_slots(merged):
    own = [server for server in merged.servers if server.merged]
    assert own
    assert all(list(server.adapters) == ["hot"] and server.server.max_loras == 0 for server in own)


def test_the_plan_says_what_merging_gains(merged):
    without = {each.without: each for each in merged.alternatives}
    assert without["merged"].gpus > merged.gpus
    assert without["merged"].found_by == "search"
    (server,) = [server for server in merged.servers if server.merged][:1]
    (decision,) = [each for each in server.decisions if each.setting == "merged"]
    assert decision.without is None or decision.without.verdict != "ok"


def test_a_plan_with_merged_weights_holds_with_other_seeds(merged):
    assert all(verify(merged, seed).ok for seed in (71, 72))


def test_merged_weights_serve_more_than_a_slot_of_their_own(h100, hot, capacity_of):
    alone = hot.part({"hot": 1.0})
    capacity = capacity_of(alone)
    as_lora, as_merged = (
        simulate(h100, server, alone).throughput
        for server in (capacity.server({"hot": 1.0}, 1), dedicated_server(capacity, "hot"))
    )
    assert as_merged > 1.15 * as_lora


@pytest.mark.parametrize(
    "constraints", [Constraints(pinned={"hot": "gpu-0"}), Constraints(together=(("hot", "a010"),))], ids=str
)
def test_an_adapter_in_a_constraint_is_not_merged(h100, hot, constraints):
    plan = make_plan(h100, hot.scaled(0.3), allow_merged=True, constraints=constraints)
    assert not any(server.merged for server in plan.servers)


def test_quantised_weights_are_not_merged(h100, hot):
    quantised = h100.model_copy(update={"quantization": "fp8"})
    plan = make_plan(quantised, hot, allow_merged=True)
    assert not any(server.merged for server in plan.servers)
