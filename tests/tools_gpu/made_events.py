"""Events made by hand: what a GPU with a known law would have left, on three engines of one model."""

import json
from pathlib import Path

from engine_spec import EngineSpec
from law import lawful_seconds
from open_loops import OpenLoop
from points import Limits, Step, steps

MODEL, GPU = "llama-3.1-8b", "NVIDIA H100 80GB HBM3"
ENGINES = ("64x16", "0+few", "16x64+few")
BYTES, UTILIZATION, WEIGHTS, OTHER, PER_TOKEN = 85_029_158_912, 0.9, 16.06e9, 4.9e9, 131_072
PLANNING, PLANNING_PER_REQUEST = 4e-5, 2e-6  # seconds
RUN = OpenLoop(4, 2.0, 256, 100, 45.0)


def kv_cache_tokens(spec: EngineSpec) -> int:
    """What is left for the KV cache."""
    slots = spec.max_loras * (6.3e6 + 5.76e6 * spec.max_lora_rank)
    return int((BYTES * UTILIZATION - WEIGHTS - OTHER - slots) / PER_TOKEN)


def started(word: str, gpu: str = GPU) -> dict:
    """The start of an engine."""
    spec = EngineSpec.parse(word)
    return {
        "kind": "start",
        "model": MODEL,
        "engine": word,
        "gpu": gpu,
        "max_loras": spec.max_loras,
        "max_lora_rank": spec.max_lora_rank,
        "kv_cache_tokens": kv_cache_tokens(spec),
        "gpu_memory_utilization": UTILIZATION,
        "max_num_seqs": 1024,
        "token_budget": 8192,
        "gpu_gib": BYTES / 2**30,
        "vllm": "0.26.0",
        "start_seconds": 40.0,
    }


def stepped(word: str, step: Step, gpu: str = GPU) -> dict:
    """A step that was timed."""
    spec = EngineSpec.parse(word)
    planning = PLANNING + PLANNING_PER_REQUEST * (step.decodes + step.prompts)
    event = {
        "kind": "step",
        "model": MODEL,
        "engine": word,
        "gpu": gpu,
        "name": step.name,
        "max_loras": spec.max_loras,
        "max_lora_rank": spec.max_lora_rank,
        "async": True,
        "asked": step._asdict(),
        "tokens": step.tokens,
        "context": step.decodes * step.context,
        "prefill": step.chunk * step.prompts,
        "prefill_pairs": step.prompts * (step.chunk * step.behind + step.chunk * (step.chunk + 1) // 2),
        "adapters": step.adapters,
        "running": step.decodes + step.prompts,
        "waiting": step.waiting,
        "planning": planning,
        "update": 1e-4,
        "count": 2,
    }
    seconds = lawful_seconds(event)
    return {**event, "seconds": seconds, "mean": seconds, "low": seconds, "high": seconds, "all": [seconds, seconds]}


def loaded(source: str, rank: int, max_lora_rank: int, **more: object) -> dict:
    """A load of an adapter."""
    seconds = (0.006 if source == "host" else 0.02) + (1e-4 if source == "host" else 1e-3) * rank
    event = {"kind": "load", "model": MODEL, "engine": f"16x{max_lora_rank}", "gpu": GPU, "source": source}
    return {**event, "rank": rank, "max_lora_rank": max_lora_rank, "seconds": seconds, **more}


def played() -> dict:
    """A whole run."""
    server = {"max_loras": 16, "max_lora_rank": 64, "max_cpu_loras": 48, "max_num_seqs": 1024, "watermark": 0.0}
    server |= {"kv_cache_tokens": kv_cache_tokens(EngineSpec.parse("16x64")), "scheduler_reserve_full_isl": True}
    arrivals: list[list[float]] = [[] for _ in range(RUN.adapters)]
    for arrival in RUN.arrivals():
        arrivals[arrival.adapter].append(arrival.at)
    adapters = [
        {"name": f"a{index}", "rank": 64, "rate": rate, "arrivals": arrivals[index]}
        for index, rate in enumerate(RUN.rates)
    ]
    workload = {"adapters": adapters, "lengths": {"fixed": [RUN.prompt, RUN.answer]}, "duration": RUN.seconds}
    measured = {"throughput": 2.0 * 356, "starved": False, "itl_mean": 0.008, "tpot_mean": 0.008, "ttft_p50": None}
    event = {"kind": "run", "model": MODEL, "engine": "16x64+few", "gpu": GPU, "name": RUN.name, "server": server}
    return {**event, "workload": workload, "measured": {**measured, "mean_waiting": 0.0}, "rows": []}


def all_events() -> list[dict]:
    """All events of a measurement."""
    events: list[dict] = [{"kind": "check", "what": "kernels", "code": 0}]
    for word in ENGINES:
        spec = EngineSpec.parse(word)
        limits = Limits(1024, 8192, 32768, kv_cache_tokens(spec))
        events += [started(word), *(stepped(word, step) for step in steps(spec, limits))]
    for padded in (16, 64):
        for source in ("host", "disk"):
            events += [loaded(source, rank, padded) for rank in (8, 16, 32, 64) if rank <= padded]
    return [*events, loaded("disk", 8, 16, cold=True), loaded("host", 0, 16)]


def write(path: Path, events: list[dict]) -> Path:
    """Write events as a measurement leaves them; returns the file."""
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path
