"""The schedulers of vLLM 0.32.0 and the reference twin hit, keep and evict the same blocks, step by step."""

from collections import Counter

import pytest
from tests.vllm.decisions import Played, first_difference, play_twin
from tests.vllm.vllm_scheduler import VllmScheduler
from tests.vllm.workloads import random_shared_case

from adaptwin.twin.reference.kv_cache import KVCache
from adaptwin.twin.scenario import Scenario
from adaptwin.workload.drawing.prefixes import NO_PREFIXES

WORKLOADS = 600


@pytest.mark.parametrize("asynchronous", [False, True], ids=["Scheduler", "AsyncScheduler"])
def test_the_twin_caches_what_vllm_caches(asynchronous, summary):
    compared, met, differences = Counter(), Counter(), []
    for seed in range(WORKLOADS):
        scenario, watermark = random_shared_case(seed, asynchronous=asynchronous)
        vllm = VllmScheduler(scenario, watermark=watermark).play()
        if difference := first_difference(play_twin(scenario), vllm, scenario):
            differences.append(f"workload {seed}: {difference}")
        compared.update({"workloads": 1, "steps": len(vllm.decisions), "requests": len(vllm.token_times)})
        met.update(_occasions(vllm, scenario))
    name = f"{'AsyncScheduler' if asynchronous else 'Scheduler'} with prefix caching"
    summary[name] = {**compared, "differences": len(differences)} | met
    assert not differences, "\n\n".join(differences[:3])
    assert min(met.values()) >= 50, met


def _occasions(vllm: Played, scenario: Scenario) -> Counter[str]:
    """Count the situations in a run in which caching can go wrong, with a line of the summary for each."""
    met = Counter(dict.fromkeys(("tokens hit", "requests with hits", "of these, of prompts cached as a whole"), 0))
    met.update({"of these, returning after a preemption": 0, "preemptions": 0, "blocks evicted": 0})
    has_run: set[int] = set()
    requests, most_cached = scenario.requests, 0
    for decision in vllm.decisions:
        for index, tokens in decision.hits:
            met["tokens hit"] += tokens
            met["requests with hits"] += 1
            met["of these, returning after a preemption"] += index in has_run
            whole = (int(requests.input[index]) - 1) // scenario.limits.block_size * scenario.limits.block_size
            met["of these, of prompts cached as a whole"] += tokens == whole
        has_run.update(index for index, _ in decision.tokens)
        met["preemptions"] += len(decision.preempted)
        met["blocks evicted"] += max(0, most_cached - decision.cached)
        most_cached = decision.cached
    return met


@pytest.mark.parametrize("asynchronous", [False, True], ids=["Scheduler", "AsyncScheduler"])
def test_the_comparison_notices_another_cache(asynchronous, monkeypatch):
    noticed = Counter()
    for seed in range(100):
        scenario, watermark = random_shared_case(seed, asynchronous=asynchronous)
        vllm = VllmScheduler(scenario, watermark=watermark).play()
        alone = scenario._replace(requests=scenario.requests._replace(prefixes=NO_PREFIXES))
        off = scenario._replace(limits=scenario.limits._replace(prefix_caching=False))
        noticed["nothing shared"] += first_difference(play_twin(alone), vllm, scenario) is not None
        noticed["no caching"] += first_difference(play_twin(off), vllm, scenario) is not None
        with monkeypatch.context() as patched:
            patched.setattr(KVCache, "free", _reversed_free(KVCache.free))
            noticed["first blocks taken first"] += first_difference(play_twin(scenario), vllm, scenario) is not None
    assert len(noticed) == 3
    assert min(noticed.values()) >= 10, noticed


def _reversed_free(free):
    def freed(cache, request):
        cache.held_blocks.get(request, []).reverse()
        free(cache, request)

    return freed
