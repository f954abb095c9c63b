"""Played: a run of the twin with its verdicts and figures, made by `play_scenario`.

Whatever plays the twin gets its figures here. Percentiles are computed when they are asked for, and then kept.
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
    """Play a scenario on the compiled twin, and judge what happened."""
    outcome = play(scenario)
    return Played(profile, workload, scenario, outcome, judge(profile, workload, scenario, outcome))


@dataclass(frozen=True)
class Played:
    """What was played and what came of it. Rates are per second of the window after warm-up, latencies in seconds.

    `ttft` and `e2e` contain what API server and client add (`Profile.request_latency`).
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
        """The window after warm-up; when drained, up to the last token."""
        window = self.scenario.window
        end = self.outcome.end if window.drain else window.end
        return max(1, end - window.warmup) / NANOSECONDS

    @property
    def arriving_seconds(self) -> float:
        """The part of the window in which requests arrive."""
        window = self.scenario.window
        return max(1, window.end - window.warmup) / NANOSECONDS

    @property
    def throughput(self) -> float:
        """Prompt and output tokens of requests that finished."""
        return self.totals.finished_tokens / self.seconds

    @property
    def offered_throughput(self) -> float:
        """Prompt and output tokens of requests that arrived."""
        return self.totals.offered_tokens / self.arriving_seconds

    @property
    def request_rate(self) -> float:
        """Requests that finished."""
        return self.totals.finished / self.seconds

    @property
    def offered_request_rate(self) -> float:
        """Requests that arrived."""
        return self.totals.arrivals / self.arriving_seconds

    @property
    def served_share(self) -> float:
        """Finished tokens as a share of those due by the end; 1 where none were due."""
        due = int(self.judgement.by_adapter.due_tokens.sum())
        return self.totals.finished_tokens / due if due else 1.0

    @cached_property
    def ttft(self) -> Latency:
        """Time to the first token, over finished requests."""
        return latency(self.totals.ttft, self.totals.ttft_sum, self.totals.finished)

    @cached_property
    def itl(self) -> Latency:
        """Time between tokens, over all gaps of finished requests."""
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
        """Mean time from arrival to the last token; infinite where no request has finished."""
        return self.totals.e2e_sum / self.totals.finished / NANOSECONDS if self.totals.finished else inf

    @property
    def mean_running(self) -> float:
        """Requests that hold a seat."""
        return self.outcome.running_time / self.seconds

    @property
    def mean_waiting(self) -> float:
        """Requests in the waiting queue."""
        return self.outcome.waiting_time / self.seconds

    @property
    def mean_adapters(self) -> float:
        """Distinct adapters in a step."""
        return self.outcome.adapter_time / self.seconds

    @property
    def busy(self) -> float:
        """Share of the time in which a step was running."""
        return self.outcome.busy_time / self.seconds

    @property
    def kv_cache_tokens(self) -> int:
        """Tokens of the whole KV cache, vLLM's null block included."""
        limits = self.scenario.limits
        return (limits.kv_blocks + 1) * limits.block_size

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use."""
        return self.outcome.kv_time / self.seconds / self.scenario.limits.kv_blocks

    @property
    def metrics_stall(self) -> float:
        """Share of the time in which scrapes held up the API server."""
        return self.outcome.stalled / NANOSECONDS / self.seconds

    @property
    def running_at_end(self) -> int:
        """Requests that held a seat at the end."""
        return int(np.count_nonzero(self.outcome.running))

    @property
    def rejected(self) -> int:
        """Requests longer than `max_model_len`, or than the whole KV cache."""
        return int(self.judgement.by_adapter.rejected.sum())

    @property
    def waiting_at_end(self) -> int:
        """Requests in the waiting queue at the end.

        Without a limit on the client, those that came during the last step are simply waiting.
        """
        waiting = self.outcome.arrived - self.totals.served - self.running_at_end - self.rejected
        return waiting + (0 if self.scenario.window.max_in_flight else self._in_client)

    @property
    def never_admitted(self) -> int:
        """Requests still in a client that was out of connections."""
        return self._in_client if self.scenario.window.max_in_flight else 0

    @property
    def _in_client(self) -> int:
        return len(self.scenario.requests.arrival) - self.outcome.arrived
