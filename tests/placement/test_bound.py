"""The lower bound and the work it rests on: below what the twin needs, and below every placement."""

import pytest

from adaptwin import Adapter, Lengths, Server, Workload, make_plan, simulate
from adaptwin.placement.bound import lower_bound
from adaptwin.placement.work import work_seconds
from adaptwin.twin.server import server_rank

LENGTHS = {
    "sharegpt": Lengths.named("sharegpt"),
    "chat": Lengths.fixed(250, 231),
    "long prompts": Lengths.fixed(4000, 20),
    "long answers": Lengths.fixed(10, 1000),
    "one token": Lengths.fixed(300, 1),
}


def partitions(things):
    """All ways to part things into groups."""
    if not things:
        yield []
        return
    first, *rest = things
    for groups in partitions(rest):
        yield [[first], *groups]
        for i, group in enumerate(groups):
            yield [*groups[:i], [first, *group], *groups[i + 1 :]]


def optimum(capacity):
    """The fewest servers that serve all adapters whole, of all ways to place them."""
    served = {}

    def serves(group):
        key = frozenset(group)
        if key not in served:
            served[key] = capacity.fit(dict.fromkeys(group, 1.0)) is not None
        return served[key]

    return min((len(way) for way in partitions(capacity.names) if all(map(serves, way))), default=None)


def test_five_things_part_in_52_ways():
    assert [len(list(partitions(list(range(n))))) for n in range(6)] == [1, 1, 2, 5, 15, 52]


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("rank", [0, 8, 64])
def test_no_server_answers_requests_faster_than_their_work(h100, rank, lengths):
    work = work_seconds(h100, Server(), lengths, rank)
    hammered = Workload([Adapter("a", rank, 2.0 / work)], lengths=lengths, duration=120.0)
    rates = [
        simulate(h100, Server(max_loras=slots, max_lora_rank=server_rank(rank), max_num_seqs=seqs), hammered)
        for slots in {min(rank, 1), 1}
        for seqs in (256, 1024)
    ]
    fastest = max(run.request_rate for run in rates)
    assert 0.2 / work < fastest <= 1.0 / work


def test_work_grows_with_rank_and_lengths(h100):
    def work(rank, *lengths):
        return work_seconds(h100, Server(), Lengths.fixed(*lengths), rank)

    assert work(0, 250, 230) < work(8, 250, 230) < work(64, 250, 230)
    assert work(8, 250, 230) < work(8, 500, 230) < work(8, 500, 460)


def test_work_is_that_of_a_step_cost_worked_out_by_hand(h100):
    """Prompt 3, answer 3: five tokens in steps, two decodes that read 3 and 4 cached tokens."""
    cost = h100.step_cost
    law = dict.fromkeys(type(cost).model_fields, 0.0)
    figures = {"base": 2.048, "per_token": 10.0, "per_context_token": 1000.0}
    scheduler = h100.scheduler_cost.model_copy(update={"base": 0.0, "per_running": 1e5, "per_waiting": 0.0})
    profile = h100.model_copy(update={"step_cost": type(cost)(**{**law, **figures}), "scheduler_cost": scheduler})
    server = Server(max_num_batched_tokens=2048, max_num_seqs=64)
    expected = 5 * (10 + 0.001) + (3 + 4) * 1000 + 2 * 1e5
    assert work_seconds(profile, server, Lengths.fixed(3, 3), 0) == pytest.approx(expected)


def test_a_rank_is_served_by_the_next_one_up():
    assert [server_rank(rank) for rank in (0, 1, 2, 8, 9, 64, 300, 512)] == [1, 1, 8, 8, 16, 64, 320, 512]


def test_the_bound_is_nine_tenths_of_the_work_rounded_up(h100, fleet):
    work = work_seconds(h100, Server(), Lengths.named("sharegpt"), 8)
    for gpus in (0.5, 0.99, 1.01, 2.5):
        assert lower_bound([h100], fleet(("a", 8, gpus / 0.9 / work)), Server()) == int(gpus) + 1
    assert lower_bound([h100], fleet(("idle", 8, 0.0)), Server()) == 1


def test_the_bound_takes_the_best_profile_for_each_adapter(h100, fleet):
    slow = h100.model_copy(
        update={"step_cost": h100.step_cost.model_copy(update={"base": 1.0, "per_token": 1.0}), "name": "slow"}
    )
    workload = fleet(("a", 8, 60.0))
    best = lower_bound([h100], workload, Server())
    assert lower_bound([slow, h100], workload, Server()) == best < lower_bound([slow], workload, Server())


@pytest.mark.parametrize(
    "rates",
    [(1.0, 2.0, 3.0), (15.0, 10.0, 12.0, 9.0), (20.0, 18.0, 3.0, 3.0, 3.0), (12.0, 12.0, 12.0, 12.0, 12.0)],
)
def test_no_placement_of_a_tiny_fleet_beats_the_bound_and_pack_finds_the_best(h100, fleet, capacity_of, rates):
    workload = fleet(*[(f"a{i}", (8, 16, 64)[i % 3], rate) for i, rate in enumerate(rates)])
    best = optimum(capacity_of(workload))
    assert lower_bound([h100], workload, Server()) <= best
    plan = make_plan(h100, workload)
    assert plan.verified
    assert plan.lower_bound <= best == plan.gpus


def test_requests_that_are_rejected_cost_nothing(h100):
    """One of ten requests is longer than the server takes; the bound is nine tenths of the others' work."""
    server = Server(max_model_len=2048)
    mixed, short = Lengths.empirical([(100, 50)] * 9 + [(3000, 3000)]), Lengths.fixed(100, 50)
    assert work_seconds(h100, server, mixed, 8) == pytest.approx(0.9 * work_seconds(h100, server, short, 8))


def test_answers_that_end_early_lower_the_bound(h100):
    never, early = (
        h100.model_copy(update={"model": h100.model.model_copy(update={"early_stop_share": share})})
        for share in (0, 0.5)
    )
    limits, answers = (Lengths.empirical([(100, 51)], are_limits=are_limits) for are_limits in (True, False))
    whole = work_seconds(never, Server(), limits, 8)
    assert work_seconds(early, Server(), answers, 8) == whole
    assert 0.5 * whole < work_seconds(early, Server(), limits, 8) < whole


def test_planning_that_is_hidden_behind_the_step_before_is_not_counted(h100):
    waiting, hidden = (
        work_seconds(h100, Server(async_scheduling=on), Lengths.fixed(100, 50), 8) for on in (False, True)
    )
    assert hidden < waiting
