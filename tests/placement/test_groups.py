"""Plans on groups of GPUs: objectives, given GPUs, spare GPUs and replans count GPUs, and groups stay whole."""

import pytest

from adaptwin import Infeasible, Server, SpecError, explain, make_plan, verify
from adaptwin.replanning.replan import replan

USUAL = Server(max_num_seqs=256)  # vLLM's default, so that the planner chooses no other


@pytest.fixture(scope="module")
def busy(fleet):
    """Return adapters that two servers serve."""
    return fleet(*[(f"a{i:02}", 8 if i % 3 else 16, 1.6) for i in range(24)])


@pytest.fixture(scope="module")
def few(fleet):
    """Return adapters that one server serves."""
    return fleet(("a", 8, 0.5), ("b", 16, 0.5))


@pytest.fixture(scope="module")
def on_single(group_of, busy):
    return make_plan(group_of(1), busy)


@pytest.fixture(scope="module")
def on_pairs(group_of, busy):
    return make_plan(group_of(2, 3.0), busy)


def used(plan):
    return {server.profile for server in plan.servers}


@pytest.fixture(scope="module")
def doubled(group_of, h100):
    """Return a function from a price of one GPU, and a speed, to a group of two that is so many times as fast."""
    counts = ("balance_tokens", "graph_tokens", "split_tokens")

    def make(price=None, speed=2.0):
        cost = h100.step_cost
        faster = {name: value / speed for name, value in cost.model_dump().items() if name not in counts}
        return group_of(2, price).model_copy(update={"step_cost": cost.model_copy(update=faster)})

    return make


# Objectives


def test_of_groups_with_the_same_costs_the_smallest_needs_the_fewest_gpus(group_of, busy):
    plan = make_plan([group_of(2), group_of(1)], busy)
    assert used(plan) == {group_of(1).name}
    assert plan.gpus == len(plan.servers) == 2


def test_servers_of_two_gpus_alone_are_as_many_and_twice_the_gpus(on_single, on_pairs):
    assert on_pairs.verified
    assert (on_pairs.gpus, len(on_pairs.servers), on_pairs.cost_per_hour) == (4, 2, 12.0)
    assert on_pairs.lower_bound == 2 * on_single.lower_bound


@pytest.mark.long
@pytest.mark.parametrize("speed", [2.1, 4.0])
def test_of_as_many_gpus_the_one_whose_slowest_server_is_faster_is_taken(group_of, doubled, busy, on_single, speed):
    """One group of two serves what two GPUs serve: with twice the requests in a batch, or half the time for each."""
    kinds = [group_of(1), doubled(speed=speed)]
    alone = [on_single, make_plan(kinds[1], busy)]
    assert [plan.gpus for plan in alone] == [2, 2]
    slowest = [max(server.forecast.itl_mean for server in plan.servers) for plan in alone]
    faster = slowest.index(min(slowest))
    assert used(make_plan(kinds, busy)) == used(make_plan(kinds[::-1], busy)) == {kinds[faster].name}


@pytest.mark.long
def test_a_group_that_replaces_more_servers_than_it_has_gpus_is_taken(group_of, doubled, fleet):
    crowd = fleet(*[(f"a{i:02}", 8, 1.6) for i in range(40)])
    alone, group = (make_plan(each, crowd, server=USUAL) for each in (group_of(1), doubled(speed=4.0)))
    assert (alone.gpus, group.gpus, len(group.servers)) == (3, 2, 1)
    both = make_plan([group_of(1), doubled(speed=4.0)], crowd, server=USUAL)
    assert (both.gpus, used(both)) == (2, {group_of(2).name})


def test_of_as_many_gpus_the_cheaper_are_taken_and_then_the_fewer_servers(group_of, doubled, busy, on_single):
    assert on_single.gpus == make_plan(doubled(), busy).gpus == 2
    assert used(make_plan([group_of(1, 1.0), doubled(2.0)], busy)) == {group_of(1).name}
    assert used(make_plan([group_of(1, 2.0), doubled(1.0)], busy)) == {group_of(2).name}
    assert used(make_plan([group_of(1), doubled()], busy)) == {group_of(2).name}


def test_min_cost_compares_the_prices_of_whole_groups(group_of, few):
    dear, cheap = (make_plan([group_of(1, 2.0), group_of(2, price)], few, objective="min-cost") for price in (1.1, 0.9))
    assert (used(dear), dear.cost_per_hour) == ({group_of(1).name}, 2.0)
    assert (used(cheap), cheap.cost_per_hour) == ({group_of(2).name}, 1.8)
    assert all(plan.cost_bound <= plan.cost_per_hour and plan.lower_bound <= plan.gpus for plan in (dear, cheap))


def test_prices_that_are_given_are_those_of_one_gpu(group_of, few):
    name = group_of(2).name
    assert make_plan(group_of(2), few, prices={name: 2.5}).cost_per_hour == 5.0


# Given GPUs


@pytest.mark.parametrize("objective", ["min-latency", "max-throughput"])
def test_given_gpus_make_as_many_whole_servers(group_of, busy, objective):
    plan = make_plan(group_of(2), busy, objective=objective, gpus=7)
    assert (len(plan.servers), plan.gpus, plan.options.gpus) == (3, 6, 7)


@pytest.mark.parametrize("objective", ["min-latency", "max-throughput"])
def test_a_size_of_which_the_given_gpus_make_no_server_is_not_used(group_of, few, objective):
    plan = make_plan([group_of(4), group_of(1)], few, objective=objective, gpus=2)
    assert used(plan) == {group_of(1).name}


def test_fewer_gpus_than_the_smallest_group_are_refused(group_of, few):
    with pytest.raises(SpecError, match=r"^gpus: 1: too few, as a server of .*-tp2 has 2$"):
        make_plan([group_of(4), group_of(2)], few, objective="min-latency", gpus=1)


def test_gpus_that_would_suffice_one_by_one_may_be_too_few_in_groups(group_of, busy):
    assert make_plan(group_of(1), busy, objective="min-latency", gpus=3).verified
    with pytest.raises(Infeasible, match="gpus: 3 is too few"):
        make_plan(group_of(2), busy, objective="min-latency", gpus=3)


# Spare GPUs


@pytest.mark.parametrize("strategy", ["pack", "round_robin"])
def test_one_gpu_that_fails_stops_its_whole_group(group_of, few, strategy):
    """Shared by all servers, or as a standby: one server of two GPUs more, and twice the bound on servers."""
    plan = make_plan(group_of(2), few, spare=1, strategy=strategy)
    assert (plan.gpus, len(plan.servers), plan.lower_bound) == (4, 2, 4)
    assert {failover.failed for failover in plan.failover} >= {("gpu-0",)}
    assert verify(plan).ok


def test_two_gpus_that_fail_may_stop_two_groups(group_of, few):
    plan = make_plan(group_of(2), few, spare=2)
    assert (plan.gpus, plan.lower_bound) == (6, 6)
    assert max(len(failover.failed) for failover in plan.failover) == 2


# Replans and explanations


def test_a_replan_counts_the_gpus_of_servers_that_it_adds_and_removes(on_pairs, busy):
    more = replan(on_pairs, busy.scaled(2.6))
    assert more.migration.gpus_before == 4
    assert more.gpus == 2 * len(more.servers) > 4
    back = replan(more, busy.scaled(0.5))
    assert back.migration.gpus_before == more.gpus
    assert back.gpus == 2 * len(back.servers) < more.gpus
    assert back.lower_bound % 2 == 0
    assert back.migration.extra_gpus % 2 == 0


def test_a_replan_has_a_standby_group(group_of, few):
    plan = replan(make_plan(group_of(2), few, spare=1, strategy="round_robin"), few.scaled(1.1))
    assert (plan.gpus, plan.migration.gpus_before, plan.lower_bound) == (4, 4, 4)


def test_an_explanation_counts_gpus(on_pairs):
    found = explain(on_pairs)
    assert (found.gpus, [each.gpus for each in found.servers]) == (4, [2, 2])
    assert found.savings.as_it_is % 2 == 0
    assert all(saving.gpus % 2 == 0 for saving in found.savings.saving)
