"""Scenario and Outcome: the input and the output of both implementations of the twin."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile
from adaptwin.profile.scheduler_cost import SchedulerCoefficients, scheduler_seconds
from adaptwin.profile.scrape_cost import ScrapeCoefficients
from adaptwin.profile.seconds import LONGEST_SECONDS
from adaptwin.profile.step_cost import StepCoefficients, pairs_of_chunk, step_seconds
from adaptwin.twin.server import Limits, Server
from adaptwin.twin.step_coefficients import step_coefficients
from adaptwin.twin.step_totals import StepTotals
from adaptwin.workload.drawing.early_stops import end_early
from adaptwin.workload.drawing.requests import NANOSECONDS, Requests, draw_requests
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.workload import Workload

NOT_YET = -1  # in place of a time: it has not happened by the end
LAST_TIME = 1_000_000_000_000_000_000  # nanoseconds, 31 years: twice as many and one step more still fit in 64 bits
MOST_SAMPLES = 1_000_000  # rows of a time series, 56 bytes each and as much again in its table
MOST_STEPS = 4_000_000_000  # a year of steps of 8 ms, which take the kernel about ten minutes


class Adapters(NamedTuple):
    """The adapters of a server. Each array has the shape (adapters,)."""

    needs_slot: NDArray[np.bool_]
    gpu_load: NDArray[np.int64]  # nanoseconds to load it from host memory to the GPU
    disk_load: NDArray[np.int64]  # nanoseconds to load it from disk to host memory
    position: NDArray[np.int64]  # place in the order in which a step's adapters are visited; a permutation


class Window(NamedTuple):
    """The time that is simulated and what is observed in it; times in nanoseconds."""

    warmup: int
    end: int
    drain: bool  # run on until every request has finished
    max_in_flight: int  # requests that the client can have open at once; 0: no limit
    sample_every: int  # time between samples of the state; 0: no samples
    scrape_every: int  # pause between scrapes of /metrics; 0: no scrapes
    step_totals: bool = False  # whether to sum up the contents of the steps


class Scenario(NamedTuple):
    """One server, its costs and every request that it will receive."""

    requests: Requests
    adapters: Adapters
    limits: Limits
    step_cost: StepCoefficients
    scheduler_cost: SchedulerCoefficients
    scrape_cost: ScrapeCoefficients
    window: Window


class Sample(NamedTuple):
    """The state of the server when the clock passed `time`."""

    time: int  # nanoseconds
    running: int
    waiting: int
    kv_blocks: int
    adapters: int  # distinct adapters in the batch
    finished_tokens: int  # since the start
    preemptions: int  # since the start


class RequestEnds(NamedTuple):
    """What became of each request by the end of a run. Each array has the shape (requests,); times in nanoseconds."""

    first_token: NDArray[np.int64]  # when it reached the client; or NOT_YET
    finish: NDArray[np.int64]  # when the last token reached the client; or NOT_YET
    rejected: NDArray[np.bool_]  # it will never be served
    running: NDArray[np.bool_]  # it is being served at the end


class Outcome(NamedTuple):
    """What happened in a run; times in nanoseconds. A step that would end after a cut window yields no tokens."""

    first_token: NDArray[np.int64]  # per request, when it reaches the client; or NOT_YET
    finish: NDArray[np.int64]  # per request, when the last token reaches the client; or NOT_YET
    generated: NDArray[np.int32]  # per request: answer tokens by the end
    rejected: NDArray[np.bool_]  # per request: longer than max_model_len or than the KV cache, or too many
    running: NDArray[np.bool_]  # per request: holds KV blocks at the end
    arrived: int  # requests that reached the server (the rest waited in the client)
    steps: int
    end: int  # where the clock stopped
    preemptions: int
    queried_tokens: int  # tokens of requests when they were admitted for the first time; 0 without prefix caching
    hit_tokens: int  # as many of these were in cached blocks
    gpu_loads: int
    disk_loads: int
    load_time: int
    gaps: NDArray[np.int64]  # histogram of inter-token gaps of finished requests, by `gap_bin`
    gap_sum: int
    label_sets: int  # combinations of running and waiting adapters that the metrics have seen
    labels: int  # adapters named in all label sets
    stalled: int  # time that scrapes stalled the API server
    running_time: int  # integrals over the window after warm-up: values times nanoseconds, of any size
    waiting_time: int
    kv_time: int
    adapter_time: int
    busy_time: int
    samples: NDArray[np.int64]  # (samples, 7): the fields of `Sample`
    step_totals: StepTotals  # zeros unless the window asks for them

    @property
    def ends(self) -> RequestEnds:
        """What became of each request."""
        return RequestEnds(self.first_token, self.finish, self.rejected, self.running)


def longest_warmup(duration: float) -> float:
    """Return the longest warm-up of a run with so many seconds of arrivals, which leaves a second or half of it."""
    return max(duration / 2, duration - 1)


def drawn_requests(profile: Profile, workload: Workload, seed: int) -> Requests:
    """Return the requests of a workload as a profile's model answers them, drawn from a seed."""
    model, requests = profile.model, draw_requests(workload, seed)
    return end_early(requests, workload, seed, share=model.early_stop_share, reach=model.early_stop_reach)


def make_scenario(
    profile: Profile,
    server: Server,
    workload: Workload,
    *,
    seed: int,
    drain: bool = False,
    warmup: float = 0.0,
    max_in_flight: int | None = None,
    sample_every: float = 0.0,
    scrape_every: float | None = None,
    step_totals: bool = False,
    requests: Requests | None = None,
) -> Scenario:
    """Make the scenario of a server under a workload. Requests that are not given are drawn from the seed.

    `warmup`, `sample_every` and `scrape_every` are in seconds. The state is not sampled if `sample_every` is 0, and
    there are no scrapes if `scrape_every` is None.

    Raises:
        OutOfMemory: vLLM would refuse to start with these settings.
        SpecError: The server cannot load an adapter of the workload, or its settings contradict each other.
    """
    server.require_serves(workload)
    limits = server.limits(profile)
    if sample_every and workload.duration / sample_every > MOST_SAMPLES:
        what = (
            f"{workload.duration / sample_every:.3g} rows are too many, at most {MOST_SAMPLES:.0e}: a shorter duration"
        )
        raise SpecError(what, "record")
    scenario = Scenario(
        requests=drawn_requests(profile, workload, seed) if requests is None else requests,
        adapters=_adapters(profile, server, workload),
        limits=limits,
        step_cost=step_coefficients(profile, server).with_listed(server.listed_adapters(workload)),
        scheduler_cost=profile.scheduler_cost.coefficients(),
        scrape_cost=profile.scrape_cost.coefficients(),
        window=Window(
            warmup=_nanoseconds(warmup),
            end=_nanoseconds(workload.duration),
            drain=drain,
            max_in_flight=max_in_flight or 0,
            sample_every=_nanoseconds(sample_every),
            scrape_every=_nanoseconds(scrape_every or 0.0),
            step_totals=step_totals,
        ),
    )
    _require_short_steps(scenario, profile.name)
    return scenario


def _require_short_steps(scenario: Scenario, profile: str) -> None:
    """Raise `SpecError` if a step may take longer than `LONGEST_SECONDS`, which no step of a server in use does."""
    limits, cost = scenario.limits, scenario.step_cost
    adapters = min(limits.max_loras, len(scenario.adapters.needs_slot))
    context = limits.kv_blocks * limits.block_size
    loads = max(int(times.max(initial=0)) for times in (scenario.adapters.gpu_load, scenario.adapters.disk_load))
    seconds = (
        scheduler_seconds(scenario.scheduler_cost, limits.max_num_seqs, len(scenario.requests.arrival))
        + max(
            step_seconds(
                cost,
                tokens=tokens,
                sequences=min(tokens, limits.max_num_seqs),
                adapters=adapters,
                context=context,
                pairs=pairs_of_chunk(tokens, min(context, limits.max_model_len)),
            )
            for tokens in (limits.token_budget, min(limits.token_budget, cost.split_tokens))
        )
        + 2 * adapters * loads / NANOSECONDS
    )
    if not seconds <= LONGEST_SECONDS:
        what = f"a step with these settings may take {seconds:.3g} seconds, at most {LONGEST_SECONDS:g} are allowed"
        raise SpecError(what, f"{profile}: step_cost")


def require_in_reach(time: int, steps: int) -> None:
    """Raise `SpecError` if a run has come to a time in nanoseconds, or to a step, that it may not pass."""
    if time > LAST_TIME:
        what = f"drain: requests are unanswered after {LAST_TIME / NANOSECONDS:g} seconds, the most that are simulated"
        raise SpecError(what, "window")
    if steps > MOST_STEPS:
        what = f"the run takes over {MOST_STEPS:,} steps, the most that are simulated; shorten it or lower its traffic"
        raise SpecError(what, "duration")


def _adapters(profile: Profile, server: Server, workload: Workload) -> Adapters:
    ranks = np.array([adapter.rank for adapter in workload.adapters], dtype=np.int64)
    cost, slot_rank = profile.load_cost, server.max_lora_rank
    present = {int(rank) for rank in ranks}
    to_gpu = {rank: _nanoseconds(cost.to_gpu(rank, slot_rank)) for rank in present}
    from_disk = {rank: _nanoseconds(cost.from_disk(rank)) for rank in present}
    position = np.empty(len(ranks), dtype=np.int64)
    position[np.argsort([_name_hash(adapter.name) for adapter in workload.adapters])] = np.arange(len(ranks))
    return Adapters(
        needs_slot=(ranks > 0) & (not server.merged),
        gpu_load=np.array([to_gpu[int(rank)] for rank in ranks], dtype=np.int64),
        disk_load=np.array([from_disk[int(rank)] for rank in ranks], dtype=np.int64),
        position=position,
    )


@lru_cache(maxsize=1 << 17)
def _name_hash(name: str) -> int:
    """Return the key by which the adapters of a step are ordered.

    vLLM visits them in the order of a Python set, which follows the hashes of their names. This order is unrelated to
    rank and rate, and stays the same while the server runs.
    """
    return stream_seed(0, name, "order") >> 1


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
