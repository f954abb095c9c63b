"""verify and unplaced: a plan that does not hold is detected."""

import pytest

from adaptwin import Plan, Server, SpecError, verify
from adaptwin.placement.verification.verify import server_seed
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer, unplaced


def plan_on(profile, workload, *bins, slots=4):
    """Make a plan by hand: one server of rank 16 for each mapping of names to shares."""
    servers = [
        PlacedServer(f"gpu-{i}", profile.name, Server(max_loras=slots, max_lora_rank=16, max_cpu_loras=64), contents)
        for i, contents in enumerate(bins)
    ]
    return Plan(
        PlanOptions(strategy="by hand"), 0, lower_bound=1, servers=servers, profiles=[profile], workload=workload
    )


@pytest.fixture
def crowd(fleet):
    return fleet(*[(f"a{i:02}", 8, 3.0) for i in range(40)])


def test_a_plan_with_all_adapters_on_one_server_does_not_hold(h100, crowd):
    plan = plan_on(h100, crowd, {adapter.name: 1.0 for adapter in crowd.adapters})
    check = verify(plan)
    assert not check.ok
    (line,) = check.failures
    count, verdict = line.removeprefix("gpu-0: ").split(" adapters ")
    assert (verdict, int(count)) == ("starved", (check.runs[0].adapters["verdict"] == "starved").sum())
    assert int(count) > 20
    assert check.runs[0].starved


def test_failures_name_the_server_that_failed(h100, crowd):
    names = [adapter.name for adapter in crowd.adapters]
    few, many = dict.fromkeys(names[:3], 1.0), dict.fromkeys(names[3:], 1.0)
    check = verify(plan_on(h100, crowd, few, many))
    assert [run.worst for run in check.runs] == ["ok", "starved"]
    assert {line.split(":")[0] for line in check.failures} == {"gpu-1"}


def test_a_check_depends_only_on_the_seed(h100, fleet):
    plan = plan_on(h100, fleet(("a", 8, 2.0), ("b", 16, 2.0)), {"a": 1.0, "b": 1.0})
    first, again, other = verify(plan, seed=3), verify(plan, seed=3, jobs=1), verify(plan, seed=4)
    assert first.ok
    assert first.runs[0].to_json() == again.runs[0].to_json()
    assert first.runs[0].arrived != other.runs[0].arrived
    assert (first.seed, other.seed) == (3, 4)


def test_parts_of_a_split_adapter_have_independent_arrivals(h100, fleet):
    plan = plan_on(h100, fleet(("a", 8, 8.0)), {"a": 0.5}, {"a": 0.5})
    one, two = verify(plan).runs
    assert one.offered_throughput != two.offered_throughput
    assert one.arrived == pytest.approx(1200, rel=0.15)
    assert server_seed(1, "gpu-0") != server_seed(1, "gpu-1")


def test_unplaced_names_adapters_whose_shares_do_not_sum_to_one(h100, fleet):
    workload = fleet(("a", 8, 1.0), ("b", 8, 1.0), ("c", 8, 1.0))
    servers = plan_on(h100, workload, {"a": 1.0, "b": 0.4}, {"b": 0.6, "c": 1.0}).servers
    assert unplaced(workload, servers) == {}
    assert list(unplaced(workload, servers[:1])) == ["b", "c"]
    assert list(unplaced(workload, [*servers, servers[0]])) == ["a", "b"]


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        (({"a": 1.0, "z": 1.0},), r"servers\[0\]\.adapters: 'z' is not in the plan's workload"),
        (({"a": 0.5},), r"the shares of 'a' sum to 0.5, not to 1"),
        (({"a": 1.0}, {"a": 1.0}), r"the shares of 'a' sum to 2, not to 1"),
        (({"a": 1.5},), r"servers\[0\]\.adapters\.a|adapters\.a: 1\.5 must be at most 1"),
        (({},), r"the shares of 'a' sum to 0, not to 1"),
    ],
)
def test_a_plan_must_serve_every_adapter_once(h100, fleet, bins, message):
    with pytest.raises(SpecError, match=message):
        plan_on(h100, fleet(("a", 8, 1.0)), *bins)


def test_a_plan_must_carry_the_profiles_of_its_servers(h100, fleet):
    other = h100.model_copy(update={"name": "other"})
    plan = plan_on(h100, fleet(("a", 8, 1.0)), {"a": 1.0})
    with pytest.raises(SpecError, match=r"'h100-64gb-llama-3.1-8b-instruct' is not among the plan's profiles"):
        Plan(**{name: getattr(plan, name) for name in Plan.model_fields if name != "profiles"}, profiles=[other])
