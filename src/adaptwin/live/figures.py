"""Figures of a replay, computed from the answers by the same code as those of a simulated run."""

from collections import Counter
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.live.answer import NOT_REACHED
from adaptwin.live.open_loop import OpenLoop, Sent
from adaptwin.twin.run import Latency
from adaptwin.twin.scenario import NOT_YET, RequestEnds, Window
from adaptwin.twin.statistics import latency
from adaptwin.twin.summary import adapter_table
from adaptwin.twin.token_gaps import gap_counts
from adaptwin.twin.verdict import Judgement, judge
from adaptwin.workload.drawing.requests import NANOSECONDS, Requests

WAITS_AS_LONG = 0.05  # seconds that a request may be sent late before the client counts as the bottleneck
BUSY_CLIENT = 0.9  # processor time of the client over the time of the run


class _Seen(NamedTuple):
    """What the client saw of one server."""

    requests: Requests  # prompts as long as the server counted them
    ends: RequestEnds
    is_held_back: NDArray[np.bool_]  # it was not sent, as `max_in_flight` requests were open
    is_waiting: NDArray[np.bool_]  # it has no token yet, and has not failed
    errors: "Counter[str]"  # requests that failed, by what the server said; those that are too long are not among them
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
        "never_admitted": int(np.count_nonzero(seen.is_held_back)),
        "running_at_end": int(np.count_nonzero(seen.ends.running)),
        "waiting_at_end": int(np.count_nonzero(seen.is_waiting & ~seen.is_held_back)),
        "rejected": int(np.count_nonzero(seen.ends.rejected)),
        "failed": seen.errors.total(),
        "errors": dict(seen.errors.most_common()),
        "verdict": judgement.server,
        "sluggish": judgement.is_sluggish,
        "adapters": _replayed_adapters(sent, seen, judgement, seconds, arriving),
    }


def _seen(loop: OpenLoop, sent: Sent, window: Window) -> _Seen:
    """Return requests and answers as arrays; what came after a cut window has not come."""
    drawn, answers = sent.traffic.requests, sent.answers
    is_in = drawn.arrival < max(window.end, 1)
    first, finish = (
        np.array([t - loop.started if t != NOT_REACHED else NOT_YET for t in times], np.int64)
        for times in ([answer.first for answer in answers], [answer.last for answer in answers])
    )
    end = loop.ended - loop.started if window.drain else window.end
    first[first > end], finish[finish > end] = NOT_YET, NOT_YET
    prompts = np.array([answer.prompt_tokens for answer in answers], np.int32)
    inputs = np.where(prompts > 0, prompts, drawn.input).astype(np.int32)
    is_sent = np.array([answer.sent != NOT_REACHED for answer in answers], np.bool_)
    has_failed = np.array([bool(answer.error) for answer in answers], np.bool_)
    rejected = np.array([answer.is_rejected for answer in answers], np.bool_)
    running = (first != NOT_YET) & (finish == NOT_YET) & ~has_failed
    waiting = (first == NOT_YET) & ~has_failed
    held_back = waiting & ~is_sent if loop.max_in_flight else np.zeros_like(waiting)
    if window.drain:  # where a request with a token counts as served, which one that failed is not
        first[has_failed] = NOT_YET
    measured = [np.array(answer.gaps) for answer, last in zip(answers, finish, strict=True) if last > window.warmup]
    gaps = np.concatenate([np.zeros(0, np.int64), *measured])
    outputs = drawn.output[is_in]
    return _Seen(
        requests=Requests(drawn.arrival[is_in], drawn.adapter[is_in], inputs[is_in], outputs, outputs),
        ends=RequestEnds(first[is_in], finish[is_in], rejected[is_in], running[is_in]),
        is_held_back=held_back[is_in],
        is_waiting=waiting[is_in],
        errors=Counter(
            answer.error for answer, counts in zip(answers, has_failed & ~rejected & is_in, strict=True) if counts
        ),
        gaps=gap_counts(gaps),
        gap_sum=int(gaps.sum()),
        gap_count=len(gaps),
    )


def _replayed_adapters(sent: Sent, seen: _Seen, judgement: Judgement, seconds: float, arriving: float) -> pl.DataFrame:
    """Return the table of adapters; those that wait are without the requests that failed."""
    workload = sent.traffic.workload
    waiting = np.bincount(seen.requests.adapter[seen.is_waiting], minlength=len(workload))
    table = adapter_table(workload, judgement, seconds=seconds, arriving_seconds=arriving, request_latency=0.0)
    return table.with_columns(pl.Series("waiting_at_end", waiting, dtype=pl.Int64))


def server_figures(sent: Sent, warmup: float, duration: float) -> dict[str, Any]:
    """Return the fields of `ReplayedRun` that come from the metrics of one server."""
    first, last = sent.first_metrics, sent.last_metrics
    if first is None:
        return {}
    inside = [found for time, found in sent.samples if warmup <= time <= duration]
    found: dict[str, Any] = {
        "kv_cache_tokens": first.kv_cache_tokens,
        "max_loras": next((each.max_loras for each in (last, first, *inside) if each and each.max_loras), None),
        "kv_usage": _mean_of_known([each.kv_usage for each in inside]),
        "mean_running": _mean_of_known([each.running for each in inside]),
        "mean_waiting": _mean_of_known([each.waiting for each in inside]),
        "mean_adapters": _mean_of_known([float(len(each.running_adapters)) for each in inside]),
    }
    if last is not None:
        found["steps"] = last.steps_since(first)
        if first.preemptions is not None and last.preemptions is not None:
            found["preemptions"] = round(last.preemptions - first.preemptions)
    return found


def _mean_of_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def client_complaint(loop: OpenLoop) -> str:
    """Return why the client was the bottleneck, in words; empty if it kept up."""
    if loop.busy > BUSY_CLIENT:
        return f"the client computed for {loop.busy:.0%} of the time: use several clients, or fewer requests"
    if loop.late_p99 > WAITS_AS_LONG:
        return f"1 % of the requests were sent over {loop.late_p99:.2g} s late: the client does not keep up"
    return ""
