"""BenchResult: one run of a benchmark, as any of the tools that people use reports it."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple


class LatencyFigures(NamedTuple):
    """A latency in seconds; None where the report does not say."""

    mean: float | None = None
    p50: float | None = None
    p99: float | None = None


NOT_MEASURED = LatencyFigures()


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchResult:
    """One run of a benchmark. Seconds, tokens, requests per second; None where the report does not say."""

    tool: str  # that wrote the report, such as vllm bench serve
    place: str = ""  # in the file, such as benchmarks[0]; empty if the file holds nothing else
    date: str | None = None  # digits of the day, such as 20250610
    model: str | None = None  # the name that requests had
    gpu: str | None = None  # as the report names it
    gpu_count: int | None = None
    request_rate: float | None = None  # that the client sent; infinite or None: all at once
    arrivals: Literal["random", "constant"] = "random"
    burstiness: float = 1.0  # of random arrivals: shape of the Gamma distribution of the gaps, 1 of a Poisson process
    max_concurrency: int | None = None  # requests that the client may have open
    completed: int  # requests that were answered
    failed: int = 0
    duration: float  # seconds from the first request to the last answer
    prompt_tokens: float | None = None  # mean of a request
    answer_tokens: float | None = None
    most_prompt_tokens: float | None = None  # of any request
    most_answer_tokens: float | None = None
    pairs: tuple[tuple[int, int], ...] = ()  # prompt and answer of each request; empty if not known
    output_throughput: float | None = None  # answer tokens per second
    ttft: LatencyFigures = NOT_MEASURED
    tpot: LatencyFigures = NOT_MEASURED  # time per output token after the first, over requests
    itl: LatencyFigures = NOT_MEASURED  # time between tokens, over all of them
    is_offline: bool = False  # without an API server: a batch in one process
    is_streamed_oddly: bool = False  # the gaps of the report are not those between tokens
    is_mock: bool = False  # the server was a stand-in

    @property
    def sends_all_at_once(self) -> bool:
        """Whether the client sends without waiting, except for `max_concurrency`."""
        return self.request_rate is None or math.isinf(self.request_rate)

    @property
    def is_closed_loop(self) -> bool:
        """Whether each answer lets the client send the next request."""
        return self.sends_all_at_once and self.max_concurrency is not None

    @property
    def time_per_token(self) -> float | None:
        """Mean seconds per output token after the first: over requests or, failing that, over tokens."""
        return self.tpot.mean or self.itl.mean
