"""The schedulers of vLLM 0.19.1 and the reference twin make the same decisions, where every adapter has a slot."""

from collections import Counter

import pytest
from tests.vllm.decisions import Played, first_difference, play_twin
from tests.vllm.vllm_scheduler import VllmScheduler
from tests.vllm.workloads import random_case, random_shared_case

import vllm
from adaptwin.twin.scenario import Scenario
from adaptwin.twin.vllm_defaults import takes_uncached_first

WORKLOADS = 800


def test_this_is_the_version_the_test_is_named_after():
    assert vllm.__version__ == "0.19.1"


def as_in_0_19_1(scenario: Scenario) -> Scenario:
    return scenario._replace(limits=scenario.limits._replace(uncached_first=takes_uncached_first("0.19.1")))


def without_statistics(played: Played) -> Played:
    """This version counts a request as often as it looks for hits, and not when it is admitted."""
    return played._replace(queried_tokens=0, hit_tokens=0)


def is_like_today(scenario: Scenario, watermark: float) -> bool:
    """Whether 0.19.1 follows today's rules: it has no watermark, and keeps skipped requests in a queue of their own."""
    return not watermark and scenario.limits.max_loras >= scenario.adapters.needs_slot.sum()


@pytest.mark.parametrize("make", [random_case, random_shared_case], ids=["no prefix caching", "prefix caching"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["Scheduler", "AsyncScheduler"])
def test_the_twin_decides_what_vllm_decides(make, asynchronous, request, summary):
    compared, differences = Counter(), []
    for seed in range(WORKLOADS):
        scenario, watermark = make(seed, asynchronous=asynchronous)
        if not is_like_today(scenario, watermark):
            continue
        played = without_statistics(VllmScheduler(scenario).play())
        twin = without_statistics(play_twin(as_in_0_19_1(scenario)))
        if difference := first_difference(twin, played, scenario):
            differences.append(f"workload {seed}: {difference}")
        compared.update({"workloads": 1, "steps": len(played.decisions)})
        compared["preemptions"] += sum(len(decision.preempted) for decision in played.decisions)
        compared["tokens hit"] += sum(tokens for decision in played.decisions for _, tokens in decision.hits)
    summary[f"0.19.1, {request.node.callspec.id}"] = {**compared, "differences": len(differences)}
    assert not differences, "\n\n".join(differences[:3])
    assert compared["workloads"] >= 150
    assert compared["preemptions"] >= 50


def test_requests_without_a_slot_wait_in_a_queue_of_their_own():
    """Where there are fewer slots, a preempted request waits behind those that were skipped, unlike in 0.32.0."""
    differing = Counter()
    for seed in range(400):
        scenario, watermark = random_case(seed)
        if not watermark and not is_like_today(scenario, watermark):
            vllm_played, twin = VllmScheduler(scenario).play(), play_twin(scenario)
            differing[first_difference(twin, vllm_played, scenario) is not None] += 1
    assert 0 < differing[True] < 0.2 * differing[False]
