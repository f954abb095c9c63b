"""Traffic: the requests that each server gets are those that the twin draws."""

import numpy as np
import pytest

from adaptwin import Plan, Server, SpecError, Workload, verify
from adaptwin.live.traffic import traffic_of_fleet, traffic_of_plan
from adaptwin.placement.verification.verify import server_seed
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.twin.scenario import drawn_requests, make_scenario
from adaptwin.workload.drawing.requests import draw_requests


def plan_on(profile, workload, *bins):
    """Make a plan by hand, with a server for each mapping of adapters to shares."""
    servers = [
        PlacedServer(f"gpu-{i}", profile.name, Server(max_loras=4, max_lora_rank=16, max_cpu_loras=64), contents)
        for i, contents in enumerate(bins)
    ]
    return Plan(
        PlanOptions(strategy="by hand"), 3, lower_bound=1, servers=servers, profiles=[profile], workload=workload
    )


@pytest.fixture
def split(h100, fleet):
    """Return a plan with three adapters on two servers, one of them on both."""
    workload = fleet(("a", 8, 2.0), ("b", 16, 4.0), ("c", 8, 1.0))
    return plan_on(h100, workload, {"a": 1.0, "b": 0.25}, {"b": 0.75, "c": 1.0})


def same(one, other):
    return all(np.array_equal(left, right) for left, right in zip(one[:5], other[:5], strict=True))


def test_one_server_gets_what_the_twin_simulates(h100, fleet):
    """Answers end early as often as those of the model do."""
    workload, server = fleet(("a", 8, 2.0), ("b", 16, 4.0)), Server(max_loras=4, max_lora_rank=16)
    (traffic,) = traffic_of_fleet(workload, ["http://x"], 5, server, h100)
    assert same(traffic.requests, make_scenario(h100, server, workload, seed=5).requests)
    assert not same(traffic.requests, draw_requests(workload, 5))
    assert (traffic.name, traffic.url, traffic.seed, traffic.profile) == ("server", "http://x", 5, h100.name)
    (traffic,) = traffic_of_fleet(workload, ["http://x"], 5, None, None)
    assert same(traffic.requests, draw_requests(workload, 5))


def test_several_servers_get_one_request_after_the_other(fleet):
    workload = fleet(("a", 8, 2.0), ("b", 16, 4.0))
    drawn = draw_requests(workload, 5)
    dealt = traffic_of_fleet(workload, ["http://x", "http://y", "http://z"], 5, None, None)
    assert [each.name for each in dealt] == ["server-0", "server-1", "server-2"]
    for place, each in enumerate(dealt):
        assert same(each.requests, [column[place::3] for column in drawn[:5]])
        assert each.workload == workload  # any server may get any adapter


def test_a_plan_sends_each_server_what_its_verification_simulates(split, h100):
    one, two = traffic_of_plan(split, ["http://x", "http://y"], 3, None, "plan")
    runs = verify(split, seed=3).runs
    for traffic, run in zip((one, two), runs, strict=True):
        assert len(traffic.requests.arrival) == run.arrived
        assert np.bincount(traffic.requests.adapter).tolist() == run.adapters["arrivals"].to_list()
        assert traffic.seed == server_seed(3, traffic.name)
        assert same(traffic.requests, drawn_requests(h100, traffic.workload, traffic.seed))
    assert [adapter.name for adapter in one.workload.adapters] == ["a", "b"]
    assert [adapter.name for adapter in two.workload.adapters] == ["b", "c"]
    assert (one.url, two.url, one.name, two.name) == ("http://x", "http://y", "gpu-0", "gpu-1")
    assert one.server == split.servers[0].server


def test_parts_of_a_split_adapter_get_their_shares(split):
    one, two = traffic_of_plan(split, ["http://x", "http://y"], 3, None, "plan")
    assert [adapter.rate for adapter in one.workload.adapters] == [2.0, 1.0]
    assert [adapter.rate for adapter in two.workload.adapters] == [3.0, 1.0]
    assert np.count_nonzero(one.requests.adapter == 1) == pytest.approx(300, rel=0.25)
    assert np.count_nonzero(two.requests.adapter == 0) == pytest.approx(900, rel=0.15)


def test_recorded_arrivals_of_a_split_adapter_go_to_one_of_its_servers_each(h100):
    times = tuple(np.arange(0.5, 299.5, 1.0).tolist())
    adapters = [{"name": "a", "rank": 8, "rate": 1.0, "arrivals": times}, {"name": "b", "rank": 8, "rate": 1.0}]
    workload = Workload.parse({"adapters": adapters, "duration": 300.0})
    plan = plan_on(h100, workload, {"a": 0.5}, {"a": 0.5, "b": 1.0})
    got = traffic_of_plan(plan, ["http://x", "http://y"], 3, None, "plan")
    theirs = [each.requests.arrival[each.requests.adapter == 0] for each in got]
    assert sorted(np.concatenate(theirs).tolist()) == [round(time * 1e9) for time in times]
    assert all(len(each) == pytest.approx(149, rel=0.3) for each in theirs)


def test_a_plan_in_turn_sends_all_adapters_everywhere(split, h100):
    dealt = traffic_of_plan(split, ["http://x", "http://y"], 3, None, "round-robin")
    drawn = drawn_requests(h100, split.workload, 3)
    for place, each in enumerate(dealt):
        assert same(each.requests, [column[place::2] for column in drawn[:5]])
        assert each.workload == split.workload
    assert [each.name for each in dealt] == ["gpu-0", "gpu-1"]


def test_another_duration_is_that_of_every_server(split):
    for routing in ("plan", "round-robin"):
        for each in traffic_of_plan(split, ["http://x", "http://y"], 3, 20.0, routing):
            assert each.workload.duration == 20.0
            assert 0 < each.requests.arrival.max() < 20e9


@pytest.mark.parametrize(
    "urls",
    [
        ["http://x", "http://y"],
        ["gpu-0=http://x", "gpu-1=http://y"],
        ["gpu-1=http://y", "gpu-0=http://x"],
        ["gpu-1=y", "x"],
        ["x/v1", "gpu-1=http://y/"],
    ],
)
def test_addresses_go_by_name_or_by_order(split, urls):
    got = traffic_of_plan(split, urls, 3, 5.0, "plan")
    assert {each.name: each.url for each in got} == {"gpu-0": "http://x", "gpu-1": "http://y"}


@pytest.mark.parametrize(
    ("urls", "error"),
    [
        (["x"], r"the plan has 2 servers \(gpu-0, gpu-1\), each of which needs an address: 2, not 1"),
        (["x", "y", "z"], r"each of which needs an address: 2, not 3"),
        (["gpu-0=x"], "needs an address: 2, not 1"),
        (["gpu-2=x", "y"], "the plan has no server 'gpu-2': it has gpu-0, gpu-1"),
        (["=x", "y"], "the plan has no server ''"),
        (["gpu-0=x", "gpu-0=y"], "'gpu-0' has two addresses"),
        (["x", "http://x/v1"], "http://x is given twice"),
        (["gpu-1=x", "x"], "http://x is given twice"),
        (["gpu-0=ftp://x", "y"], "'ftp://x' is no address of a server"),
    ],
)
def test_wrong_addresses_of_a_plan(split, urls, error):
    with pytest.raises(SpecError, match=error) as caught:
        traffic_of_plan(split, urls, 3, 5.0, "plan")
    assert caught.value.field == "url"


def test_a_standby_server_gets_no_traffic(split):
    standby = split.servers[1].model_copy(update={"name": "spare", "adapters": {}})
    plan = split.model_copy(update={"servers": (*split.servers, standby)})
    assert plan.servers[2].is_standby
    assert [each.name for each in traffic_of_plan(plan, ["x", "y"], 3, 5.0, "plan")] == ["gpu-0", "gpu-1"]
