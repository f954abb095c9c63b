"""Results of ``vllm bench latency`` and ``vllm bench throughput`` (``--output-json``), of a batch without a server.

The files do not say what was sent: `SentBatch` holds what the user says of it. The keys are those of
vllm/benchmarks/latency.py and vllm/benchmarks/throughput.py.
"""

from typing import NamedTuple

from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.calibration.sources.fields import Fields


class SentBatch(NamedTuple):
    """What an offline benchmark sent, under vLLM's names; None: not known."""

    input_len: int | None = None
    output_len: int | None = None
    batch_size: int | None = None


def is_bench_latency(data: object) -> bool:
    """Return whether data is a result of ``vllm bench latency``."""
    return isinstance(data, dict) and data.keys() >= {"avg_latency", "latencies"}


def is_bench_throughput(data: object) -> bool:
    """Return whether data is a result of ``vllm bench throughput``."""
    return isinstance(data, dict) and data.keys() >= {"elapsed_time", "num_requests", "total_num_tokens"}


def read_bench_latency(result: Fields, place: str, sent: SentBatch) -> BenchResult:
    """Read a result: a batch of equal requests, and the mean seconds until all were answered."""
    if sent.input_len is None or sent.output_len is None or sent.batch_size is None:
        raise result.wrong(
            "the file does not say what was sent: give --input-len, --output-len and --batch-size as they were given "
            "to vllm bench latency (its defaults: 32, 128 and 8)"
        )
    return _batch(result, place, "vllm bench latency", sent, sent.batch_size, result.number("avg_latency"))


def read_bench_throughput(result: Fields, place: str, sent: SentBatch) -> BenchResult:
    """Read a result: requests that were all sent at once, and the seconds until all were answered."""
    requests, tokens = result.count("num_requests"), result.number("total_num_tokens")
    if not requests:
        raise result.wrong("no request was answered", "num_requests")
    if sent.input_len is None or sent.output_len is None:
        raise result.wrong(
            f"the file has prompt and answer tokens in one sum ({tokens / requests:,.0f} for each request): give "
            "--input-len and --output-len"
        )
    given = sent.input_len + sent.output_len
    if not 0.9 < given * requests / tokens < 1.1:
        raise result.wrong(
            f"--input-len {sent.input_len} and --output-len {sent.output_len} are {given:,} tokens for each request, "
            f"but the file has {tokens / requests:,.0f}",
            "total_num_tokens",
        )
    return _batch(result, place, "vllm bench throughput", sent, requests, result.number("elapsed_time"))


def _batch(result: Fields, place: str, tool: str, sent: SentBatch, requests: int, seconds: float) -> BenchResult:
    assert sent.input_len is not None
    assert sent.output_len is not None
    return BenchResult(
        tool=tool,
        place=place,
        model=result.text("model_id") or result.text("model"),
        completed=requests,
        duration=seconds,
        prompt_tokens=sent.input_len,
        answer_tokens=sent.output_len,
        most_prompt_tokens=sent.input_len,
        most_answer_tokens=sent.output_len,
        output_throughput=requests * sent.output_len / seconds,
        is_offline=True,
    )
