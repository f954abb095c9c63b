"""Reports of guidellm (benchmarks.json), versions 1 and 2: one result for each benchmark of a report.

A figure holds statistics of the successful requests or, in short reports, a sum and a count. What guidellm calls time
per output token counts the first token, too; its inter-token latency is that of all tokens after the first, over
requests weighted by tokens (guidellm/schemas/request_stats.py).
"""

import math

from adaptwin.calibration.sources.bench_result import BenchResult, LatencyFigures
from adaptwin.calibration.sources.fields import Fields

_STAND_INS = ("mock", "simulator", "fake", "dummy")


def is_guidellm(data: object) -> bool:
    """Return whether data is a report of this tool."""
    benchmarks = data.get("benchmarks") if isinstance(data, dict) else None
    return isinstance(benchmarks, list) and all(isinstance(each, dict) and "metrics" in each for each in benchmarks)


def read_guidellm(report: Fields) -> list[BenchResult]:
    """Read all benchmarks of a report."""
    rows = report.data["benchmarks"]
    if not rows:
        raise report.wrong("the report holds no benchmark", "benchmarks")
    model = report.part("args").text("model") or report.part("config").part("spec").part("backend").text("model")
    return [_result_of_benchmark(Fields(row, report.file, f"benchmarks[{i}]"), model) for i, row in enumerate(rows)]


def _result_of_benchmark(row: Fields, model: str | None) -> BenchResult:
    metrics, scheduler = row.part("metrics"), row.part("scheduler_metrics")
    made = metrics.part("request_totals") if metrics.has("request_totals") else row.part("request_totals")
    settings = row.part("config") if row.has("config") else row.part("args")  # the latter before guidellm 0.4
    strategy = settings.part("strategy")
    kind = strategy.text("type_") or strategy.text("kind") or ""
    if kind not in ("concurrent", "synchronous", "constant", "poisson", "throughput"):
        raise row.wrong(f"the strategy {kind!r} is not one of concurrent, synchronous, constant, poisson, throughput")
    prompt, answer = (_statistics(metrics, f"{name}_token_count") for name in ("prompt", "output"))
    return BenchResult(
        tool="guidellm",
        place=row.place,
        model=model,
        request_rate=strategy.rate("rate") if kind in ("constant", "poisson") else math.inf,
        arrivals="constant" if kind == "constant" else "random",
        max_concurrency=_streams(strategy, kind),
        completed=made.count("successful"),
        failed=made.count("errored"),
        duration=_seconds_measured(row, scheduler),
        prompt_tokens=prompt.mean,
        answer_tokens=answer.mean,
        most_prompt_tokens=_most_tokens(metrics, "prompt_token_count"),
        most_answer_tokens=_most_tokens(metrics, "output_token_count"),
        ttft=_of_milliseconds(_statistics(metrics, "time_to_first_token_ms")),
        itl=_of_milliseconds(_statistics(metrics, "inter_token_latency_ms")),
        is_mock=any(word in (model or "").lower() for word in _STAND_INS),
    )


def _streams(strategy: Fields, kind: str) -> int | None:
    if kind == "synchronous":
        return 1
    return strategy.count("streams") or None if kind == "concurrent" else None


def _seconds_measured(row: Fields, scheduler: Fields) -> float:
    if row.has("duration"):
        return row.number("duration")
    times, measured = (scheduler, "measure_") if scheduler.data else (row, "")
    seconds = times.number(f"{measured}end_time") - times.number(f"{measured}start_time")
    if seconds <= 0:
        raise times.wrong(f"is not after {measured}start_time", f"{measured}end_time")
    return seconds


def _statistics(metrics: Fields, name: str) -> LatencyFigures:
    """Return mean, median and 99th percentile of a figure, in its own unit."""
    figure = metrics.part(name)
    if figure.has("total_sum"):
        count = figure.count("total_count") or figure.count("count")
        return LatencyFigures(figure.number("total_sum") / count) if count else LatencyFigures()
    good = figure.part("successful")
    percentiles = good.part("percentiles")
    return LatencyFigures(good.optional("mean"), good.optional("median"), percentiles.optional("p99"))


def _most_tokens(metrics: Fields, name: str) -> float | None:
    return metrics.part(name).part("successful").optional("max")


def _of_milliseconds(figures: LatencyFigures) -> LatencyFigures:
    return LatencyFigures(*(None if value is None else value / 1e3 for value in figures))
