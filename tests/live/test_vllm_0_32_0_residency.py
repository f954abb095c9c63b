"""vLLM 0.32.0's own LRU managers and the twin hold, load and evict the same adapters, step by step."""

import random
from collections import Counter

import numpy as np
from tests.live.vllm_adapters import VllmAdapters

from adaptwin.twin.reference import AdapterSlots
from adaptwin.twin.scenario import Adapters
from adaptwin.twin.server import Limits

SEQUENCES = 400
STEPS = 60


def test_the_twin_holds_the_adapters_that_vllm_holds(capsys):
    seen = Counter()
    for seed in range(SEQUENCES):
        rng = random.Random(seed)
        adapters, max_loras = rng.randint(1, 10), rng.randint(1, 5)
        max_cpu_loras = max_loras + rng.choice((0, 0, 1, 4))
        vllm = VllmAdapters(max_loras=max_loras, max_cpu_loras=max_cpu_loras, adapters=adapters)
        vllm.serve(list(range(adapters)))
        twin = _slots(adapters, max_loras, max_cpu_loras)
        gpu, disk = len(vllm.gpu_loads), len(vllm.disk_loads)  # start-up does not count
        for step in range(STEPS):
            place = f"sequence {seed}, step {step}: max_loras {max_loras}, max_cpu_loras {max_cpu_loras}"
            assert list(twin.gpu) == vllm.on_gpu, place
            assert list(twin.host) == vllm.on_host, place
            batch = rng.sample(range(adapters), rng.randint(0, min(max_loras, adapters)))
            missing, loads = set(batch) - set(twin.gpu), twin.gpu_loads
            vllm.step(batch)
            twin.bring(batch)
            assert twin.gpu_loads == len(vllm.gpu_loads) - gpu, place
            assert twin.disk_loads == len(vllm.disk_loads) - disk, place
            seen["steps that evict what they still need"] += twin.gpu_loads - loads > len(missing)
        seen["steps"] += STEPS
        seen["GPU loads"] += twin.gpu_loads
        seen["disk loads"] += twin.disk_loads
        seen["loads from host memory"] += twin.gpu_loads - twin.disk_loads
    with capsys.disabled():
        print(f"\nvLLM LRU managers: {SEQUENCES} sequences, " + ", ".join(f"{n} {what}" for what, n in seen.items()))
    assert seen["disk loads"] > 100
    assert seen["loads from host memory"] > 100
    assert seen["steps that evict what they still need"] > 100


def test_loads_cost_the_adapter_that_vllm_loads():
    rng = random.Random(0)
    for _ in range(100):
        vllm, twin = VllmAdapters(max_loras=3, max_cpu_loras=4, adapters=8), _slots(8, 3, 4)
        vllm.serve(list(range(8)))
        for _ in range(STEPS):
            before_gpu, before_disk = len(vllm.gpu_loads), len(vllm.disk_loads)
            batch = rng.sample(range(8), rng.randint(0, 3))
            vllm.step(batch)
            loading = sum(10**a for a in vllm.gpu_loads[before_gpu:])
            loading += sum(10 ** (8 + a) for a in vllm.disk_loads[before_disk:])
            assert twin.bring(batch) == loading


def _slots(adapters: int, max_loras: int, max_cpu_loras: int) -> AdapterSlots:
    """The twin's, where loading an adapter costs a digit of its own."""
    limits = Limits(
        block_size=16,
        kv_blocks=100,
        max_loras=max_loras,
        max_cpu_loras=max_cpu_loras,
        max_num_seqs=8,
        token_budget=100,
        max_model_len=100,
        reserve_whole_prompt=True,
        watermark_blocks=0,
    )
    costs = np.array([10**a for a in range(adapters)], np.int64)
    return AdapterSlots(limits, Adapters(np.ones(adapters, np.bool_), costs, costs * 10**8, np.arange(adapters)))
