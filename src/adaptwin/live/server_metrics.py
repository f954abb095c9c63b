"""ServerMetrics: what a page of /metrics says of a server at one moment; None where it does not say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from adaptwin.calibration.sources.metrics_page import MetricSample, metric_number

_RENAMED = {"vllm:gpu_cache_usage_perc": "vllm:kv_cache_usage_perc"}  # name in earlier versions: name now
_SERVER_FLAGS = {"True": True, "False": False}  # as labels say it
_GIVEN_SIZES = ("kv_cache_memory_bytes", "num_gpu_blocks_override")  # labels that say that a setting sized the KV cache
_HISTOGRAMS = {
    "ttft": ("vllm:time_to_first_token_seconds",),
    "itl": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
    "prefill": ("vllm:request_prefill_time_seconds",),
    "decode": ("vllm:request_decode_time_seconds",),
    "queue": ("vllm:request_queue_time_seconds",),
    "step_tokens": ("vllm:iteration_tokens_total",),
    "prompt_length": ("vllm:request_prompt_tokens",),
    "answer_length": ("vllm:request_generation_tokens",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerMetrics:
    """State and counters of a server, of all engines together. Counters count from the start of the server."""

    running: float | None = None  # requests
    waiting: float | None = None
    waiting_by_reason: dict[str, float] = field(
        default_factory=dict
    )  # deferred: for a slot; capacity: for KV or a seat
    running_adapters: tuple[str, ...] = ()
    waiting_adapters: tuple[str, ...] = ()
    max_loras: int | None = None
    kv_usage: float | None = None  # 0 to 1
    kv_cache_tokens: int | None = None
    block_size: int | None = None
    caches_prefixes: bool | None = None
    kv_cache_is_sized: bool = True  # by the memory of the GPU, and not by a setting
    gpu_memory_utilization: float | None = None
    preemptions: float | None = None
    prompt_tokens: float | None = None
    answer_tokens: float | None = None
    finished: float | None = None  # requests
    sums: dict[str, tuple[float, float]] = field(default_factory=dict)  # sum and count of a histogram, by its name
    missing: tuple[str, ...] = ()  # metrics that this version of vLLM does not have

    @property
    def busy_adapters(self) -> int:
        """Number of adapters with running requests; vLLM's list of them stays as it was when none runs."""
        return len(self.running_adapters) if self.running != 0 else 0

    def mean_since(self, before: "ServerMetrics", histogram: str) -> float | None:
        """Return the mean of what a histogram counted since another page; None if it counted nothing."""
        total, count = self.sums.get(histogram, (0.0, 0.0))
        earlier, seen = before.sums.get(histogram, (0.0, 0.0))
        return (total - earlier) / (count - seen) if count > seen else None

    def steps_since(self, before: "ServerMetrics") -> int | None:
        """Return the steps of the engine since another page."""
        if "step_tokens" not in self.sums or "step_tokens" not in before.sums:
            return None
        return round(self.sums["step_tokens"][1] - before.sums["step_tokens"][1])


def server_metrics(samples: Iterable[MetricSample]) -> ServerMetrics:
    """Return what samples of vLLM's metrics say of one server."""
    by_name: dict[str, list[MetricSample]] = {}
    for sample in samples:
        by_name.setdefault(_RENAMED.get(sample.name, sample.name), []).append(sample)
    lora = by_name.get("vllm:lora_requests_info", [])
    newest = max(lora, key=lambda sample: metric_number(sample.value) or 0.0, default=None)
    config = next((each[0].labels for name, each in by_name.items() if name.endswith("cache_config_info")), {})
    blocks, block_size = metric_number(config.get("num_gpu_blocks")), metric_number(config.get("block_size"))
    wanted = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "num_preemptions_total")
    return ServerMetrics(
        running=_sum_of_samples(by_name.get("vllm:num_requests_running")),
        waiting=_sum_of_samples(by_name.get("vllm:num_requests_waiting")),
        waiting_by_reason=_by_reason(by_name.get("vllm:num_requests_waiting_by_reason", [])),
        running_adapters=_names_in_label(newest, "running_lora_adapters"),
        waiting_adapters=_names_in_label(newest, "waiting_lora_adapters"),
        max_loras=int(metric_number(newest.labels.get("max_lora")) or 0) if newest else None,
        kv_usage=_most_of_samples(by_name.get("vllm:kv_cache_usage_perc")),
        kv_cache_tokens=int(blocks * block_size) if blocks and block_size else None,
        block_size=int(block_size) if block_size else None,
        caches_prefixes=_SERVER_FLAGS.get(config.get("enable_prefix_caching", "")),
        kv_cache_is_sized=not any(metric_number(config.get(name)) for name in _GIVEN_SIZES),
        gpu_memory_utilization=metric_number(config.get("gpu_memory_utilization")),
        preemptions=_sum_of_samples(by_name.get("vllm:num_preemptions_total")),
        prompt_tokens=_sum_of_samples(by_name.get("vllm:prompt_tokens_total")),
        answer_tokens=_sum_of_samples(by_name.get("vllm:generation_tokens_total")),
        finished=_sum_of_samples(by_name.get("vllm:request_success_total")),
        sums={
            name: (total, count)
            for name, histograms in _HISTOGRAMS.items()
            for total, count in _sum_and_count(by_name, histograms)
        },
        missing=tuple(name for name in wanted if f"vllm:{name}" not in by_name),
    )


def _sum_and_count(by_name: dict[str, list[MetricSample]], histograms: Sequence[str]) -> Iterable[tuple[float, float]]:
    """Yield sum and count of the first of these histograms that the page has."""
    for histogram in histograms:
        total, count = (
            _sum_of_samples(by_name.get(f"{histogram}_sum")),
            _sum_of_samples(by_name.get(f"{histogram}_count")),
        )
        if total is not None and count is not None:
            yield total, count
            return


def _by_reason(samples: list[MetricSample]) -> dict[str, float]:
    """Return the waiting requests of all engines for each reason."""
    found: dict[str, float] = {}
    for sample in samples:
        reason = sample.labels.get("reason", "")
        found[reason] = found.get(reason, 0.0) + (metric_number(sample.value) or 0.0)
    return found


def _names_in_label(sample: MetricSample | None, label: str) -> tuple[str, ...]:
    text = sample.labels.get(label, "") if sample else ""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _sum_of_samples(samples: list[MetricSample] | None) -> float | None:
    values = [value for sample in samples or () if (value := metric_number(sample.value)) is not None]
    return sum(values) if values else None


def _most_of_samples(samples: list[MetricSample] | None) -> float | None:
    return max((value for sample in samples or () if (value := metric_number(sample.value)) is not None), default=None)
