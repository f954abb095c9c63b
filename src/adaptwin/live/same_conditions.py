"""require_same: whether a simulated and a measured run may be compared at all, and what makes their comparison vague.

What makes a comparison meaningless is an error: other settings of the server, other adapters, another duration, window
or warm-up, other requests from the same seed, or much more traffic. What only blurs it is a doubt.
"""

import math
from collections.abc import Iterator

from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.errors import SpecError
from adaptwin.live.observation import Conditions, Observation, conditions_of_run
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server

SLIGHTLY_OTHER = 0.05  # relative difference in traffic from which it is a doubt
OTHER_TRAFFIC = 0.3  # relative difference in traffic from which it is another workload


def require_same(run: Run, who: str, seen: Observation) -> None:
    """Raise `SpecError` if comparing a run with what was measured would be meaningless.

    Args:
        run: The simulated run.
        who: Where it comes from, in words, such as the name of its file.
        seen: What was measured.
    """
    if seen.server is not None:
        require_same_settings(run.server, who, seen, seen.server)
    slots = getattr(seen.source, "max_loras", None)
    if slots is not None and slots != run.server.max_loras:
        raise _differs(seen, "max_loras", f"{slots} (as the server reports)", who, run.server.max_loras)
    _require_same_adapters(run, who, seen)
    _require_same_window(run, who, seen)
    if _has_same_seed(run, seen):
        _require_same_counts(run, who, seen)
    for what, measured, simulated in _offered_traffic(run, seen):
        if _relative_difference(measured, simulated) > OTHER_TRAFFIC:
            raise _differs(seen, what, f"{measured:.3g}", who, f"{simulated:.3g}: this is another workload")


def require_same_settings(simulated: Server, who: str, seen: Observation, measured: Server) -> None:
    """Raise `SpecError` if two settings that are both known differ."""
    for name, of_measured, of_simulated in _setting_pairs(measured, simulated):
        if None not in (of_measured, of_simulated) and of_measured != of_simulated:
            raise _differs(seen, f"server.{name}", of_measured, who, of_simulated)


def _setting_pairs(measured: Server, simulated: Server) -> Iterator[tuple[str, object, object]]:
    """Yield each setting with its two values; the KV cache is a result of the others."""
    yield "max_cpu_loras", measured.adapters_in_host, simulated.adapters_in_host
    for name in Server.model_fields:
        if name not in ("max_cpu_loras", "kv_cache_tokens"):
            yield name, getattr(measured, name), getattr(simulated, name)


def _differs(seen: Observation, field: str, measured: object, who: str, simulated: object) -> SpecError:
    return SpecError(f"{measured} was measured, but {who} has {simulated}", seen.at(field), seen.file)


def _require_same_adapters(run: Run, who: str, seen: Observation) -> None:
    if seen.workload is None:
        return
    simulated = {row["name"]: row.get("rank") for row in run.adapters.iter_rows(named=True)}
    measured = {adapter.name: adapter.rank for adapter in seen.workload.adapters}
    if missing := [name for name in measured if name not in simulated]:
        raise SpecError(f"{missing[0]!r} was measured, but {who} does not have it", seen.at("adapters"), seen.file)
    if more := [name for name in simulated if name not in measured]:
        raise SpecError(f"{more[0]!r} of {who} was not measured", seen.at("adapters"), seen.file)
    for name, rank in measured.items():
        if simulated[name] not in (None, rank):
            raise _differs(seen, f"adapters: {name}", f"rank {rank}", who, f"rank {simulated[name]}")


def _require_same_window(run: Run, who: str, seen: Observation) -> None:
    measured = seen.conditions
    if measured.window not in (None, run.window):
        advice = f"{run.window}: simulate with --window {measured.window}"
        raise _differs(seen, "window", measured.window, who, advice)
    for name, length in (("duration", measured.duration), ("warmup", measured.warmup)):
        simulated = getattr(run, name)
        if length is None or math.isclose(length, simulated) or (name == "duration" and seen.ended_early):
            continue
        raise _differs(seen, name, f"{length:g} s", who, f"{simulated:g} s: simulate with --{name} {length:g}s")


def _has_same_seed(run: Run, seen: Observation) -> bool:
    return seen.conditions.seed == run.seed and not seen.ended_early


def _require_same_counts(run: Run, who: str, seen: Observation) -> None:
    """Raise `SpecError` if an adapter has other arrivals, although the seed is the same."""
    if seen.adapters is None or not {"arrivals"} <= {*seen.adapters.columns} & {*run.adapters.columns}:
        return
    simulated = dict(run.adapters.select("name", "arrivals").iter_rows())
    for name, count in seen.adapters.select("name", "arrivals").iter_rows():
        if simulated[name] != count:
            what = f"{simulated[name]:,} with the same seed: this is another workload"
            raise _differs(seen, f"adapters: {name}: arrivals", f"{count:,}", who, what)


def _offered_traffic(run: Run, seen: Observation) -> Iterator[tuple[str, float, float]]:
    """Yield the traffic that was offered, measured and simulated, as far as both are known."""
    simulated: Conditions = conditions_of_run(run)
    for what in ("request_rate", "tokens_per_request"):
        pair = getattr(seen.conditions, what), getattr(simulated, what)
        if None not in pair:
            yield (what, *pair)


def _relative_difference(one: float, other: float) -> float:
    if one == other:
        return 0.0
    least, most = sorted((abs(one), abs(other)))
    return math.inf if least == 0.0 else most / least - 1.0


def doubts_about(run: Run, who: str, seen: Observation) -> list[str]:
    """Return what makes the comparison of a run with what was measured vague, in words."""
    return [*seen.doubts, *_doubts_of_server(run, who, seen), *_doubts_of_traffic(run, who, seen)]


def _doubts_of_server(run: Run, who: str, seen: Observation) -> Iterator[str]:
    if seen.server is None:
        yield f"{seen.file}: does not say the settings of the server, which may be others than those of {who}"
        return
    measured: list[str] = []
    simulated: list[str] = []
    for name, of_measured, of_simulated in _setting_pairs(seen.server, run.server):
        if of_measured is not None and of_simulated is None:
            measured.append(name)
        if of_measured is None and of_simulated is not None:
            simulated.append(name)
    if measured:
        yield f"{seen.file}: sets {', '.join(measured)}, for which {who} has vLLM's defaults"
    if simulated:
        yield f"{seen.file}: has vLLM's defaults for {', '.join(simulated)}, which {who} sets"


def _doubts_of_traffic(run: Run, who: str, seen: Observation) -> Iterator[str]:
    measured = seen.conditions
    if seen.ended_early and measured.duration is not None and not math.isclose(measured.duration, run.duration):
        yield f"{seen.file}: {measured.duration:g} s were measured, but {who} has {run.duration:g} s"
    if measured.seed not in (None, run.seed):
        yield f"{seen.file}: the seed is {measured.seed}, but that of {who} is {run.seed}: other arrivals"
    for what, of_measured, of_simulated in _offered_traffic(run, seen):
        if _relative_difference(of_measured, of_simulated) > SLIGHTLY_OTHER:
            words = {"request_rate": "requests/s were offered", "tokens_per_request": "tokens per request were offered"}
            yield f"{seen.file}: {of_measured:.3g} {words[what]}, but {of_simulated:.3g} in {who}"
    if isinstance(seen.source, BenchResult):
        yield from _doubts_of_benchmark(run, who, seen)


def _doubts_of_benchmark(run: Run, who: str, seen: Observation) -> Iterator[str]:
    if len(run.adapters) > 1:
        yield f"{seen.file}: a benchmark sends its requests to one model, but {who} has {len(run.adapters):,} adapters"
    if run.window == "cut":
        yield f"{seen.file}: its rates are over the time up to the last answer: simulate with --window drain"
