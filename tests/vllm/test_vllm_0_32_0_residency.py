"""The LRU managers of vLLM 0.32.0 and the twin hold, load and evict the same adapters, step by step."""

import random
from collections import Counter

import numpy as np
from tests.vllm.vllm_adapters import VllmAdapters

from adaptwin.twin.reference.adapter_slots import AdapterSlots
from adaptwin.twin.scenario import Adapters
from adaptwin.twin.server import Limits

SEQUENCES = 400
STEPS = 60


def test_the_twin_holds_the_adapters_that_vllm_holds(summary):
    met = Counter()
    found = [_first_difference(random.Random(seed), met) for seed in range(SEQUENCES)]
    differences = [f"sequence {seed}: {difference}" for seed, difference in enumerate(found) if difference]
    compared = {"sequences": SEQUENCES, "steps": met.pop("steps"), "differences": len(differences)}
    summary["LRUCacheWorkerLoRAManager"] = compared | met
    assert not differences, "\n\n".join(differences[:3])
    assert min(met.values()) > 100, "sequences without the intended occasions"


def _first_difference(rng: random.Random, met: Counter[str]) -> str | None:
    adapters, max_loras = rng.randint(1, 10), rng.randint(1, 5)
    max_cpu_loras = max_loras + rng.choice((0, 0, 1, 4))
    vllm = VllmAdapters(max_loras=max_loras, max_cpu_loras=max_cpu_loras, adapters=adapters)
    vllm.serve(list(range(adapters)))
    twin = _slots(adapters, max_loras, max_cpu_loras)
    gpu, disk = len(vllm.gpu_loads), len(vllm.disk_loads)  # loads at start-up do not count
    for step in range(STEPS):
        batch = rng.sample(range(adapters), rng.randint(0, min(max_loras, adapters)))
        missing, gpu_loads, disk_loads = set(batch) - set(twin.gpu), twin.gpu_loads, twin.disk_loads
        vllm.step(batch)
        twin.set_active_adapters(batch)
        ours = list(twin.gpu), list(twin.host), twin.gpu_loads, twin.disk_loads
        theirs = vllm.on_gpu, vllm.on_host, len(vllm.gpu_loads) - gpu, len(vllm.disk_loads) - disk
        if ours != theirs:
            return f"max_loras {max_loras}, max_cpu_loras {max_cpu_loras}, step {step}\n  twin {ours}\n  vllm {theirs}"
        met["steps"] += 1
        met["loads from disk"] += twin.disk_loads - disk_loads
        met["loads from host memory"] += twin.gpu_loads - gpu_loads - (twin.disk_loads - disk_loads)
        met["steps that evict what they still need"] += twin.gpu_loads - gpu_loads > len(missing)
    return None


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
            assert twin.set_active_adapters(batch) == loading


def _slots(adapters: int, max_loras: int, max_cpu_loras: int) -> AdapterSlots:
    """Return the twin's slots; the load time of each adapter is a decimal digit of its own."""
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
