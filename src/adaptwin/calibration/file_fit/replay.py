"""Replay: a benchmark result as the twin plays it: server, requests, and the time that was measured."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.profile.profile import Profile
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import simulate
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Adapter, Workload

MOST_PLAYED = 2000  # requests of a result; more of the same tell nothing new
NARROW = 1.5  # longest over mean length, up to which all requests count as equally long
MOST_WAITING = 1.0  # requests, above which a time per token depends on which of them wait
_CLIENT_SEED = 0  # of the gaps between requests, which reports do not have

Figure = Literal["TPOT", "ITL", "duration"]


class Replay(NamedTuple):
    """A benchmark result as the twin plays it."""

    name: str
    server: Server
    workload: Workload
    figure: Figure  # that is compared
    seconds: float  # measured
    max_in_flight: int | None = None
    ttft: float | None = None  # measured, in seconds; None where it tells nothing about the latency of a request
    ttft_is_median: bool = True
    assumed: tuple[str, ...] = ()  # what the report does not say, in clauses

    def played(self, profile: Profile) -> Run:
        """Simulate the run, until all requests are answered."""
        return simulate(profile, self.server, self.workload, window="drain", max_in_flight=self.max_in_flight)

    def is_calm(self, run: Run) -> bool:
        """Whether the times do not depend on which requests wait: few do, or the duration of all is compared."""
        return self.figure == "duration" or run.mean_waiting <= MOST_WAITING

    def simulated(self, run: Run) -> float:
        """Return the seconds of a simulated run that are compared with the measured ones."""
        return {"TPOT": run.tpot.mean, "ITL": run.itl.mean, "duration": run.simulated}[self.figure]


def replay_of(result: BenchResult, server: Server, name: str) -> Replay:
    """Return how the twin plays a result that is usable; the server has no limit on the length of a request yet."""
    requests = result.completed if result.is_offline else min(result.completed, MOST_PLAYED)
    prompts, answers, assumed = _lengths_of_result(result, requests)
    pairs = list(zip(prompts.tolist(), answers.tolist(), strict=True))
    arrivals = _arrivals(result, len(pairs))
    workload = Workload(
        adapters=[Adapter(name="base", rank=0, rate=1.0)],
        lengths=Lengths.empirical(pairs),
        arrivals=tuple(arrivals.tolist()),
        duration=max(1.0, float(arrivals[-1]) + 1e-3),
    )
    figure: Figure = "duration" if result.is_offline else "TPOT" if result.tpot.mean else "ITL"
    tells_latency = not result.is_offline and not result.sends_all_at_once
    return Replay(
        name=name,
        server=server.model_copy(update={"max_model_len": int((prompts + answers).max())}),
        workload=workload,
        figure=figure,
        seconds=result.duration if result.is_offline else result.time_per_token or 0.0,
        max_in_flight=result.max_concurrency,
        ttft=(result.ttft.p50 or result.ttft.mean) if tells_latency else None,
        ttft_is_median=result.ttft.p50 is not None,
        assumed=assumed,
    )


def _lengths_of_result(
    result: BenchResult, requests: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Return prompt and answer lengths, and what of them is assumed."""
    if result.pairs:
        known = np.array(result.pairs[:requests], dtype=np.int64)
        return known[:, 0], known[:, 1], ()
    assert result.prompt_tokens is not None
    assert result.answer_tokens is not None
    if _are_narrow(result):
        prompt, answer = max(1, round(result.prompt_tokens)), max(1, round(result.answer_tokens))
        return np.full(requests, prompt), np.full(requests, answer), ()
    prompts, answers = sharegpt_with_means(requests, result.prompt_tokens, result.answer_tokens)
    said = (f"lengths spread as ShareGPT's around {result.prompt_tokens:,.0f} and {result.answer_tokens:,.0f} tokens",)
    return prompts, answers, said


def _are_narrow(result: BenchResult) -> bool:
    """Return whether all requests are about equally long, as those of random data sets are."""
    assert result.prompt_tokens is not None
    assert result.answer_tokens is not None
    if result.most_prompt_tokens is not None and result.most_answer_tokens is not None:
        widest = max(result.most_prompt_tokens / result.prompt_tokens, result.most_answer_tokens / result.answer_tokens)
        return widest <= NARROW
    return result.prompt_tokens.is_integer() and result.answer_tokens.is_integer()


def sharegpt_with_means(requests: int, prompt: float, answer: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return prompt and answer lengths that are spread as ShareGPT's, with these means to a token per request."""
    table = Lengths.named("sharegpt").table()
    places = ((np.arange(requests) + 0.5) / requests * len(table.input)).astype(int)
    order = np.random.default_rng(0).permutation(places)
    prompts, answers = table.input[order], table.output[order]
    return (
        np.maximum(4, np.rint(prompts * (prompt / prompts.mean()))).astype(np.int64),
        np.maximum(2, np.rint(answers * (answer / answers.mean()))).astype(np.int64),
    )


def _arrivals(result: BenchResult, requests: int) -> Array:
    """Return when the client sends each request, in seconds."""
    if result.sends_all_at_once or not result.request_rate:
        return np.zeros(requests)
    gap = 1.0 / result.request_rate
    if result.arrivals == "constant":
        return np.asarray(gap * np.arange(requests), dtype=np.float64)
    shape = result.burstiness
    gaps = np.random.default_rng(_CLIENT_SEED).gamma(shape, gap / shape, requests - 1)
    gaps *= gap * (requests - 1) / max(gap, gaps.sum())
    return np.asarray(np.concatenate([[0.0], np.cumsum(gaps)]), dtype=np.float64)


def time_in_words(seconds: float) -> str:
    """Return seconds with three digits: ``12.2 ms``, ``3.02 s``."""
    return f"{seconds:,.3g} s" if seconds >= 1.0 else f"{1e3 * seconds:.3g} ms"
