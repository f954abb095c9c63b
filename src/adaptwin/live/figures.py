"""Figures of a replay, computed from the answers by the same code as those of a simulated run."""

from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.live.answer import NOT_REACHED
from adaptwin.live.open_loop import OpenLoop, Sent
from adaptwin.twin.run import ADAPTER_COLUMNS, Latency
from adaptwin.twin.scenario import NOT_YET, RequestEnds, Window
from adaptwin.twin.statistics import latency
from adaptwin.twin.token_gaps import gap_counts
from adaptwin.twin.verdict import Judgement, judge
from adaptwin.workload.drawing.requests import NANOSECONDS, Requests

WAITS_AS_LONG = 0.05  # seconds that a request may be sent late before the client counts as the bottleneck
BUSY_CLIENT = 0.9  # processor time of the client over the time of the run


class _Seen(NamedTuple):
    """What the client saw of one server."""

    requests: Requests  # prompts as long as the server counted them
    ends: RequestEnds
    is_sent: NDArray[np.bool_]
    has_failed: NDArray[np.bool_]
    gaps: NDArray[np.int64]  # histogram, see `gap_bin`
    gap_sum: int  # nanoseconds
    gap_count: int


def client_figures(loop: OpenLoop, sent: Sent, window: Literal["cut", "drain"], warmup: float) -> dict[str, Any]:
    """Return the fields of `ReplayedRun` that come from the answers of one server."""
    ends_at = loop.ended - loop.started
    arrivals_end = min(round(loop.duration * NANOSECONDS), ends_at) if loop.ended_early else loop.duration * NANOSECONDS
    limits = Window(
        warmup=round(warmup * NANOSECONDS),
        end=round(arrivals_end),
        drain=window == "drain",
        max_in_flight=loop.max_in_flight or 0,
        sample_every=0,
        scrape_every=0,
    )
    seen = _seen(loop, sent, limits)
    judgement = judge(sent.traffic.workload, seen.requests, limits, seen.ends, request_latency=0.0)
    last = max(int(seen.ends.finish.max(initial=0)), limits.end) if limits.drain else limits.end
    seconds, arriving = ((max(1, end - limits.warmup)) / NANOSECONDS for end in (last, limits.end))
    totals = judgement.totals
    errors: dict[str, int] = {}
    for answer in sent.answers:
        if answer.error and not answer.is_rejected:
            errors[answer.error] = errors.get(answer.error, 0) + 1
    has_no_token = seen.is_sent & (seen.ends.first_token == NOT_YET)
    return {
        "duration": limits.end / NANOSECONDS,
        "window": window,
        "warmup": warmup,
        "throughput": totals.finished_tokens / seconds,
        "offered_throughput": totals.offered_tokens / arriving,
        "request_rate": totals.finished / seconds,
        "offered_request_rate": totals.arrivals / arriving,
        "ttft": latency(totals.ttft, totals.ttft_sum, totals.finished),
        "itl": latency(seen.gaps, seen.gap_sum, seen.gap_count) if seen.gap_count else Latency(),
        "tpot": latency(totals.tpot, totals.tpot_sum, totals.tpot_count),
        "e2e": latency(totals.e2e, totals.e2e_sum, totals.finished),
        "arrived": len(seen.requests.arrival),
        "finished": totals.served,
        "never_admitted": int(np.count_nonzero(~seen.is_sent)),
        "running_at_end": int(np.count_nonzero(seen.ends.running)),
        "waiting_at_end": int(np.count_nonzero(has_no_token & ~seen.ends.rejected & ~seen.has_failed)),
        "rejected": int(np.count_nonzero(seen.ends.rejected)),
        "failed": sum(errors.values()),
        "errors": dict(sorted(errors.items(), key=lambda item: -item[1])),
        "verdict": judgement.server,
        "sluggish": judgement.is_sluggish,
        "adapters": _adapter_table(sent, judgement, seconds, arriving),
    }


def _seen(loop: OpenLoop, sent: Sent, window: Window) -> _Seen:
    """Return requests and answers as arrays; what came after a cut window has not come."""
    drawn, answers = sent.traffic.requests, sent.answers
    is_in = drawn.arrival < max(window.end, 1)
    first, finish = (
        np.array([t - loop.started if t != NOT_REACHED else NOT_YET for t in times], np.int64)
        for times in ([answer.first for answer in answers], [answer.last for answer in answers])
    )
    if not window.drain:
        first[first > window.end], finish[finish > window.end] = NOT_YET, NOT_YET
    prompts = np.array([answer.prompt_tokens for answer in answers], np.int32)
    inputs = np.where(prompts > 0, prompts, drawn.input).astype(np.int32)
    is_sent = np.array([answer.sent != NOT_REACHED for answer in answers], np.bool_)
    has_failed = np.array([bool(answer.error) for answer in answers], np.bool_)
    rejected = np.array([answer.is_rejected for answer in answers], np.bool_)
    running = (first != NOT_YET) & (finish == NOT_YET) & ~has_failed
    measured = [np.array(answer.gaps) for answer, end in zip(answers, finish, strict=True) if end > window.warmup]
    gaps = np.concatenate([np.zeros(0, np.int64), *measured])
    outputs = drawn.output[is_in]
    requests = Requests(drawn.arrival[is_in], drawn.adapter[is_in], inputs[is_in], outputs, outputs)
    ends = RequestEnds(first[is_in], finish[is_in], rejected[is_in], running[is_in])
    return _Seen(requests, ends, is_sent[is_in], has_failed[is_in], gap_counts(gaps), int(gaps.sum()), len(gaps))


def _adapter_table(sent: Sent, judgement: Judgement, seconds: float, arriving: float) -> pl.DataFrame:
    sums, adapters = judgement.by_adapter, sent.traffic.workload.adapters
    itl = np.where(sums.gap_count > 0, sums.gap_sum / np.maximum(1, sums.gap_count) / NANOSECONDS, np.nan)
    columns: dict[str, Any] = {
        "name": [adapter.name for adapter in adapters],
        "rank": [adapter.rank for adapter in adapters],
        "arrivals": sums.arrivals,
        "finished": sums.finished,
        "rejected": sums.rejected,
        "offered_throughput": sums.offered_tokens / arriving,
        "throughput": sums.finished_tokens / seconds,
        "ttft_p50": sums.wait_p50 / NANOSECONDS,
        "ttft_p99": sums.wait_p99 / NANOSECONDS,
        "itl_mean": itl,
        "waiting_at_end": sums.waiting_at_end,
        "verdict": judgement.adapters,
        "sluggish": judgement.sluggish_adapters,
    }
    return pl.DataFrame(columns, schema=ADAPTER_COLUMNS)


def server_figures(sent: Sent, warmup: float, duration: float) -> dict[str, Any]:
    """Return the fields of `ReplayedRun` that come from the metrics of one server."""
    first, last = sent.first_metrics, sent.last_metrics
    if first is None:
        return {}
    inside = [found for time, found in sent.samples if warmup <= time <= duration]
    found: dict[str, Any] = {
        "kv_cache_tokens": first.kv_cache_tokens,
        "max_loras": next((each.max_loras for each in (last, first, *inside) if each and each.max_loras), None),
        "kv_usage": _mean([each.kv_usage for each in inside]),
        "mean_running": _mean([each.running for each in inside]),
        "mean_waiting": _mean([each.waiting for each in inside]),
        "mean_adapters": _mean([float(len(each.running_adapters)) for each in inside]),
    }
    if last is not None:
        found["steps"] = last.steps_since(first)
        if first.preemptions is not None and last.preemptions is not None:
            found["preemptions"] = round(last.preemptions - first.preemptions)
    return found


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def client_complaint(loop: OpenLoop) -> str:
    """Return why the client was the bottleneck, in words; empty if it kept up."""
    if loop.busy > BUSY_CLIENT:
        return f"the client computed for {loop.busy:.0%} of the time: use several clients, or fewer requests"
    if loop.late_p99 > WAITS_AS_LONG:
        return f"1 % of the requests were sent over {loop.late_p99:.2g} s late: the client does not keep up"
    return ""
