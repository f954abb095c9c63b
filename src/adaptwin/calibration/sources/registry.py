"""read_source: any file that people have of a server, recognised by its content."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from adaptwin import file_kinds
from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.calibration.sources.fields import Fields
from adaptwin.calibration.sources.guidellm import is_guidellm, read_guidellm
from adaptwin.calibration.sources.inference_perf import is_inference_perf, read_inference_perf
from adaptwin.calibration.sources.metrics_page import MetricsPage, is_metrics_page, read_metrics_page
from adaptwin.calibration.sources.start_up_facts import StartUpFacts
from adaptwin.calibration.sources.vllm_bench_latency import (
    SentBatch,
    is_bench_latency,
    is_bench_throughput,
    read_bench_latency,
    read_bench_throughput,
)
from adaptwin.calibration.sources.vllm_bench_serve import is_bench_serve, read_bench_serve
from adaptwin.calibration.sources.vllm_log import is_start_up_log, read_start_up_log
from adaptwin.errors import SpecError
from adaptwin.file_kinds import recognised
from adaptwin.plain_data import parse_json, plain
from adaptwin.spec import read_text

SOURCES = (
    "a start-up log of vLLM, a result of vllm bench serve, latency or throughput, a report of guidellm or of "
    "inference-perf, or a page of /metrics"
)
_NOT_KNOWN = SentBatch()
_CONFIG_OF_INFERENCE_PERF = ("load:", "server:", "api:")


class Source(NamedTuple):
    """A file, what it is in words, and what was read from it."""

    path: Path
    kind: str
    found: tuple[BenchResult | StartUpFacts | MetricsPage, ...]


def read_source(path: Path, sent: SentBatch = _NOT_KNOWN) -> Source:
    """Read a file of any of the `SOURCES`.

    Args:
        path: The file.
        sent: What an offline benchmark sent, which its result does not say.

    Raises:
        SpecError: The file is of another kind, contradicts itself, or is of a server that is not modelled.
    """
    try:
        text = read_text(path)
    except SpecError as error:
        raise recognised(error, path, file_kinds.SERVER_FILE) from None
    if text.lstrip().startswith(("{", "[")):
        return _of_json(text, path, sent)
    if is_metrics_page(text):
        return Source(path, "page of /metrics", (read_metrics_page(text, path),))
    if is_start_up_log(text):
        return Source(path, "start-up log of vLLM", (read_start_up_log(text, path),))
    if all(f"\n{key}" in f"\n{text}" for key in _CONFIG_OF_INFERENCE_PERF):
        raise SpecError("is a configuration of inference-perf: give the reports that it made", file=path)
    raise _not_a_source(path)


def _of_json(text: str, path: Path, sent: SentBatch) -> Source:
    rows = [(plain(data), place) for data, place in _objects(text, path)]
    found: list[BenchResult] = []
    kinds: list[str] = []
    for data, place in rows:
        results = _results(data, place, path, sent)
        found += results
        kinds += [result.tool for result in results]
    if len(set(kinds)) != 1:
        raise _not_a_source(path)
    return Source(
        path, f"result of {kinds[0]}" if kinds[0].startswith("vllm") else f"report of {kinds[0]}", tuple(found)
    )


def _results(data: Any, place: str, path: Path, sent: SentBatch) -> list[BenchResult]:
    if is_guidellm(data):
        return read_guidellm(Fields(data, path, place))
    fields = Fields(data, path, place) if isinstance(data, dict) else None
    if fields is None:
        raise _not_a_source(path)
    if is_bench_serve(data):
        return [read_bench_serve(fields, place)]
    if is_inference_perf(data):
        return [read_inference_perf(fields)]
    if is_bench_latency(data):
        return [read_bench_latency(fields, place, sent)]
    if is_bench_throughput(data):
        return [read_bench_throughput(fields, place, sent)]
    raise _not_a_source(path)


def _objects(text: str, path: Path) -> Iterator[tuple[Any, str]]:
    """Yield the objects of a file and their places: a single one, a list of them, or one in each line."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) > 1 and _is_object(lines[0][1]):
        for number, line in lines:
            try:
                yield parse_json(line, path), f"line {number}"
            except SpecError as error:
                raise SpecError(error.message, f"line {number}", path) from None
        return
    data = parse_json(text, path)
    if isinstance(data, list) and data:
        yield from ((each, f"[{i}]") for i, each in enumerate(data))
    else:
        yield data, ""


def _is_object(line: str) -> bool:
    """Return whether a line is a JSON object by itself."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _not_a_source(path: Path) -> SpecError:
    unknown = SpecError(f"this is nothing that fit reads: expected {SOURCES}", file=path)
    return recognised(unknown, path, file_kinds.SERVER_FILE, file_kinds.BENCH)
