"""Played: a run of the twin with its verdicts and figures, made by `play_scenario`.

Every module that runs the twin reads its figures here. Percentiles are computed when they are first read, then cached.
"""

from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from adaptwin.profile.profile import Profile
from adaptwin.twin.kernel.play import play
from adaptwin.twin.run import Latency
from adaptwin.twin.scenario import Outcome, Scenario
from adaptwin.twin.statistics import Totals, latency
from adaptwin.twin.verdict import Judgement, judge
from adaptwin.workload.drawing.requests import NANOSECONDS
from adaptwin.workload.workload import Workload


def play_scenario(profile: Profile, workload: Workload, scenario: Scenario) -> "Played":
    """Simulate a scenario on the compiled twin and judge the outcome."""
    outcome = play(scenario)
    judgement = judge(
        workload, scenario.requests, scenario.window, outcome.ends, request_latency=profile.request_latency
    )
    return Played(profile, workload, scenario, outcome, judgement)


@dataclass(frozen=True)
class Played:
    """A simulated scenario with its outcome and verdicts.

    Rates are per second of the window after warm-up, latencies in seconds. `ttft` and `e2e` include the latency that
    API server and client add (`Profile.request_latency`).
    """

    profile: Profile
    workload: Workload
    scenario: Scenario
    outcome: Outcome
    judgement: Judgement

    @property
    def totals(self) -> Totals:
        """Sums over the requests inside the window."""
        return self.judgement.totals

    @property
    def seconds(self) -> float:
        """Length of the window after warm-up; of a drained window, up to the last token."""
        window = self.scenario.window
        end = self.outcome.end if window.drain else window.end
        return max(1, end - window.warmup) / NANOSECONDS

    @property
    def arriving_seconds(self) -> float:
        """Length of the time after warm-up in which requests arrive."""
        window = self.scenario.window
        return max(1, window.end - window.warmup) / NANOSECONDS

    @property
    def throughput(self) -> float:
        """Prompt and output tokens per second of requests that finished."""
        return self.totals.finished_tokens / self.seconds

    @property
    def offered_throughput(self) -> float:
        """Prompt and output tokens per second of requests that arrived."""
        return self.totals.offered_tokens / self.arriving_seconds

    @property
    def request_rate(self) -> float:
        """Requests per second that finished."""
        return self.totals.finished / self.seconds

    @property
    def offered_request_rate(self) -> float:
        """Requests per second that arrived."""
        return self.totals.arrivals / self.arriving_seconds

    @property
    def served_share(self) -> float:
        """Tokens of finished requests as a share of the tokens due by the end; 1 if none were due."""
        due = int(self.judgement.by_adapter.due_tokens.sum())
        return self.totals.finished_tokens / due if due else 1.0

    @cached_property
    def ttft(self) -> Latency:
        """Time to first token, over finished requests."""
        return latency(self.totals.ttft, self.totals.ttft_sum, self.totals.finished)

    @cached_property
    def itl(self) -> Latency:
        """Inter-token latency, over all gaps of finished requests."""
        return latency(self.outcome.gaps, self.outcome.gap_sum, int(self.outcome.gaps.sum()))

    @cached_property
    def tpot(self) -> Latency:
        """Time per output token after the first, over finished requests."""
        return latency(self.totals.tpot, self.totals.tpot_sum, self.totals.tpot_count)

    @cached_property
    def e2e(self) -> Latency:
        """Time from arrival to the last token, over finished requests."""
        return latency(self.totals.e2e, self.totals.e2e_sum, self.totals.finished)

    @property
    def e2e_mean(self) -> float:
        """Mean time from arrival to the last token; infinite if no request has finished."""
        return self.totals.e2e_sum / self.totals.finished / NANOSECONDS if self.totals.finished else inf

    @property
    def mean_running(self) -> float:
        """Mean number of running requests over time."""
        return self._mean(self.outcome.running_time)

    @property
    def mean_waiting(self) -> float:
        """Mean number of requests in the waiting queue over time."""
        return self._mean(self.outcome.waiting_time)

    @property
    def mean_adapters(self) -> float:
        """Mean number of distinct adapters in a step over time."""
        return self._mean(self.outcome.adapter_time)

    @property
    def busy(self) -> float:
        """Share of the time in which a step was running."""
        return self._mean(self.outcome.busy_time)

    def _mean(self, integral: int) -> float:
        """Mean over time of a value, of which this is the integral in nanoseconds."""
        return integral / NANOSECONDS / self.seconds

    @property
    def kv_cache_tokens(self) -> int:
        """Size of the KV cache in tokens, including vLLM's null block."""
        limits = self.scenario.limits
        return (limits.kv_blocks + 1) * limits.block_size

    @property
    def kv_usage(self) -> float:
        """Mean share of the KV cache in use over time."""
        return self._mean(self.outcome.kv_time) / self.scenario.limits.kv_blocks

    @property
    def prefix_hit_rate(self) -> float | None:
        """Share of the prompt tokens of admitted requests that were in cached blocks; None without prefix caching.

        As in vLLM's ``vllm:prefix_cache_hits`` over ``vllm:prefix_cache_queries``, requests that return after a
        preemption do not count.
        """
        if not self.scenario.limits.prefix_caching:
            return None
        return self.outcome.hit_tokens / max(1, self.outcome.queried_tokens)

    @property
    def metrics_stall(self) -> float:
        """Share of the time in which scrapes stalled the API server."""
        return self.outcome.stalled / NANOSECONDS / self.seconds

    @property
    def running_at_end(self) -> int:
        """Number of requests that were running at the end."""
        return int(np.count_nonzero(self.outcome.running))

    @property
    def rejected(self) -> int:
        """Number of requests that are longer than `max_model_len` or than the whole KV cache."""
        return int(self.judgement.by_adapter.rejected.sum())

    @property
    def waiting_at_end(self) -> int:
        """Number of requests in the waiting queue at the end.

        If the client has no limit on open requests, those that arrived during the last step count as waiting.
        """
        waiting = self.outcome.arrived - self.totals.served - self.running_at_end - self.rejected
        return waiting + (0 if self.scenario.window.max_in_flight else self._in_client)

    @property
    def never_admitted(self) -> int:
        """Number of requests still held back at the end by a client that was out of connections."""
        return self._in_client if self.scenario.window.max_in_flight else 0

    @property
    def _in_client(self) -> int:
        return len(self.scenario.requests.arrival) - self.outcome.arrived
