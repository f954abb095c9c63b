"""binding_seen: what binds a running server, judged by its metrics, from the most specific cause to the least.

vLLM says how many requests wait for a slot (``deferred``), and how many wait for anything else (``capacity``): for KV
blocks, for one of max_num_seqs seats, or for tokens of the next step. Which of these it is follows from what is full.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from adaptwin.live.diagnosis import Diagnosis, LiveBinding, SeenFigures, seen_figures
from adaptwin.live.server_metrics import ServerMetrics
from adaptwin.live.waiting_adapters import WaitingAdapter, waiting_adapters
from adaptwin.live.watched_server import WatchedServer

MOST_READINGS = 0.5  # share of the readings in which something holds, so that it counts
AT_TIMES = 0.25  # share that suffices where adapters wait for long
KV_IS_FULL = 0.95  # share of the KV cache in use
KV_HAS_LITTLE = 0.8  # share above which the whole prompt of a request may not fit
SEATS_ARE_FULL = 0.98  # share of max_num_seqs that runs: some requests finish just before a reading
FEWEST_FOR_PLATEAU = 3  # readings
SLOWER = 1.25  # than the twin says: ITL that counts as too high
GROWN = 1.2  # factor on the queue, which also grows by
GROWN_BY = 3.0  # requests


class Expected(NamedTuple):
    """What plan or fleet let expect of a server; None where they say nothing. Latencies in seconds."""

    max_num_seqs: int | None = None
    itl_mean: float | None = None  # by the twin
    itl_limit: float | None = None
    ttft_limit: float | None = None


SHOWN_MAY_WAIT = 8  # adapters


class Finding(NamedTuple):
    """A cause, and what says so."""

    binding: LiveBinding
    evidence: tuple[str, ...]
    is_probable: bool = False


def diagnosis_of(watched: WatchedServer, expected: Expected) -> Diagnosis:
    """Return what binds a server, by its metrics and by what is expected of it."""
    figures, waiting = seen_figures(watched), waiting_adapters(watched)
    judged = _Judged(watched, figures, waiting, expected)
    found = judged.finding()
    if not waiting and (names := _may_wait(watched)):
        judged.notes.append(
            "vLLM does not name the adapters whose requests wait for a slot; they are among those loaded without a "
            f"running request in any reading: {', '.join(names[:SHOWN_MAY_WAIT])}"
            f"{f' and {len(names) - SHOWN_MAY_WAIT} more' if len(names) > SHOWN_MAY_WAIT else ''}"
        )
    return Diagnosis(
        binding=found.binding,
        is_probable=found.is_probable,
        evidence=(*found.evidence, *judged.notes),
        unknown=tuple(judged.unknown),
        missing=watched.missing,
        figures=figures,
        waiting_adapters=waiting if found.binding != "idle" else (),
    )


def _may_wait(watched: WatchedServer) -> list[str]:
    """Return the adapters that may wait for a slot where requests do and vLLM lists adapters with running ones only."""
    if not any(metrics.waiting_by_reason.get("deferred") for metrics in watched.metrics):
        return []
    ran = {name for metrics in watched.metrics for name in metrics.running_adapters}
    return [name for name in watched.adapter_paths if name not in ran]


@dataclass
class _Judged:
    """One server: each cause is tried in turn; what cannot be judged is noted."""

    seen: WatchedServer
    figures: SeenFigures
    waiting: tuple[WaitingAdapter, ...]
    expected: Expected
    notes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def finding(self) -> Finding:
        """Return the first cause that the metrics show."""
        if self._is_idle():
            return Finding("idle", ("no request runs or waits, and no token is computed",))
        causes = (self._slots, self._memory, self._seats, self._little_memory, self._compute, self._latency)
        return next((found for cause in causes if (found := cause())), None) or self._nothing()

    def _is_idle(self) -> bool:
        has_worked = any((self.figures.steps, self.figures.answer_tokens, self.figures.prompt_tokens))
        return not has_worked and self.seen.share(lambda metrics: metrics.running == metrics.waiting == 0.0) == 1.0

    def _slots(self) -> Finding | None:
        last, name = self.seen.last, "deferred" if self._has_reasons else "without a running request of their adapter"
        deferred = self._share(_waits_for_slot)
        if deferred < (AT_TIMES if self.waiting else MOST_READINGS):
            return None
        said = f"requests wait for a slot ({name}) in {self._times(_waits_for_slot)}"
        if last.max_loras is None:
            return Finding("slots", (said,), is_probable=True) if self._has_reasons else None
        if self._share(_has_no_free_slot) < MOST_READINGS:
            if self._has_reasons:
                self.notes.append(
                    f"requests are deferred although slots are free ({self._mean_adapters()}): for a transfer of KV "
                    "blocks or the grammar of a structured output"
                )
            return None
        full = f"all {last.max_loras} slots (max_loras) are in use in {self._times(_has_no_free_slot)}"
        return Finding("slots", (said, full), is_probable=not self._has_reasons)

    def _memory(self) -> Finding | None:
        figures, preempted = self.figures, self.figures.preemptions or 0.0
        if figures.kv_usage is None and figures.preemptions is None:
            self._cannot_judge("the KV cache: neither its usage nor preemptions are among the metrics")
            return None
        is_full, waits = self._share(_has_full_cache) >= MOST_READINGS, self._waits_for_capacity()
        if not ((is_full and (waits or preempted)) or (preempted and waits)):
            return None
        evidence = [self._kv_sentence(), *([f"{preempted:,.0f} preemptions since the first reading"] * bool(preempted))]
        return Finding("memory", (*evidence, *self._capacity_sentence()))

    def _seats(self) -> Finding | None:
        if not self._waits_for_capacity() or self.figures.running is None:
            return None
        known, most = self.expected.max_num_seqs, max(metrics.running or 0.0 for metrics in self.seen.metrics)
        seats = SEATS_ARE_FULL * (known or most)
        full, times = self._share(_runs_at_least(seats)), self._times(_runs_at_least(seats))
        if known and full >= MOST_READINGS:
            said = f"as many requests run as max_num_seqs allows, {known:,}, in {times}"
            return Finding("max_num_seqs", (said, *self._capacity_sentence()))
        if known:
            return None
        if full >= MOST_READINGS and most > 1 and len(self.seen.readings) >= FEWEST_FOR_PLATEAU:
            said = f"equally many requests run, {most:,.0f}, in {times}, as if max_num_seqs were {most:,.0f}"
            return Finding("max_num_seqs", (said, *self._capacity_sentence()), is_probable=True)
        self._cannot_judge("seats: /metrics does not say max_num_seqs; give --max-num-seqs, --plan or --fleet")
        return None

    def _little_memory(self) -> Finding | None:
        if not self._waits_for_capacity() or (self.figures.kv_usage or 0.0) < KV_HAS_LITTLE:
            return None
        said = f"{self._kv_sentence()}: the next prompts may need more blocks than are free"
        return Finding("memory", (said, *self._capacity_sentence()), is_probable=True)

    def _compute(self) -> Finding | None:
        grows = self._growth_of_queue()
        if not self._waits_for_capacity() and not grows:
            return None
        if self._share(_waits_for_slot) >= MOST_READINGS:  # without full slots, see `_slots`
            return None
        room = f"slots and KV cache have room ({self._mean_adapters()}; {self._kv_sentence()})"
        said = [*self._capacity_sentence(), *([grows] if grows else []), room]
        return Finding("compute", tuple(said), is_probable=bool(self.unknown) or not self._has_reasons)

    def _latency(self) -> Finding | None:
        figures, expected = self.figures, self.expected
        itl, ttft = figures.itl_mean, figures.ttft_mean
        said = []
        if itl and expected.itl_mean and itl > SLOWER * expected.itl_mean:
            said.append(f"ITL is {_ms(itl)} on average, and by the twin {_ms(expected.itl_mean)}")
        if itl and expected.itl_limit and itl > expected.itl_limit:
            said.append(f"ITL is {_ms(itl)} on average, above the limit of {_ms(expected.itl_limit)}")
        if ttft and expected.ttft_limit and ttft > expected.ttft_limit:
            said.append(f"TTFT is {_ms(ttft)} on average, above the limit of {_ms(expected.ttft_limit)}")
        return Finding("compute", ("no request waits for long", *said)) if said else None

    def _nothing(self) -> Finding:
        if self.figures.waiting is None or self.figures.running is None:
            self._cannot_judge("the queue: num_requests_running or num_requests_waiting is not among the metrics")
            return Finding("unknown", ())
        if self._share(_has_queue) >= MOST_READINGS:
            return Finding("unknown", (f"requests wait in {self._times(_has_queue)}",))
        room = f"{self._mean_adapters()}; {self._kv_sentence()}"
        return Finding("nothing", (f"requests wait in {self._times(_has_queue)}", room))

    @property
    def _has_reasons(self) -> bool:
        return bool(self.seen.last.waiting_by_reason)

    def _share(self, holds: Callable[[ServerMetrics], bool]) -> float:
        return self.seen.share(holds)

    def _times(self, holds: Callable[[ServerMetrics], bool]) -> str:
        """Say in how many readings something holds."""
        many = len(self.seen.readings)
        return f"{round(self._share(holds) * many):,} of {many:,} readings"

    def _waits_for_capacity(self) -> bool:
        return self._share(_waits_for_capacity) >= MOST_READINGS

    def _capacity_sentence(self) -> tuple[str, ...]:
        if not self._waits_for_capacity():
            return ()
        mean = self.figures.waiting_for_capacity if self._has_reasons else self.figures.waiting
        what = "for capacity" if self._has_reasons else "(the metrics do not say for what)"
        times = self._times(_waits_for_capacity)
        return (f"requests wait {what} in {times}, {mean or 0.0:,.1f} on average",)

    def _growth_of_queue(self) -> str:
        """Say how the queue grows; empty if it does not."""
        waiting = [metrics.waiting for metrics in self.seen.metrics if metrics.waiting is not None]
        third = len(waiting) // 3
        if not third:
            return ""
        before, after = fmean(waiting[:third]), fmean(waiting[-third:])
        grows = after > GROWN * before and after >= before + GROWN_BY
        return f"the queue grows, from {before:,.1f} to {after:,.1f} waiting requests" if grows else ""

    def _kv_sentence(self) -> str:
        usage = self.figures.kv_usage
        return (
            "the usage of the KV cache is unknown"
            if usage is None
            else f"{100 * usage:.0f} % of the KV cache is in use"
        )

    def _mean_adapters(self) -> str:
        figures = self.figures
        if figures.max_loras is None or figures.running_adapters is None:
            return "slots in use: unknown"
        return f"{figures.running_adapters:,.1f} of {figures.max_loras} slots in use on average"

    def _cannot_judge(self, what: str) -> None:
        self.unknown.append(what)


def _has_queue(metrics: ServerMetrics) -> bool:
    return bool(metrics.waiting)


def _waits_for_slot(metrics: ServerMetrics) -> bool:
    if metrics.waiting_by_reason:
        return metrics.waiting_by_reason.get("deferred", 0.0) > 0
    return _has_queue(metrics) and bool({*metrics.waiting_adapters} - {*metrics.running_adapters})


def _waits_for_capacity(metrics: ServerMetrics) -> bool:
    if metrics.waiting_by_reason:
        return metrics.waiting_by_reason.get("capacity", 0.0) > 0
    return _has_queue(metrics)


def _has_no_free_slot(metrics: ServerMetrics) -> bool:
    return metrics.max_loras is not None and metrics.busy_adapters >= metrics.max_loras


def _has_full_cache(metrics: ServerMetrics) -> bool:
    return (metrics.kv_usage or 0.0) > KV_IS_FULL


def _runs_at_least(requests: float) -> Callable[[ServerMetrics], bool]:
    return lambda metrics: (metrics.running or 0.0) >= requests


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"
