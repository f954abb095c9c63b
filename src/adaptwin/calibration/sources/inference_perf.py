"""Reports of inference-perf (stage_N_lifecycle_metrics.json and its like), with latencies in seconds.

Where a server sends several events for a token, the report counts each gap between events, and its time per output
token is too short. The time between the first token and the last is then taken from the latency of the requests.
"""

from adaptwin.calibration.sources.bench_result import BenchResult, LatencyFigures
from adaptwin.calibration.sources.fields import Fields

SAME = 0.1  # relative difference up to which two figures of a report agree
_TOOL = "inference-perf"


def is_inference_perf(data: object) -> bool:
    """Return whether data is a report of this tool."""
    return isinstance(data, dict) and data.keys() >= {"load_summary", "successes"}


def read_inference_perf(report: Fields) -> BenchResult:
    """Read the report of one stage; raises `SpecError` for summaries over stages, and for those made by Prometheus."""
    load, good = report.part("load_summary"), report.part("successes")
    if not load.data:
        raise report.wrong(_why_not_of_prometheus(good))
    if not load.has("requested_rate"):
        raise report.wrong(
            "is a summary over several stages, whose request rates differ: give the reports of single stages "
            "(stage_0_lifecycle_metrics.json)",
            "load_summary",
        )
    latency, completed = good.part("latency"), good.count("count")
    if not completed:
        raise report.wrong("no request was answered", "successes.count")
    answer = good.part("output_len").number("mean")
    ttft = _figures_of(latency, "time_to_first_token")
    stated, itl = _figures_of(latency, "time_per_output_token"), _figures_of(latency, "inter_token_latency")
    whole = latency.part("request_latency").optional("mean")
    between = None
    if whole is not None and ttft.mean is not None and answer > 1:
        between = (whole - ttft.mean) / (answer - 1)
        if between <= 0:
            raise latency.wrong(
                f"a mean of {whole:g} s is not above that of time_to_first_token, {ttft.mean:g} s", "request_latency"
            )
    odd = between is not None and stated.mean is not None and abs(stated.mean / between - 1) > SAME
    return BenchResult(
        tool=_TOOL,
        request_rate=load.number("requested_rate"),
        arrivals="constant",
        completed=completed,
        failed=report.part("failures").count("count"),
        duration=max(load.number("send_duration"), completed / good.part("throughput").number("requests_per_sec")),
        prompt_tokens=good.part("prompt_len").number("mean"),
        answer_tokens=answer,
        most_prompt_tokens=good.part("prompt_len").optional("max"),
        most_answer_tokens=good.part("output_len").optional("max"),
        output_throughput=good.part("throughput").optional("output_tokens_per_sec"),
        ttft=ttft,
        tpot=LatencyFigures(between) if odd else stated,
        itl=LatencyFigures() if odd else itl,
        is_streamed_oddly=odd,
    )


def _figures_of(latency: Fields, name: str) -> LatencyFigures:
    figure = latency.part(name)
    return LatencyFigures(*(figure.optional(key) for key in ("mean", "median", "p99")))


def _why_not_of_prometheus(good: Fields) -> str:
    """Return what is wrong with a report from Prometheus: at least, that nobody knows what was sent."""
    rate, prompt = good.optional("rate"), good.part("prompt_len")
    mean, tokens = prompt.optional("mean"), prompt.optional("rate")
    why = "is a report from the metrics of a server (Prometheus), which does not say what was sent"
    if rate and mean and tokens and abs(rate * mean / tokens - 1) > SAME:
        why += (
            f", and contradicts itself: {rate:,.4g} requests/s with prompts of {mean:,.0f} tokens are "
            f"{rate * mean:,.0f} tokens/s, not {tokens:,.0f}"
        )
    return f"{why}: give the stage_N_lifecycle_metrics.json beside it"
