"""simulate: run the twin for a server under a workload; the result is a Run."""

from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Literal, NamedTuple

import joblib

from adaptwin.errors import SpecError, require_type
from adaptwin.profile.profile import Profile, as_profile
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.played import play_scenario
from adaptwin.twin.run import Run
from adaptwin.twin.scenario import longest_warmup, make_scenario
from adaptwin.twin.server import Server
from adaptwin.twin.summary import summarise
from adaptwin.twin.uncertainty import mean_of, with_intervals
from adaptwin.workload.drawing.requests import MOST_REQUESTS
from adaptwin.workload.workload import MOST_SECONDS, MOST_SEED, Workload

MOST_RUNS = 10_000  # the result of each run is kept until their means are known


class Case(NamedTuple):
    """The arguments of one simulation."""

    profile: Profile
    server: Server
    workload: Workload
    seed: int | None = None


def simulate(
    profile: Profile | str | Path,
    server: Server,
    workload: Workload,
    *,
    seed: int | None = None,
    repeats: int = 1,
    window: Literal["cut", "drain"] = "cut",
    warmup: float = 0.0,
    max_in_flight: int | None = None,
    record: bool = False,
    scrape_every: float | None = None,
) -> Run:
    """Simulate one server under a workload.

    Args:
        profile: Costs of the GPU with its model and vLLM version; or the name of a shipped profile, or the path of one.
        server: vLLM's settings; a setting that is None takes vLLM's default for the profile.
        workload: Adapters, traffic and the length of the window; it is not changed.
        seed: Seed of all random draws; None takes the workload's.
        repeats: Number of runs, with seeds ``seed, seed + 1, ...``. Above 1 the result holds means, with 95 % intervals
            in `Run.confidence`, and the worst verdict on the server; its tables are those of the first seed.
        window: ``"cut"`` stops the clock at the workload's duration, and unfinished requests count for nothing in
            the throughput, as in a benchmark of fixed length; ``"drain"`` lets all requests finish.
        warmup: Seconds at the start that rates, latencies, time averages and verdicts leave out; a second of the
            window, or half of a shorter one, must remain.
        max_in_flight: Requests that the client can have open at once; further ones wait in the client. None: no limit.
        record: Keep a time series with one row per second (`Run.series`), of at most a million seconds.
        scrape_every: Seconds from the end of one scrape of ``/metrics`` to the next. The API server stalls during a
            scrape, for as long as the profile's scrape cost says. None: no scrapes.

    Raises:
        OutOfMemory: vLLM would refuse to start with these settings.
        SpecError: The server cannot load an adapter of the workload, or an argument is out of range.
    """
    profile = as_profile(profile)
    require_type(server, Server, "server")
    require_type(workload, Workload, "workload")
    seed = workload.seed if seed is None else seed
    _require_in_range(workload, seed, repeats, window, warmup, max_in_flight, scrape_every)
    compile_twin()
    runs: list[Run] = []
    for repeat in range(repeats):
        scenario = make_scenario(
            profile,
            server,
            workload,
            seed=seed + repeat,
            drain=window == "drain",
            warmup=warmup,
            max_in_flight=max_in_flight,
            sample_every=1.0 if record and repeat == 0 else 0.0,
            scrape_every=scrape_every,
        )
        played = play_scenario(profile, workload, scenario)
        run = summarise(played, server=server, seed=seed + repeat)
        runs.append(run.model_copy(update={"adapters": runs[0].adapters}) if runs else run)  # of later runs, not kept
    return with_intervals(runs[0] if repeats == 1 else mean_of(runs), profile)


def _require_in_range(
    workload: Workload,
    seed: int,
    repeats: int,
    window: str,
    warmup: float,
    max_in_flight: int | None,
    scrape_every: float | None,
) -> None:
    """Raise `SpecError` if an argument of `simulate` is out of range."""
    for name, value, low, high, kind in (
        ("seed", seed, 0, MOST_SEED, Integral),
        ("repeats", repeats, 1, MOST_RUNS, Integral),
        ("warmup", warmup, 0, longest_warmup(workload.duration), Real),
        ("max_in_flight", 1 if max_in_flight is None else max_in_flight, 1, MOST_REQUESTS, Integral),
        ("scrape_every", 1.0 if scrape_every is None else scrape_every, 0.001, MOST_SECONDS, Real),
    ):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise SpecError(f"{value!r} is not {'a whole number' if kind is Integral else 'a number'}", name)
        if not low <= value <= high:
            raise SpecError(f"{value} must be from {low} to {high:.9g}", name)
    if window not in ("cut", "drain"):
        raise SpecError(f"{window!r} is not one of cut, drain", "window")


def simulate_many(
    cases: Iterable[Case | tuple[Profile | str | Path, Server, Workload]], *, jobs: int = -1
) -> list[Run]:
    """Simulate many cases in parallel, on all cores or on `jobs` of them; return the runs in the order of the cases.

    The kernel releases the interpreter lock, so threads suffice and nothing is copied between processes.
    """
    work = [Case(as_profile(case[0]), *case[1:]) for case in cases]
    compile_twin()
    calls = (joblib.delayed(simulate)(case.profile, case.server, case.workload, seed=case.seed) for case in work)
    return list(joblib.Parallel(n_jobs=jobs, prefer="threads")(calls))
