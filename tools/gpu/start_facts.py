"""start_facts: what an engine told when it started."""

from typing import Any

from driver import Driver

OF_WORKER = (
    "peak_activation_memory",
    "non_torch_memory",
    "cudagraph_memory_estimate",
    "requested_memory",
    "available_kv_cache_memory_bytes",
)


def start_facts(driver: Driver) -> dict[str, Any]:
    """Durations, sizes, limits and settings; None where this version of vLLM does not tell."""
    config = driver.core.vllm_config
    scheduler, compilation = config.scheduler_config, config.compilation_config
    return {
        "start_seconds": driver.start_seconds,
        "kv_cache_tokens": driver.kv_cache_tokens,
        "block_size": config.cache_config.block_size,
        "gpu_memory_utilization": config.cache_config.gpu_memory_utilization,
        "max_num_seqs": driver.limits.max_num_seqs,
        "token_budget": driver.limits.token_budget,
        "max_model_len": driver.limits.max_model_len,
        "async_scheduling": bool(scheduler.async_scheduling),
        "reserve_full_isl": bool(getattr(scheduler, "scheduler_reserve_full_isl", False)),
        "watermark": float(getattr(scheduler, "watermark", 0.0) or 0.0),
        "max_cpu_loras": config.lora_config.max_cpu_loras if config.lora_config else 0,
        "runner": type(driver.runner).__module__,
        "compile_seconds": compilation.compilation_time,
        "cudagraph_mode": str(compilation.cudagraph_mode),
        "cudagraph_sizes": list(compilation.cudagraph_capture_sizes or []),
        "backends": _backends(compilation),
        **{name: _number(getattr(driver.worker, name, None)) for name in OF_WORKER},
        "model_memory_usage": _number(getattr(driver.runner, "model_memory_usage", None)),
    }


def server_of(facts: dict[str, Any]) -> dict[str, Any]:
    """The settings of a server as a file of runs has them, from its slots, rank and facts."""
    same = ("max_loras", "max_lora_rank", "max_cpu_loras", "max_num_seqs", "max_model_len", "block_size")
    return {
        **{name: facts[name] for name in same},
        "kv_cache_tokens": facts["kv_cache_tokens"],
        "async_scheduling": facts["async_scheduling"],
        "watermark": facts["watermark"],
        "max_num_batched_tokens": facts["token_budget"],
        "scheduler_reserve_full_isl": facts["reserve_full_isl"],
    }


def _backends(compilation: Any) -> list[str]:
    layers = compilation.static_forward_context.values()
    return sorted({type(layer.impl).__name__ for layer in layers if hasattr(layer, "impl")})


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
