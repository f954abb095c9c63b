"""The schedulers of vLLM 0.32.0 and the reference twin hit, keep and evict the same blocks, step by step."""

from collections import Counter

import pytest
from tests.vllm.comparison import compared_with_vllm
from tests.vllm.decisions import first_difference, play_twin
from tests.vllm.hit_occasions import hit_occasions
from tests.vllm.vllm_scheduler import VllmScheduler
from tests.vllm.workloads import random_shared_case

from adaptwin.twin.reference.kv_cache import KVCache
from adaptwin.workload.drawing.prefixes import NO_PREFIXES

WORKLOADS = 600


@pytest.mark.parametrize("asynchronous", [False, True], ids=["Scheduler", "AsyncScheduler"])
def test_the_twin_caches_what_vllm_caches(asynchronous, summary):
    cases = (random_shared_case(seed, asynchronous=asynchronous) for seed in range(WORKLOADS))
    compared, met, differences = compared_with_vllm(cases, hit_occasions)
    summary[_name(asynchronous)] = {**compared, "differences": len(differences)} | met
    assert not differences, "\n\n".join(differences[:3])
    assert min(met.values()) >= 50, met


class _FirstBlocksFirst(KVCache):
    """It frees the first block of a request first, so that a prefix goes before what follows it."""

    def free(self, request):
        self.held_blocks.get(request, []).reverse()
        super().free(request)


class _UncachedLast(KVCache):
    """It appends blocks to the queue that are not cached, as vLLM did before 0.23."""

    def __init__(self, limits, prefixes):
        super().__init__(limits._replace(uncached_first=False), prefixes)


class _LatestOfTwo(KVCache):
    """It hits the block that was cached last of those with the same contents."""

    def get_computed_blocks(self, request):
        return [next(reversed(self.cached_blocks[block.key])) for block in super().get_computed_blocks(request)]


class _HitsNeedFreeBlocks(KVCache):
    """It wants a free block also for a block that is hit and held by another request."""

    def allocate_slots(self, request, num_new_tokens, new_computed_blocks=(), **needs):
        held = sum(block.ref_cnt > 0 for block in new_computed_blocks)
        needs["watermark_blocks"] = needs.get("watermark_blocks", 0) + held
        return super().allocate_slots(request, num_new_tokens, new_computed_blocks, **needs)


class _OneBlockLess(KVCache):
    """It does not hit the last block that it could hit."""

    def get_computed_blocks(self, request):
        return super().get_computed_blocks(request)[:-1]


class _PromptsOnly(KVCache):
    """It does not cache blocks that contain tokens of an answer."""

    def cache_blocks(self, request, num_tokens):
        super().cache_blocks(request, min(num_tokens, request.num_prompt_tokens))


OTHER_CACHES = _FirstBlocksFirst, _UncachedLast, _LatestOfTwo, _HitsNeedFreeBlocks, _OneBlockLess, _PromptsOnly


@pytest.mark.parametrize("asynchronous", [False, True], ids=["Scheduler", "AsyncScheduler"])
def test_the_comparison_notices_another_cache(asynchronous, monkeypatch, summary):
    noticed = Counter()
    for seed in range(100):
        scenario, watermark = random_shared_case(seed, asynchronous=asynchronous)
        vllm = VllmScheduler(scenario, watermark=watermark).play()
        alone = scenario._replace(requests=scenario.requests._replace(prefixes=NO_PREFIXES))
        off = scenario._replace(limits=scenario.limits._replace(prefix_caching=False))
        noticed["nothing shared"] += first_difference(play_twin(alone), vllm, scenario) is not None
        noticed["no caching"] += first_difference(play_twin(off), vllm, scenario) is not None
        for other in OTHER_CACHES:
            with monkeypatch.context() as patched:
                patched.setattr("adaptwin.twin.reference.scheduler.KVCache", other)
                noticed[other.__name__] += first_difference(play_twin(scenario), vllm, scenario) is not None
    summary[f"{_name(asynchronous)}: of 100 workloads, those that notice another cache"] = dict(noticed)
    assert len(noticed) == 2 + len(OTHER_CACHES)
    assert min(noticed.values()) >= 10, noticed


def _name(asynchronous):
    return f"{'AsyncScheduler' if asynchronous else 'Scheduler'} with prefix caching"
