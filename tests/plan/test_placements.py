import pytest

from adaptwin.plan.placements import placements


def test_placements_split_an_adapter_by_its_shares(make_plan) -> None:
    plan = make_plan(gpus=2, adapters=10)
    hottest = [row for row in placements(plan) if row.name == "tenant-000"]
    assert [(row.server, row.share) for row in hottest] == [("gpu-0", 0.4), ("gpu-1", 0.6)]
    rate = plan.workload.adapters[0].rate
    assert [row.tokens for row in hottest] == pytest.approx([0.4 * rate * 481, 0.6 * rate * 481])
