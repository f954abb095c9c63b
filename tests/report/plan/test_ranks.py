from adaptwin.report.plan.ranks import RANK_COLOURS, rank_counts
from adaptwin.workload.workload import SERVED_RANKS


def test_ranks_are_counted_per_server(make_plan) -> None:
    plan = make_plan(gpus=2, adapters=30)
    counted = rank_counts(plan)
    assert [sum(counts.values()) for counts in counted] == [15, 16]  # the hottest adapter is on both
    assert all(list(counts) == sorted(counts) for counts in counted)


def test_every_served_rank_has_a_colour_of_its_own() -> None:
    assert set(RANK_COLOURS) == {0, *SERVED_RANKS}
    assert len(set(RANK_COLOURS.values())) == len(RANK_COLOURS)
