"""Files such as people have of a server, made for the tests: with round numbers, and of the formats' own keys."""

import json

LOG = """\
INFO 05-02 10:00:00 [api_server.py:1981] vLLM API server version 0.24.0
(APIServer pid=11) INFO 05-02 10:00:01 [api_utils.py:273] non-default args: {'model_tag': 'Qwen/Qwen2.5-7B-Instruct', \
'model': 'Qwen/Qwen2.5-7B-Instruct', 'max_model_len': 8192, 'gpu_memory_utilization': 0.9, 'max_num_seqs': 256, \
'max_num_batched_tokens': 2048}
(EngineCore pid=22) INFO 05-02 10:00:05 [core.py:114] Initializing a V1 LLM engine (v0.24.0) with config: \
model='Qwen/Qwen2.5-7B-Instruct', speculative_config=None, dtype=torch.bfloat16, max_seq_len=8192, \
tensor_parallel_size=1, pipeline_parallel_size=1, data_parallel_size=1, quantization=None, enforce_eager=False, \
kv_cache_dtype=auto, device_config=cuda
(EngineCore pid=22) INFO 05-02 10:00:40 [gpu_model_runner.py:5255] Model loading took 14.37 GiB memory and 13.3 seconds
(EngineCore pid=22) INFO 05-02 10:02:00 [gpu_model_runner.py:6588] Estimated CUDA graph memory: 0.60 GiB total
(EngineCore pid=22) INFO 05-02 10:02:01 [gpu_worker.py:508] Available KV cache memory: 23.36 GiB
(EngineCore pid=22) INFO 05-02 10:02:01 [kv_cache_utils.py:2146] GPU KV cache size: 437,392 tokens
(EngineCore pid=22) INFO 05-02 10:02:01 [kv_cache_utils.py:2147] Maximum concurrency for 8,192 tokens per request: 53x
(EngineCore pid=22) INFO 05-02 10:02:31 [gpu_model_runner.py:7331] Graph capturing finished in 22 secs, took 0.61 GiB
"""

PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen2.5-7B-Instruct"} 0.0
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{engine="0",le="+Inf",model_name="Qwen/Qwen2.5-7B-Instruct"} 100.0
vllm:iteration_tokens_total_count{engine="0",model_name="Qwen/Qwen2.5-7B-Instruct"} 100.0
vllm:iteration_tokens_total_sum{engine="0",model_name="Qwen/Qwen2.5-7B-Instruct"} 6400.0
vllm:request_time_per_output_token_seconds_count{engine="0",model_name="Qwen/Qwen2.5-7B-Instruct"} 50.0
vllm:request_time_per_output_token_seconds_sum{engine="0",model_name="Qwen/Qwen2.5-7B-Instruct"} 1.0
vllm:request_prompt_tokens_count{engine="0",model_name="Qwen/Qwen2.5-7B-Instruct"} 50.0
vllm:lora_requests_info{max_lora="4",running_lora_adapters="",waiting_lora_adapters=""} 1.79e+09
vllm:cache_config_info{block_size="16",cache_dtype="auto",gpu_memory_utilization="0.9",num_gpu_blocks="25000"} 1.0
"""


def bench_serve(**changes: object) -> dict[str, object]:
    """A result of vllm bench serve: 100 requests of 200 and 100 tokens at 1 request/s, 10 ms per token."""
    result = {
        "date": "20260502-100000",
        "backend": "vllm",
        "model_id": "Qwen/Qwen2.5-7B-Instruct",
        "num_prompts": 100,
        "gpu_name": "NVIDIA L40S",
        "request_rate": 1.0,
        "burstiness": 1.0,
        "max_concurrency": None,
        "duration": 100.0,
        "completed": 100,
        "failed": 0,
        "total_input_tokens": 20_000,
        "total_output_tokens": 10_000,
        "request_throughput": 1.0,
        "output_throughput": 100.0,
        "mean_ttft_ms": 40.0,
        "median_ttft_ms": 38.0,
        "p99_ttft_ms": 70.0,
        "mean_tpot_ms": 10.0,
        "median_tpot_ms": 9.9,
        "p99_tpot_ms": 12.0,
        "mean_itl_ms": 10.1,
        "median_itl_ms": 9.8,
        "p99_itl_ms": 20.0,
    }
    return {**result, **changes}


def guidellm(**strategy: object) -> dict[str, object]:
    """A report of guidellm 0.6 with one benchmark: 30 requests of 200 and 100 tokens, 12 ms between tokens."""

    def of(mean: float, most: float | None = None) -> dict[str, object]:
        statistics = {"mean": mean, "median": mean, "max": most or mean, "count": 30, "percentiles": {"p99": mean}}
        return {"successful": statistics}

    metrics = {
        "request_totals": {"successful": 30, "errored": 0, "incomplete": 0, "total": 30},
        "prompt_token_count": of(200.0),
        "output_token_count": of(100.0),
        "time_to_first_token_ms": of(50.0),
        "time_per_output_token_ms": of(12.4),
        "inter_token_latency_ms": of(12.0),
    }
    benchmark = {
        "config": {"strategy": strategy or {"type_": "constant", "rate": 1.0}},
        "scheduler_metrics": {"measure_start_time": 1000.0, "measure_end_time": 1031.0},
        "metrics": metrics,
    }
    args = {"model": "Qwen/Qwen2.5-7B-Instruct", "target": "http://localhost:8000"}
    return {"metadata": {"version": 1}, "args": args, "benchmarks": [benchmark]}


def inference_perf(**changes: object) -> dict[str, object]:
    """A report of one stage of inference-perf: 60 requests of 200 and 101 tokens; 30 ms, then 1 s for 100 tokens."""

    def of(mean: float) -> dict[str, float]:
        return {"mean": mean, "median": mean, "p99": mean, "min": mean, "max": mean}

    latency = {
        "request_latency": of(1.03),
        "time_to_first_token": of(0.03),
        "time_per_output_token": of(0.01),
        "inter_token_latency": of(0.01),
    }
    report = {
        "load_summary": {"count": 60, "send_duration": 59.0, "requested_rate": 1.0, "achieved_rate": 1.0},
        "successes": {
            "count": 60,
            "latency": latency,
            "throughput": {"requests_per_sec": 1.0, "output_tokens_per_sec": 101.0},
            "prompt_len": of(200.0),
            "output_len": of(101.0),
        },
        "failures": {"count": 0},
    }
    return {**report, **changes}


def written(path: object, data: object) -> object:
    """Write data as JSON, or text as it is, and return the path."""
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path
