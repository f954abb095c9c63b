"""engine_arguments: what vLLM is started with."""

from typing import Any

from engine_spec import FEW_GRAPHS, EngineSpec
from models import MODELS, model_folder
from options import Options

MEMORY, MEMORY_OF_TINY = 0.9, 0.3  # gpu_memory_utilization


def engine_arguments(model: str, spec: EngineSpec, options: Options) -> dict[str, Any]:
    """Keywords of vLLM's EngineArgs: the API server's defaults, but dummy weights and no prefix caching."""
    arguments = {
        "model": str(model_folder(options.state, model, options.dtype)),
        "skip_tokenizer_init": True,
        "load_format": "dummy",
        "dtype": options.dtype,
        "max_model_len": MODELS[model].served_len,
        "enable_prefix_caching": False,
        "disable_log_stats": True,
        "distributed_executor_backend": "uni",
        "seed": 0,
        "generation_config": "vllm",
        "gpu_memory_utilization": MEMORY,
    }
    if spec.max_loras:
        arguments["enable_lora"] = True
        arguments["max_loras"] = spec.max_loras
        arguments["max_lora_rank"] = spec.max_lora_rank
        arguments["max_cpu_loras"] = 2 * spec.max_loras + 16
    return {**arguments, **_of_flags(spec), **_of_machine(options)}


def _of_flags(spec: EngineSpec) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if "sync" in spec.flags:
        arguments["async_scheduling"] = False
    if "triton" in spec.flags:
        arguments["attention_backend"] = "TRITON_ATTN"
    if "active" in spec.flags:
        arguments["specialize_active_lora"] = True
    if "eager" in spec.flags:
        arguments["enforce_eager"] = True
    elif "few" in spec.flags:
        arguments["compilation_config"] = {"cudagraph_capture_sizes": list(FEW_GRAPHS)}
    return arguments


def _of_machine(options: Options) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if options.tiny:
        arguments["gpu_memory_utilization"] = MEMORY_OF_TINY
    if options.rehearse:
        arguments["distributed_executor_backend"] = "pretend_executor.PretendExecutor"
    if options.cpu:
        arguments.update(enforce_eager=True, max_num_seqs=32, max_num_batched_tokens=512, block_size=32)
        arguments["kv_cache_memory_bytes"] = 1 << 28
    return arguments
