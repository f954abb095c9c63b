"""Results of ``vllm bench serve``, and of benchmark_serving.py before it: one JSON object, or one in each line.

The keys are those of vllm/benchmarks/serve.py. With ``--save-detailed`` there are lists with an entry per request, and
``--append-result`` writes one object after the other. ``--metadata`` adds keys of the user's own, such as ``gpu_name``.
"""

from adaptwin.calibration.sources.bench_result import BenchResult, LatencyFigures
from adaptwin.calibration.sources.fields import Fields
from adaptwin.calibration.sources.not_modelled import NotModelledError

TOOL = "vllm bench serve"
_GPU_KEYS = ("gpu_name", "gpu", "gpu_type", "hardware")  # that people give with --metadata
_COUNT_KEYS = ("gpu_count", "tensor_parallel_size", "tp")


def is_bench_serve(data: object) -> bool:
    """Return whether data is a result of this tool."""
    return isinstance(data, dict) and data.keys() >= {"request_throughput", "duration", "completed"}


def read_bench_serve(result: Fields, place: str) -> BenchResult:
    """Read one result; raises `SpecError` if it is of another task than generation, or of a server not modelled."""
    if result.has("input_sequence_throughput") or result.has("total_input_sequences"):
        raise result.wrong("is a benchmark of embeddings: nothing is generated, so it says nothing about steps")
    if result.has("ramp_up_strategy"):
        raise result.wrong("the request rate was ramped up: fit needs runs at one rate", "ramp_up_strategy")
    if result.has("spec_decode_acceptance_rate"):
        message, key = "the server decodes speculatively, which is not modelled", "spec_decode_acceptance_rate"
        raise NotModelledError(message, result.at(key), result.file)
    completed, failed = result.count("completed"), result.count("failed")
    failed = failed or max(0, result.count("num_prompts") - completed)
    prompts, answers = result.numbers("input_lens"), result.numbers("output_lens")
    return BenchResult(
        tool=TOOL,
        place=place,
        date=(result.text("date") or "")[:8] or None,
        model=result.text("model_id"),
        gpu=next((text for key in _GPU_KEYS if (text := result.text(key))), None),
        gpu_count=next((count for key in _COUNT_KEYS if (count := _count_as_text(result, key)) is not None), None),
        request_rate=result.rate("request_rate"),
        burstiness=result.optional("burstiness") or 1.0,
        max_concurrency=result.count("max_concurrency") or None,
        completed=completed,
        failed=failed,
        duration=result.number("duration"),
        prompt_tokens=_per_request(result, "total_input_tokens", completed),
        answer_tokens=_per_request(result, "total_output_tokens", completed),
        pairs=_pairs(prompts, answers, completed),
        output_throughput=result.optional("output_throughput"),
        ttft=_latency_of(result, "ttft"),
        tpot=_latency_of(result, "tpot"),
        itl=_latency_of(result, "itl"),
    )


def _latency_of(result: Fields, name: str) -> LatencyFigures:
    median = f"median_{name}_ms" if result.has(f"median_{name}_ms") else f"p50_{name}_ms"
    found = (result.optional(key) for key in (f"mean_{name}_ms", median, f"p99_{name}_ms"))
    return LatencyFigures(*(None if value is None else value / 1e3 for value in found))


def _per_request(result: Fields, total: str, completed: int) -> float | None:
    value = result.optional(total)
    return None if value is None or not completed else value / completed


def _pairs(prompts: list[float], answers: list[float], completed: int) -> tuple[tuple[int, int], ...]:
    """Return prompt and answer of each request, if the lists have all of them."""
    if len(prompts) != len(answers) or len(prompts) < completed:
        return ()
    pairs = [(int(prompt), int(answer)) for prompt, answer in zip(prompts, answers, strict=True)]
    return tuple(pair for pair in pairs if min(pair) >= 1)  # requests that failed have an answer of 0 tokens


def _count_as_text(result: Fields, key: str) -> int | None:
    """Return a count that people write as a number or as text."""
    text = str(result.data.get(key))
    return int(text) if text.isdecimal() and len(text) < 5 else None
