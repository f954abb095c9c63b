"""SimulationRequest: one server under synthetic traffic, quick enough to answer while a slider moves."""

from pydantic import Field

from adaptwin.errors import OutOfMemory, SpecError, not_one_of
from adaptwin.profile.profile import load_profile, shipped_profiles
from adaptwin.report.style.assumptions import extrapolated_sentence
from adaptwin.rounding import finite_or_none
from adaptwin.spec import Line, Spec
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server, server_rank
from adaptwin.twin.simulate import simulate
from adaptwin.web.request_spec import RequestSpec
from adaptwin.workload.sources.adapters_csv import lengths_of_means
from adaptwin.workload.sources.synthetic import synthesize

MOST_SIMULATED_TOKENS = 3e7  # of one simulation, so that it takes about a second at most
MOST_SIMULATED_REQUESTS = 50_000  # of one simulation


class SimulationRequest(RequestSpec):
    """One server, and adapters that share its traffic by Zipf's law."""

    profile: Line = Field(
        description="shipped profile of the server", json_schema_extra={"enum": [*shipped_profiles()]}
    )
    adapters: int = Field(default=100, ge=1, le=1000, description="number of adapters")
    rate: float = Field(default=10.0, gt=0, le=1000, allow_inf_nan=False, description="requests/s of all adapters")
    ranks: dict[int, float] = Field(
        default_factory=lambda: {8: 0.5, 16: 0.3, 32: 0.2},
        max_length=8,
        description="share of the adapters by rank; the shares are divided by their sum",
    )
    prompt: int = Field(default=250, ge=1, le=32_768, description="mean tokens of a prompt")
    answer: int = Field(default=200, ge=1, le=8_192, description="mean tokens of an answer")
    max_loras: int = Field(default=32, ge=1, le=1000, description="adapter slots of the server")
    duration: float = Field(default=300.0, ge=30, le=3600, allow_inf_nan=False, description="seconds of traffic")
    seed: int = Field(default=0, ge=0, le=2**31, description="seed of all random draws")


class SimulationAnswer(Spec):
    """How the server does. Latencies in seconds; None: no request has finished, or the server does not start."""

    starts: bool = Field(description="whether vLLM starts with so many slots")
    problem: str = Field(default="", description="why it does not start")
    verdict: str = Field(default="", description="worst verdict among the server and its adapters")
    throughput: float = Field(default=0.0, description="prompt + output tokens/s of requests that finished")
    offered_throughput: float = Field(default=0.0, description="prompt + output tokens/s that arrived")
    ttft_p50: float | None = Field(default=None, description="median TTFT")
    ttft_p99: float | None = Field(default=None, description="99th percentile of the TTFT")
    itl_mean: float | None = Field(default=None, description="mean ITL")
    itl_p99: float | None = Field(default=None, description="99th percentile of the ITL")
    kv_usage: float = Field(default=0.0, description="share of the KV cache in use, mean over time")
    kv_cache_tokens: int = Field(default=0, description="size of the KV cache, in tokens")
    mean_running: float = Field(default=0.0, description="running requests, mean over time")
    mean_waiting: float = Field(default=0.0, description="waiting requests, mean over time")
    starved: int = Field(default=0, description="adapters that are starved or backlogged")
    assumptions: tuple[str, ...] = Field(default=(), description="what the figures assume, in words")
    extrapolations: tuple[str, ...] = Field(default=(), description="in what it differs from those that were measured")


def simulated(request: SimulationRequest) -> SimulationAnswer:
    """Simulate the server of a request; raises `SpecError` naming the field that is wrong."""
    if request.profile not in shipped_profiles():
        raise SpecError(not_one_of(request.profile, shipped_profiles()), "profile")
    tokens = request.rate * request.duration * (request.prompt + request.answer)
    if tokens > MOST_SIMULATED_TOKENS:
        raise SpecError(
            f"{tokens:,.0f} tokens in all are too many; allowed: up to {MOST_SIMULATED_TOKENS:,.0f}", "duration"
        )
    if (requests := request.rate * request.duration) > MOST_SIMULATED_REQUESTS:
        raise SpecError(
            f"{requests:,.0f} requests in all are too many; allowed: up to {MOST_SIMULATED_REQUESTS:,}", "rate"
        )
    profile = load_profile(request.profile)
    workload = synthesize(
        adapters=request.adapters,
        rate=request.rate,
        ranks=request.ranks,
        popularity="zipf:0.8",
        lengths=lengths_of_means(request.prompt, request.answer),
        duration=request.duration,
        seed=request.seed,
    )
    highest = max(adapter.rank for adapter in workload.adapters)
    server = Server(max_loras=request.max_loras, max_lora_rank=server_rank(highest, profile))
    try:
        return _answer_of(simulate(profile, server, workload))
    except OutOfMemory as error:
        return SimulationAnswer(starts=False, problem=str(error))


def _answer_of(run: Run) -> SimulationAnswer:
    return SimulationAnswer(
        starts=True,
        verdict=run.grade,
        throughput=run.throughput,
        offered_throughput=run.offered_throughput,
        ttft_p50=finite_or_none(run.ttft.p50),
        ttft_p99=finite_or_none(run.ttft.p99),
        itl_mean=finite_or_none(run.itl.mean),
        itl_p99=finite_or_none(run.itl.p99),
        kv_usage=run.kv_usage,
        kv_cache_tokens=run.kv_cache_tokens,
        mean_running=run.mean_running,
        mean_waiting=run.mean_waiting,
        starved=sum(verdict in ("starved", "backlogged") for verdict in run.adapters["verdict"]),
        assumptions=run.assumptions,
        extrapolations=tuple(filter(None, [extrapolated_sentence({"server": run.extrapolations})])),
    )
