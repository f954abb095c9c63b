"""Pages of /metrics in the style of vLLM 0.32, and servers that were watched, made of them."""

from collections.abc import Sequence

from adaptwin.calibration.sources.metrics_page import metric_samples
from adaptwin.live.server_metrics import server_metrics
from adaptwin.live.watched_server import Reading, WatchedServer

MODEL = 'engine="0",model_name="llama"'
URL = "http://127.0.0.1:8000"


def metrics_page(
    *,
    running: float = 8,
    deferred: float = 0,
    capacity: float = 0,
    busy: Sequence[str] = ("a", "b"),
    waiting: Sequence[str] = (),
    max_loras: int = 4,
    kv_usage: float = 0.3,
    preemptions: float = 0,
    finished: float = 100,
    steps: float = 1000,
    itl: float = 0.02,
    ttft: float = 0.1,
    prompt: float = 250,
    without: Sequence[str] = (),
) -> str:
    """Return a page of a server; counters as if all requests had been alike."""
    tokens = 100 * finished
    lines = [
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{{{MODEL}}} {running}",
        f"vllm:num_requests_waiting{{{MODEL}}} {deferred + capacity}",
        f'vllm:num_requests_waiting_by_reason{{{MODEL},reason="capacity"}} {capacity}',
        f'vllm:num_requests_waiting_by_reason{{{MODEL},reason="deferred"}} {deferred}',
        _lora_line(max_loras, ("old",), ("z",), 1.7e9),  # label sets of before stay on the page
        _lora_line(max_loras, busy, waiting, 1.7e9 + steps),
        f"vllm:kv_cache_usage_perc{{{MODEL}}} {kv_usage}",
        f"vllm:num_preemptions_total{{{MODEL}}} {preemptions}",
        f"vllm:prompt_tokens_total{{{MODEL}}} {prompt * finished}",
        f"vllm:generation_tokens_total{{{MODEL}}} {tokens}",
        f'vllm:request_success_total{{{MODEL},finished_reason="stop"}} {finished - 1}',
        f'vllm:request_success_total{{{MODEL},finished_reason="length"}} 1',
        *_histogram_lines("time_to_first_token_seconds", ttft * finished, finished),
        *_histogram_lines("inter_token_latency_seconds", itl * tokens, tokens),
        *_histogram_lines("request_queue_time_seconds", 0.5 * ttft * finished, finished),
        *_histogram_lines("request_prompt_tokens", prompt * finished, finished),
        *_histogram_lines("iteration_tokens_total", tokens, steps),
    ]
    return "\n".join(line for line in lines if not any(name in line for name in without)) + "\n"


def _lora_line(max_loras: int, busy: Sequence[str], waiting: Sequence[str], time: float) -> str:
    labels = (
        f'max_lora="{max_loras}",running_lora_adapters="{",".join(busy)}",waiting_lora_adapters="{",".join(waiting)}"'
    )
    return f"vllm:lora_requests_info{{{labels}}} {time}"


def _histogram_lines(name: str, total: float, count: float) -> list[str]:
    return [
        f'vllm:{name}_bucket{{{MODEL},le="+Inf"}} {count}',
        f"vllm:{name}_sum{{{MODEL}}} {total}",
        f"vllm:{name}_count{{{MODEL}}} {count}",
    ]


def watched_by(pages: Sequence[str], every: float = 1.0, **fields) -> WatchedServer:
    """Return a server whose pages were read one after the other."""
    readings = (Reading(number * every, server_metrics(metric_samples(page))) for number, page in enumerate(pages))
    return WatchedServer(**{"name": "server", "url": URL, "readings": tuple(readings), **fields})


def pages_over_time(count: int = 11, each: float = 2.0, **fields) -> list[str]:
    """Return pages of successive seconds, in each of which `each` requests finish."""
    return [metrics_page(**{"finished": 100 + each * k, "steps": 1000 + 40 * k, **fields}) for k in range(count)]


def starving_page(number: int) -> str:
    """Return the page of a reading of a server with two slots, for which three adapters wait."""
    fields = {"deferred": 9, "busy": "ab", "waiting": "cde", "running": 20, "max_loras": 2, "prompt": 200}
    return metrics_page(finished=100 + 0.6 * number, steps=1000 + 4 * number, ttft=9.0, **fields)


def calm_page(number: int) -> str:
    """Return the page of a reading of a server with one adapter, on which nothing waits."""
    fields = {"busy": "g", "running": 2, "prompt": 200, "itl": 0.015}
    return metrics_page(finished=100 + 0.05 * number, steps=1000 + 6 * number, **fields)
