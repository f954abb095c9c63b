"""Adapters of ranks that vLLM pads: planned, explained and exported as those of the padded rank."""

import pytest

from adaptwin import make_plan
from adaptwin.explanation.explain import explain
from adaptwin.export import export
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.report.plan.page import plan_report
from adaptwin.workload.workload import Adapter, Workload

RATES = (0.4, 0.2, 0.1, 0.3, 0.2, 0.1)


def fleet_of(*ranks):
    adapters = [Adapter(f"a{number}", rank, RATES[number % 6]) for number, rank in enumerate(ranks)]
    return Workload(adapters, duration=300.0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_slots_are_padded_under_every_strategy(h100, strategy):
    odd, even = (
        make_plan(h100, fleet_of(*ranks), strategy=strategy) for ranks in ((10, 12, 14, 16, 3), (16, 16, 16, 16, 8))
    )
    assert [(s.server.max_lora_rank, s.server.max_loras, s.adapters) for s in odd.servers] == [
        (s.server.max_lora_rank, s.server.max_loras, s.adapters) for s in even.servers
    ]


def test_rank_1_has_slots_of_rank_8_before_vllm_0_11_1(h100):
    new = h100.model_copy(update={"vllm_version": "0.11.1"})
    for profile, rank in ((h100, 8), (new, 1)):
        plan = make_plan(profile, fleet_of(1, 1))
        assert f"--max-lora-rank {rank} " in export(plan)["serve.sh"].replace("\n", " ")
        assert f"--max-lora-rank {9 - rank} " not in export(plan)["serve.sh"].replace("\n", " ")


def test_a_plan_with_other_ranks_is_explained_and_drawn(h100):
    plan = make_plan(h100, fleet_of(10, 100, 120, 0))
    assert explain(plan).savings is not None
    assert "rank 120" in plan_report(plan)
