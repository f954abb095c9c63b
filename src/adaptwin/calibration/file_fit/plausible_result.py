"""require_usable: refuse benchmark results that no server has made, or that say nothing about the server."""

from adaptwin.calibration.plausible_runs import LONGEST_TOKEN
from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.errors import SpecError

FEWEST_ANSWERS = 5  # requests whose mean says something
LARGEST_BATCH = 20_000  # requests of an offline benchmark, all of which are simulated
MOST_FAILED = 0.02  # share of the requests
SHORTEST_TOKEN = 2e-4  # seconds: launching the kernels of a small model
V1_SINCE = "20250301"  # day from which vLLM's default was the V1 engine (0.8.0)
LEAST_BUSY = 0.25  # of the connections of a closed loop, that must have been in use
SAME_TOTAL = 0.1  # relative difference of two figures of a report that must agree


def require_usable(result: BenchResult) -> None:
    """Raise `SpecError` with the reason why a result cannot be used."""
    for check in (_of_server, _of_amounts, _of_requests, _of_times, _of_totals):
        if message := check(result):
            raise SpecError(message, result.place)


def _of_server(result: BenchResult) -> str:
    if result.is_mock:
        return f"the server was a stand-in (model {result.model}), whose times say nothing about a GPU"
    if result.tool.startswith("vllm") and result.date is not None and result.date < V1_SINCE:
        return f"is of {result.date}, before vLLM 0.8: the V0 engine, whose scheduler is not modelled"
    return ""


def _of_amounts(result: BenchResult) -> str:
    """Return which amount that others are divided by is not above 0."""
    for name, value in (
        ("the duration of the run", result.duration),
        ("the mean of the prompt tokens", result.prompt_tokens),
        ("the mean of the answer tokens", result.answer_tokens),
    ):
        if value is not None and value <= 0:
            return f"{name} is {value:g}, and must be above 0"
    return ""


def _of_requests(result: BenchResult) -> str:
    if result.failed > MOST_FAILED * (result.completed + result.failed):
        return (
            f"{result.failed:,} of {result.completed + result.failed:,} requests failed, so the figures are of the "
            "others only; run it again without failures"
        )
    if result.completed < FEWEST_ANSWERS and not result.is_offline:
        return f"{result.completed} answered requests are too few: at least {FEWEST_ANSWERS}"
    if result.is_offline and result.completed > LARGEST_BATCH:
        return f"{result.completed:,} requests in one batch are too many to simulate: at most {LARGEST_BATCH:,}"
    if result.prompt_tokens is None or result.answer_tokens is None:
        return "does not say how long prompts and answers were"
    longest = max((answer for _, answer in result.pairs), default=result.answer_tokens)
    if longest < 2:
        return f"answers of {longest:.3g} tokens have no time between tokens"
    return ""


def _of_times(result: BenchResult) -> str:
    if result.is_offline:
        return ""
    if result.time_per_token is None:
        return "has neither a time per output token (TPOT) nor an inter-token latency (ITL)"
    for name, value in (("TPOT", result.tpot.mean), ("ITL", result.itl.mean)):
        if value is not None and not SHORTEST_TOKEN <= value <= LONGEST_TOKEN:
            unit = "seconds" if SHORTEST_TOKEN <= value * 1e3 <= LONGEST_TOKEN else "milliseconds"
            return (
                f"a mean {name} of {1e3 * value:.3g} ms is not plausible: expected {1e3 * SHORTEST_TOKEN:g} to "
                f"{1e3 * LONGEST_TOKEN:,.0f} ms; is it in {unit}?"
            )
    return ""


def _of_totals(result: BenchResult) -> str:
    """Return what figures of a report contradict each other."""
    if result.is_offline:
        return ""
    assert result.answer_tokens is not None
    tokens = result.answer_tokens * result.completed
    if result.output_throughput and abs(result.output_throughput * result.duration / tokens - 1) > SAME_TOTAL:
        return (
            f"{tokens:,.0f} answer tokens in {result.duration:.4g} s are {tokens / result.duration:,.0f} tokens/s, "
            f"not {result.output_throughput:,.0f}"
        )
    if not result.sends_all_at_once and result.request_rate and result.max_concurrency is None:
        least = 0.5 * (result.completed - 1) / result.request_rate
        if result.duration < least:
            return (
                f"{result.completed:,} requests at {result.request_rate:g} per second take longer than the "
                f"{result.duration:.4g} s of the run"
            )
    if result.is_closed_loop and result.max_concurrency and result.ttft.mean is not None and result.time_per_token:
        latency = result.ttft.mean + result.time_per_token * max(0.0, result.answer_tokens - 1)
        open_requests = result.completed * latency / result.duration
        expected = min(result.max_concurrency, result.completed)
        if open_requests < LEAST_BUSY * expected:
            return (
                f"{result.completed:,} answers of {latency:.3g} s each in {result.duration:.4g} s are "
                f"{open_requests:.2g} requests at a time, but the client had {result.max_concurrency} open"
            )
    return ""
