"""read_observations: what was measured, from the results of a replay, measured runs, and results of benchmarks."""

from pathlib import Path

from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.calibration.sources.registry import read_source
from adaptwin.calibration.sources.vllm_bench_latency import SentBatch
from adaptwin.errors import SpecError
from adaptwin.file_kinds import BENCH, REPLAY, kinds_of
from adaptwin.live.observation import (
    COMPARED_FIGURES,
    Conditions,
    Observation,
    conditions_of_run,
    figures_of_run,
    finite,
)
from adaptwin.live.replayed import Replayed, ReplayedRun
from adaptwin.twin.run import grade_of
from adaptwin.twin.verdict import SHORTEST_WINDOW

FEW_FINISHED = 100  # finished requests, below which less than one is above the 99th percentile
_ANY_BATCH = SentBatch(1, 1, 1)  # results that need it are refused, whatever was sent


def read_observations(path: Path) -> list[Observation]:
    """Return what a file says of each server or run that it holds.

    Args:
        path: Results of ``adaptwin replay``, a measured run, or a result of ``vllm bench serve``, guidellm or
            inference-perf.

    Raises:
        SpecError: The file is of another kind, or of a benchmark without a server.
    """
    kinds = kinds_of(path)
    if REPLAY in kinds:
        replay = Replayed.read(path)
        return [observation_of_replay(replay, index, path) for index in range(len(replay.runs))]
    if BENCH in kinds:
        results = [each for each in read_source(path, _ANY_BATCH).found if isinstance(each, BenchResult)]
        return [observation_of_bench(result, path) for result in results]
    return [observation_of_measured(MeasuredRun.read(path), path)]


def observation_of_replay(replay: Replayed, index: int, file: Path) -> Observation:
    """Return what a replay says of one of its servers, given by its place among the runs."""
    run = replay.runs[index]
    is_alone = len(replay.runs) == 1
    conditions = conditions_of_run(run)
    return Observation(
        source=run,
        file=file,
        place=f"runs[{index}]",
        name=run.name,
        figures=figures_of_run(run),
        conditions=conditions if run.draws_own_requests else conditions._replace(seed=None),
        grade=grade_of(run.verdict, sluggish=run.sluggish),
        starved=run.starved,
        adapters=run.adapters,
        server=run.server,
        workload=run.workload,
        max_in_flight=replay.client.max_in_flight if is_alone else None,
        ended_early=bool(replay.ended_early),
        doubts=(*_doubts_of_client(replay, file), *_doubts_of_run(run, f"{file}{'' if is_alone else f': {run.name}'}")),
    )


def _doubts_of_client(replay: Replayed, file: Path) -> list[str]:
    client, found = replay.client, []
    if replay.ended_early:
        found.append(f"{file}: ended early: {replay.ended_early}")
    if client.complaint:
        found.append(f"{file}: the client was the bottleneck: {client.complaint}")
    if len(replay.runs) > 1 and client.max_in_flight and client.most_in_flight >= client.max_in_flight:
        found.append(
            f"{file}: the client reached its limit of {client.max_in_flight:,} open requests, which the servers shared;"
            " the twin simulates each without a limit"
        )
    return found


def _doubts_of_run(run: ReplayedRun, where: str) -> list[str]:
    found = [*_doubts_of_window(run.duration - run.warmup, where)]
    if run.failed:
        found.append(f"{where}: {run.failed:,} of {run.arrived:,} requests failed, which the twin knows nothing of")
    if run.finished < FEW_FINISHED:
        found.append(f"{where}: only {run.finished:,} requests finished, too few for a 99th percentile")
    return found


def _doubts_of_window(seconds: float, where: str) -> list[str]:
    if seconds >= SHORTEST_WINDOW:
        return []
    return [f"{where}: a window of {seconds:g} s is short: verdicts need {SHORTEST_WINDOW:g} s"]


def observation_of_measured(measured: MeasuredRun, file: Path) -> Observation:
    """Return what a measured run says."""
    workload = measured.workload
    return Observation(
        source=measured,
        file=file,
        name=measured.name,
        figures={name: getattr(measured, name.replace(".", "_"), None) for name in COMPARED_FIGURES},
        conditions=Conditions(duration=workload.duration, window="cut", request_rate=workload.rate),
        starved=measured.starved,
        server=measured.server,
        workload=workload,
        max_in_flight=measured.max_in_flight,
        doubts=tuple(_doubts_of_window(workload.duration, str(file))),
    )


def observation_of_bench(result: BenchResult, file: Path) -> Observation:
    """Return what a result of a benchmark says; raises `SpecError` if no server of vLLM was measured."""
    where = f"{file}: {result.place}" if result.place else str(file)
    if result.is_offline or result.is_mock:
        why = "was made without a server" if result.is_offline else "is of a stand-in for a server"
        raise SpecError(f"this result {why}: a run of the twin cannot be compared with it", result.place, file)
    rate = None if result.sends_all_at_once else result.request_rate
    tokens = _tokens_per_request(result)
    return Observation(
        source=result,
        file=file,
        place=result.place,
        name=result.tool,
        figures=_figures_of_bench(result, tokens),
        conditions=Conditions(request_rate=rate, tokens_per_request=tokens),
        max_in_flight=result.max_concurrency,
        doubts=tuple(_doubts_of_bench(result, where)),
    )


def _tokens_per_request(result: BenchResult) -> float | None:
    """Return the mean tokens of a request, prompt and answer; None unless both are known."""
    if result.prompt_tokens is None or result.answer_tokens is None:
        return None
    return result.prompt_tokens + result.answer_tokens


def _figures_of_bench(result: BenchResult, tokens: float | None) -> dict[str, float | None]:
    """Return the figures of a benchmark; the throughput is that of prompts and answers, as the twin's is."""
    seconds, completed = result.duration, result.completed
    rate = completed / seconds if seconds > 0 else None
    found: dict[str, float | None] = dict.fromkeys(COMPARED_FIGURES)
    found |= {"request_rate": rate, "throughput": None if rate is None or tokens is None else rate * tokens}
    for latency in ("ttft", "itl", "tpot"):
        for part, value in getattr(result, latency)._asdict().items():
            found[f"{latency}.{part}"] = finite(value)
    return {name: found[name] for name in COMPARED_FIGURES}


def _doubts_of_bench(result: BenchResult, where: str) -> list[str]:
    found = []
    if result.failed:
        found.append(f"{where}: {result.failed:,} requests failed, which the twin knows nothing of")
    if result.completed < FEW_FINISHED:
        found.append(f"{where}: only {result.completed:,} requests finished, too few for a 99th percentile")
    if _tokens_per_request(result) is None:
        found.append(f"{where}: throughput is left out: the tokens of prompts, which the twin counts, are not known")
    if result.is_streamed_oddly:
        found.append(f"{where}: ITL is left out: its gaps are not those between tokens")
    if result.sends_all_at_once:
        limit = f", with {result.max_concurrency:,} open at most" if result.max_concurrency else ""
        found.append(f"{where}: the client sent requests as fast as it could{limit}, not at the times of a workload")
    elif result.arrivals == "constant":
        found.append(f"{where}: the client sent requests at constant gaps, which the twin's workload may not have")
    return found
