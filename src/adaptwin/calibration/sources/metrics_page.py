"""MetricsPage: a dump of vLLM's /metrics page (the text format of Prometheus), with its counts since the start."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from adaptwin.calibration.sources.not_modelled import NotModelledError
from adaptwin.errors import SpecError
from adaptwin.rounding import finite_or_none

_METRIC = re.compile(r"(vllm:[\w:]+)(?:\{(.*)\})? (\S+)$")
_ANY_METRIC = re.compile(
    r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?[ \t]+([^\s{}]+)(?:[ \t]+-?\d+)?[ \t]*$"
)  # with or without a time
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_OF_V0 = ("vllm:num_requests_swapped", "vllm:cpu_cache_usage_perc", "vllm:avg_prompt_throughput_toks_per_s")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsPage:
    """What a page says of a server and of all requests since its start; None where it does not say."""

    model: str
    gpu_memory_utilization: float | None
    kv_cache_dtype: str | None
    kv_cache_tokens: int | None
    max_loras: int | None
    requests: float | None
    tokens_per_step: float | None  # mean
    tpot_mean: float | None  # seconds
    ttft_mean: float | None
    cached_prompt_tokens: float | None  # prompt tokens that lay in the prefix cache


class MetricSample(NamedTuple):
    """One value of a metric, with the labels that tell it from others."""

    name: str
    labels: dict[str, str]
    value: str  # as the page writes it


def metric_samples(text: str) -> list[MetricSample]:
    """Return the values of vLLM's metrics in a page, in the order of its lines."""
    lines = (found.groups() for line in text.splitlines() if (found := _METRIC.match(line)))
    return [MetricSample(name, dict(_LABEL.findall(labels or "")), value) for name, labels, value in lines]


def page_samples(text: str) -> list[MetricSample]:
    """Return the values of all metrics in a page of any program, in the order of its lines."""
    lines = (found.groups() for line in text.splitlines() if (found := _ANY_METRIC.match(line)))
    return [
        MetricSample(name, {label: _unescaped(each) for label, each in _LABEL.findall(labels or "")}, value)
        for name, labels, value in lines
    ]


def _unescaped(value: str) -> str:
    """Return the value of a label without the escapes of the text format."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


def is_metrics_page(text: str) -> bool:
    """Return whether most lines of a text are those of a metrics page of vLLM."""
    lines = [line for line in text.splitlines() if line.strip()]
    known = sum(line.startswith(("# HELP ", "# TYPE ")) or _METRIC.match(line) is not None for line in lines)
    return "vllm:" in text and 2 * known > len(lines)


def read_metrics_page(text: str, file: Path) -> MetricsPage:
    """Read a page; raises `NotModelledError` for a V0 engine or several engines, `SpecError` for several models."""
    samples = metric_samples(text)
    if old := {sample.name for sample in samples}.intersection(_OF_V0):
        raise NotModelledError(f"{min(old)} is a metric of the V0 engine, whose scheduler is not modelled", file=file)
    labels = [sample.labels for sample in samples]
    models = {each["model_name"] for each in labels if "model_name" in each}
    if len(models) != 1:
        names_found = ", ".join(sorted(models)) or "none"
        raise SpecError(f"expected one model_name, found {names_found}: give the page of one server", file=file)
    if len({each["engine"] for each in labels if "engine" in each}) > 1:
        raise NotModelledError("the page is of several engines (data parallelism), which is not modelled", file=file)
    values = {sample.name: sample.value for sample in samples if "le" not in sample.labels}
    config = next((sample.labels for sample in samples if sample.name.endswith("config_info")), {})
    lora = next((label for label in labels if "max_lora" in label), {})
    blocks, block_size = metric_number(config.get("num_gpu_blocks")), metric_number(config.get("block_size"))
    tokens = metric_number(config.get("kv_cache_size_tokens")) or (blocks and block_size and blocks * block_size)
    return MetricsPage(
        model=models.pop(),
        gpu_memory_utilization=metric_number(config.get("gpu_memory_utilization")),
        kv_cache_dtype=config.get("cache_dtype"),
        kv_cache_tokens=int(tokens) if tokens else None,
        max_loras=int(metric_number(lora.get("max_lora")) or 0) or None,
        requests=metric_number(values.get("vllm:request_prompt_tokens_count")),
        tokens_per_step=_mean_of_histogram(values, "vllm:iteration_tokens_total"),
        tpot_mean=_mean_of_histogram(values, "vllm:request_time_per_output_token_seconds"),
        ttft_mean=_mean_of_histogram(values, "vllm:time_to_first_token_seconds"),
        cached_prompt_tokens=metric_number(values.get("vllm:prompt_tokens_cached_total")),
    )


def _mean_of_histogram(values: dict[str, str], histogram: str) -> float | None:
    total, count = (metric_number(values.get(f"{histogram}_{part}")) for part in ("sum", "count"))
    return total / count if total is not None and count else None


def metric_number(text: str | None) -> float | None:
    """Return a number that is finite and at least 0; None for anything else, such as the text None."""
    found = re.fullmatch(r"\d+(\.\d+)?([eE][-+]?\d{1,3})?", text or "")
    return finite_or_none(float(found[0])) if found else None
