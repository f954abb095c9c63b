from adaptwin.report.plan.ranks import rank_colour, rank_counts
from adaptwin.workload.lora_ranks import SERVED_RANKS


def test_ranks_are_counted_per_server(make_plan) -> None:
    plan = make_plan(gpus=2, adapters=30)
    counted = rank_counts(plan)
    assert [sum(counts.values()) for counts in counted] == [15, 16]  # the hottest adapter is on both
    assert all(list(counts) == sorted(counts) for counts in counted)


def test_every_slot_rank_has_a_colour_of_its_own() -> None:
    assert len({rank_colour(rank) for rank in (0, *SERVED_RANKS)}) == 1 + len(SERVED_RANKS)


def test_a_rank_has_the_colour_of_its_slots() -> None:
    assert [rank_colour(rank) for rank in (2, 10, 16, 500)] == [rank_colour(rank) for rank in (8, 16, 16, 512)]
