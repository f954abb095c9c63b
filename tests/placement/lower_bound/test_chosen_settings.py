"""The bound holds for every setting that the planner may choose, and for merged weights."""

import numpy as np
import pytest
from tests.effort import examples
from tests.placement.lower_bound.test_lower_bound import optimum, random_fleet

from adaptwin import Adapter, Lengths, Server, Workload, make_plan, simulate
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.planner_settings import settings_range as range_of
from adaptwin.placement.lower_bound.least_work import SHARED_BY, most_cached, work_seconds
from adaptwin.placement.lower_bound.lower_bound import cost_bound, lower_bound, servers_bound
from adaptwin.placement.lower_bound.settings_range import SettingsRange
from adaptwin.placement.packing.dedicated import dedicated_server
from adaptwin.twin.server import server_rank

SETTINGS = [
    Server(),
    Server(max_num_seqs=1024),
    Server(max_num_seqs=1024, max_num_batched_tokens=8192),
    Server(max_num_batched_tokens=512),
]


@pytest.mark.parametrize("rank", [0, 8, 64])
@pytest.mark.parametrize("lengths", [Lengths.named("sharegpt"), Lengths.fixed(4000, 20), Lengths.fixed(10, 1000)])
def test_no_server_in_the_range_serves_requests_faster_than_their_work(h100, rank, lengths):
    """This holds for every `SharedBy`. Requests still running at the end are a small part of so long a window."""
    works = [work_seconds(h100, range_of(Server(), [h100]), lengths, rank, shared_by) for shared_by in SHARED_BY]
    hammered = Workload([Adapter("a", rank, 1.2 / max(works))], lengths=lengths, duration=900.0)
    slots = {"max_loras": min(rank, 1), "max_lora_rank": server_rank(rank, h100)}
    fastest = max(simulate(h100, each.model_copy(update=slots), hammered).request_rate for each in SETTINGS)
    assert 0.6 / max(works) < fastest <= 1.01 / max(works)


def test_the_cache_is_that_of_the_leanest_settings(h100):
    possible = range_of(Server(), [h100])
    assert most_cached(h100, possible, 8) == max(most_cached(h100, settings, 8) for settings in SETTINGS)


def test_a_range_of_one_setting_is_that_setting(h100, fleet):
    workload = fleet(("a", 8, 30.0), ("b", 64, 20.0))
    assert SettingsRange.of(SettingsRange.of(Server())) == (Server(), Server())
    assert lower_bound([h100], workload, Server()) == lower_bound([h100], workload, SettingsRange.of(Server()))


@pytest.mark.long
def test_no_placement_with_1024_seats_beats_the_bound(h100, fleet):
    """Brute force over all placements of tiny fleets, on servers with 1,024 seats and 8,192 tokens."""
    found = []
    for seed in range(examples(8, 3)):
        workload = random_fleet(seed, fleet)
        bound = lower_bound([h100], workload, range_of(Server(), [h100]))
        best = min(optimum(Capacity(h100, workload, settings, 1.0)) for settings in SETTINGS[1:3])
        found.append((bound, best))
    print(found)
    assert all(bound <= best for bound, best in found)
    assert any(bound > 1 for bound, _ in found)


@pytest.mark.long
def test_the_planner_never_beats_its_bound_with_many_seats_given(h100, fleet):
    workload = fleet(*[(f"a{i:02}", 8, 2.5) for i in range(40)])
    plan = make_plan(h100, workload, server=Server(max_num_seqs=1024))
    assert plan.verified
    assert 1 < plan.lower_bound <= plan.gpus


# Merged weights


@pytest.fixture(scope="module")
def hot():
    """Return an adapter that needs several servers, alone in its workload."""
    return Workload([Adapter("hot", 16, 150.0)], duration=300.0)


def most_served(h100, workload, settings):
    """Return the largest share, in steps of 2 %, that a server with merged weights serves, by the twin."""
    capacity = Capacity(h100, workload, settings)
    server = dedicated_server(capacity, "hot")
    return max(share for share in np.arange(0.1, 0.9, 0.02) if capacity.ask_on({"hot": float(share)}, server).ok)


def test_merged_weights_lower_the_bound_but_not_below_what_the_twin_serves(h100, hot):
    possible = range_of(Server(), [h100])
    without = lower_bound([h100], hot, possible)
    merged = lower_bound([h100], hot, possible, allow_merged=True)
    shares = [most_served(h100, hot, settings) for settings in SETTINGS[1:3]]
    assert merged < without
    assert merged <= np.ceil(1.0 / max(shares))


def test_adapters_that_fill_no_server_gain_nothing_from_merging(h100, fleet):
    workload = fleet(*[(f"a{i}", 16, 8.0) for i in range(12)])
    bounds = {merged: servers_bound(h100, workload, Server(), allow_merged=merged) for merged in (False, True)}
    assert bounds[True] == bounds[False] > 1


def test_quantised_weights_are_not_merged(h100, hot):
    quantised = h100.model_copy(update={"quantization": "fp8"})
    assert lower_bound([quantised], hot, Server(), allow_merged=True) == lower_bound([quantised], hot, Server())


def test_a_profile_more_never_raises_a_bound_with_merged_weights(h100):
    """No slot of rank 320 leaves enough memory on the small GPU, but the merged model starts there."""
    memory = h100.memory.model_copy(update={"gpu_bytes": 4.4e10})
    small = h100.model_copy(update={"name": "small", "memory": memory, "price_per_hour": 0.5})
    dear, workload = (
        h100.model_copy(update={"price_per_hour": 4.0}),
        Workload([Adapter("a", 320, 75.0)], duration=300.0),
    )
    assert not Server(max_loras=1, max_lora_rank=320).starts_on(small)
    for bound in (lower_bound, cost_bound):
        alone, both = (bound(each, workload, Server(), allow_merged=True) for each in ([small], [small, dear]))
        assert both <= alone


def test_merging_lowers_the_price_to_that_of_whole_servers_at_least(h100, hot):
    priced = h100.model_copy(update={"price_per_hour": 2.0})
    without, merged = (cost_bound([priced], hot, Server(), allow_merged=each) for each in (False, True))
    assert 2.0 <= merged < without
    assert merged % 2.0 == 0.0
