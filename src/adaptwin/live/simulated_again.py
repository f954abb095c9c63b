"""simulate_again: the twin's run of what was measured, with the requests, window and client of the measurement."""

from adaptwin.calibration.compare import rerun
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.errors import OutOfMemory, SpecError
from adaptwin.live.observation import Observation
from adaptwin.live.replayed import ReplayedRun
from adaptwin.profile.profile import Profile
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import simulate

SHORTEST_REPLAY = 1.0  # seconds after warm-up
SHORTEST_SCRAPE_PAUSE = 0.001  # seconds; `simulate` takes no shorter one


def simulate_again(profile: Profile, seen: Observation, server: Server | None = None) -> Run:
    """Simulate what was measured, with the same requests where the measured run was a replay.

    Args:
        profile: The profile to simulate with.
        seen: What was measured.
        server: Settings of the server; None: those that the measured run states.

    Raises:
        SpecError: The measured run does not say what is needed for that.
        OutOfMemory: The server would not start with this profile.
    """
    try:
        return _simulated(profile, seen, server)
    except OutOfMemory as error:
        raise OutOfMemory(f"{seen.file}: {error}") from None
    except SpecError as error:
        raise (error if error.file else error.at(seen.file)) from None


def _simulated(profile: Profile, seen: Observation, server: Server | None) -> Run:
    source = seen.source
    if isinstance(source, BenchResult):
        what = f"a result of {source.tool} does not say the settings of the server or the traffic"
        raise SpecError(f"{what}: compare it with a simulated run, of adaptwin simulate --out", seen.place, seen.file)
    if isinstance(source, MeasuredRun):
        return rerun(profile, source)
    settings = server or source.server
    if settings is None:
        what = "missing: replay a fleet file that has the settings of the server (server:), or give a simulated run"
        raise SpecError(what, seen.at("server"), seen.file)
    _require_own_requests(source, seen)
    return simulate(
        profile,
        settings,
        source.workload.model_copy(update={"duration": source.duration}),
        seed=source.seed,
        window=source.window,
        warmup=source.warmup,
        max_in_flight=seen.max_in_flight,
        scrape_every=_scrape_every(source),
    )


def _require_own_requests(run: ReplayedRun, seen: Observation) -> None:
    if not run.draws_own_requests:
        what = "every request went to the next server in turn, so that the twin cannot draw those of one server"
        raise SpecError(f"{what}: replay to one server, or a plan with --routing plan", seen.place, seen.file)
    if run.duration - run.warmup < SHORTEST_REPLAY:
        what = f"{run.duration - run.warmup:.2g} s after warm-up are too few to compare"
        raise SpecError(what, seen.at("duration"), seen.file)


def _scrape_every(run: ReplayedRun) -> float | None:
    """Return the seconds between scrapes; None if the server has no metrics."""
    if run.sample_every is None or run.kv_cache_tokens is None:
        return None
    return max(SHORTEST_SCRAPE_PAUSE, run.sample_every)
