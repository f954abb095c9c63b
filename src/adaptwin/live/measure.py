"""measure: time a running server with micro-benchmarks and short runs; the result is a folder that `fit` reads.

Micro-benchmarks are repeated in turn, not one after the other, so that slow changes of the machine meet all alike; what
`fit` gets of each is the median. Everything is kept as it comes, so that a measurement that was stopped goes on.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.calibration.sources.start_up_facts import StartUpFacts
from adaptwin.errors import ServerError
from adaptwin.live.connection import in_event_loop, session_with
from adaptwin.live.kept_measurements import KeptMeasurements
from adaptwin.live.measured import MeasuredTimes
from adaptwin.live.measured_server import MeasuredServer, measured_server
from adaptwin.live.measurement_tables import measurements_of, medians_of
from adaptwin.live.micro_benchmark import micro_benchmarks
from adaptwin.live.micro_result import MicroResult
from adaptwin.live.micro_runner import run_micro
from adaptwin.live.prompts import RandomPrompts
from adaptwin.live.replay import replay
from adaptwin.live.replayed import ReplayedRun
from adaptwin.live.traffic import ServerTraffic
from adaptwin.live.vllm_server import VllmServer
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.twin.server import Server
from adaptwin.workload.drawing.requests import draw_requests
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Adapter, Workload

START_FILE = "start.yaml"
MICRO_SHARE = 0.6  # of the time, for micro-benchmarks; the rest is for whole runs
LOADS = (0.3, 0.7, 1.3)  # of runs, as shares of what the micro-benchmarks say the server can do
CROWDED = 1.0  # loads above it ask for all adapters, others for as many as there are slots
SHORTEST_RUN, LONGEST_RUN = 10.0, 300.0  # seconds
MOST_ROUNDS = 9


class Measuring(NamedTuple):
    """What is to be measured, and how long it may take.

    Attributes:
        url: Address of the server.
        profile: Profile of GPU and model, which supplies what is not measured; often a derived one.
        budget: Seconds that the measurement may take.
        settings: Settings of the server that are known, by their names.
        ranks: Ranks of adapters, by name; those of other adapters are read from their folders.
        log: What the start-up log of the server says.
        lengths: Lengths of the requests of whole runs.
        seed: Seed of the arrivals and lengths of whole runs.
        api_key: Key that the server asks for.
    """

    url: str
    profile: Profile
    budget: float = 600.0
    settings: Mapping[str, int] = {}
    ranks: Mapping[str, int] = {}
    log: StartUpFacts | None = None
    lengths: Lengths = Lengths.lognormal(input_mean=250, input_cv=0.6, output_mean=120, output_cv=0.6)
    seed: int = 0
    api_key: str | None = None


def measure(asked: Measuring, folder: Path, *, progress: Progress = silent) -> MeasuredTimes:
    """Measure a running server and write what `fit` reads to a folder; what it already holds is not measured again.

    The server is asked for completions of random tokens only, and no adapter is loaded or unloaded.

    Raises:
        ServerError: The server cannot be used, answers other requests, or died; what was measured before is kept.
        SpecError: The folder holds measurements of another server, or the rank of an adapter is not known.
    """
    started = time.monotonic()
    kept = KeptMeasurements(folder)
    server = in_event_loop(lambda: _ask(asked))
    kept.require_same(asked.profile, server)
    try:
        rounds = in_event_loop(lambda: _run_all(asked, server, kept, started + MICRO_SHARE * asked.budget, progress))
        runs = list(_runs(asked, server, kept, started + asked.budget, progress))
    finally:
        if kept.results() or kept.runs():
            asked.profile.write(folder / START_FILE)
            measurements_of(asked.profile, asked.url, START_FILE, server, kept.results(), kept.runs()).write(folder)
    return MeasuredTimes(
        server, tuple(kept.results()), tuple(kept.runs()), rounds, time.monotonic() - started, len(runs) == len(LOADS)
    )


async def _ask(asked: Measuring) -> MeasuredServer:
    async with session_with(asked.api_key) as session:
        server = VllmServer(asked.url, session)
        return await measured_server(server, asked.profile, settings=asked.settings, ranks=asked.ranks, log=asked.log)


async def _run_all(
    asked: Measuring, measured: MeasuredServer, kept: KeptMeasurements, until: float, progress: Progress
) -> int:
    """Run all micro-benchmarks in turn, again and again until a time; return how often each was run."""
    most_tokens, most_seqs = measured.server.budgets(asked.profile)
    designed = micro_benchmarks(measured, most_seqs, most_tokens)
    prompts = RandomPrompts(time.time_ns())  # new ones, as a prefix cache holds those of an earlier measurement
    async with session_with(asked.api_key) as session:
        server = VllmServer(asked.url, session)
        for micro in designed[:2]:  # the first steps of a server are slow
            await run_micro(server, measured, micro, prompts, kept.next_prompt())
        for number in range(MOST_ROUNDS):
            if number and time.monotonic() > until:
                return number
            for place, micro in enumerate(designed):
                if kept.count(micro) > number:
                    continue
                if number and time.monotonic() > until:
                    break
                progress(f"micro-benchmarks, round {number + 1}", place, len(designed))
                kept.add(await run_micro(server, measured, micro, prompts, kept.next_prompt()))
    return MOST_ROUNDS


def _runs(
    asked: Measuring, measured: MeasuredServer, kept: KeptMeasurements, until: float, progress: Progress
) -> Iterator[MeasuredRun]:
    """Yield whole runs at several loads; each gets an equal share of the time that is left."""
    capacity = request_capacity(kept.results(), asked.lengths)
    if capacity is None:
        return
    known = {run.name: run for run in kept.runs()}
    for place, load in enumerate(LOADS):
        name = f"load {load:g}"
        if name not in known:
            left = (until - time.monotonic()) / (len(LOADS) - place)
            if left < SHORTEST_RUN:
                return
            progress("whole runs", place, len(LOADS))
            workload = _workload(asked, measured, load, capacity, min(left, LONGEST_RUN))
            known[name] = _measured_run(asked, measured, workload, name)
            kept.add_run(known[name])
        yield known[name]


def request_capacity(results: Sequence[MicroResult], lengths: Lengths) -> float | None:
    """Return a rough estimate of the requests per second that a server sustains, from decodes and prompts."""
    decodes = [result for result in results if result.kind == "decode" and result.seconds]
    if not decodes:
        return None
    most = max(result.running for result in decodes)
    step = max(result.seconds or 0.0 for result in medians_of(decodes) if result.running == most)
    prompts = [row.seconds / row.tokens for row in medians_of(results) if row.kind == "prefill" and row.seconds]
    table = lengths.table()
    seconds = table.output.mean() * step / most + table.input.mean() * max(prompts, default=0.0)
    return float(1.0 / seconds)


def _workload(asked: Measuring, measured: MeasuredServer, load: float, capacity: float, duration: float) -> Workload:
    """Return traffic at a share of the capacity: of the base model and all adapters, or of those that have a slot."""
    chosen = measured.adapters if load > CROWDED else measured.adapters[: measured.server.max_loras]
    names = [*chosen, Adapter(name=measured.base, rank=0, rate=0.0)]
    adapters = [adapter.model_copy(update={"rate": load * capacity / len(names)}) for adapter in names]
    return Workload(adapters=adapters, duration=round(duration, 1), lengths=asked.lengths, seed=asked.seed)


def _measured_run(asked: Measuring, measured: MeasuredServer, workload: Workload, name: str) -> MeasuredRun:
    return measured_run_of(whole_run(asked, workload, server=measured.server), measured, name)


def whole_run(
    asked: Measuring,
    workload: Workload,
    *,
    server: Server | None = None,
    window: Literal["cut", "drain"] = "cut",
    progress: Progress = silent,
) -> ReplayedRun:
    """Replay a workload on the server that is measured; raises `ServerError` if the replay ends early."""
    requests = draw_requests(workload, workload.seed)
    traffic = ServerTraffic("server", asked.url, workload, requests, workload.seed, server)
    found = replay([traffic], window=window, api_key=asked.api_key, progress=progress)
    if found.ended_early:
        raise ServerError(f"a run ended early: {found.ended_early}", asked.url)
    return found.runs[0]


def measured_run_of(run: ReplayedRun, measured: MeasuredServer, name: str) -> MeasuredRun:
    """Return a replayed run as one that `fit` reads."""
    return MeasuredRun(
        name=name,
        server=measured.server,
        workload=run.workload.model_copy(update={"seed": run.seed}),
        scrape_every=run.sample_every,
        throughput=run.throughput,
        starved=run.starved,
        itl_mean=_if_positive(run.itl.mean),
        itl_p99=_if_positive(run.itl.p99),
        tpot_mean=_if_positive(run.tpot.mean),
        ttft_p50=_if_positive(run.ttft.p50),
        mean_waiting=run.mean_waiting,
    )


def _if_positive(value: float) -> float | None:
    return value if value > 0 else None
