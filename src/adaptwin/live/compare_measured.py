"""compare_with_run, compare_with_profile, compare_with_plan: what was measured beside what the twin simulates."""

from collections.abc import Callable, Sequence
from typing import Any

import joblib
import polars as pl

from adaptwin.errors import SpecError
from adaptwin.live.comparison import (
    ADAPTER_FIGURES,
    ComparedAdapter,
    ComparedServer,
    Comparison,
    distinct_grades,
    figure_pair,
)
from adaptwin.live.observation import COMPARED_FIGURES, Observation, figures_of_run, finite
from adaptwin.live.replayed import ReplayedRun
from adaptwin.live.same_conditions import doubts_about, require_same, require_same_settings
from adaptwin.live.simulated_again import simulate_again
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.run import Grade, Run, grade_of
from adaptwin.vllm_versions import version_numbers


def compare_with_run(run: Run, who: str, observations: Sequence[Observation]) -> Comparison:
    """Compare a simulated run with measured ones of the same server under the same workload.

    Args:
        run: The simulated run.
        who: Where it comes from, such as the name of its file.
        observations: What was measured, in one run or in several repeats.

    Raises:
        SpecError: A measured run is of another server or workload, or has no figure that can be compared.
    """
    files = [each.file for each in observations if isinstance(each.source, ReplayedRun)]
    if several := next((file for file in files if files.count(file) > 1), None):
        what = f"{files.count(several)} servers were measured, but {who} is a run of one: give the plan or the profile"
        raise SpecError(what, "runs", several)
    return _compare_all(who, [(run, observations)])


def compare_with_profile(
    profile: Profile, observations: Sequence[Observation], *, progress: Progress = silent
) -> Comparison:
    """Simulate what was measured with a profile, and compare the runs.

    Measured runs of the same server with the same workload, seed and window are repeats, for which there is one run.

    Args:
        profile: The profile to simulate with.
        observations: What was measured.
        progress: Called with the number of simulated runs.

    Raises:
        SpecError: A measured run does not say its server and workload.
        OutOfMemory: A server would not start with this profile.
    """
    compared = _simulated_groups(observations, lambda seen: simulate_again(profile, seen), progress)
    found = _compare_all(profile.name, compared)
    return found._replace(doubts=(*found.doubts, *_doubts_of_versions(observations, lambda _: profile)))


def compare_with_plan(
    plan: Plan, who: str, observations: Sequence[Observation], *, progress: Progress = silent
) -> Comparison:
    """Simulate the servers of a plan to which its traffic was replayed, and compare the runs.

    Args:
        plan: The plan, which has the profile and the settings of each server.
        who: Name of its file.
        observations: What was measured, as results of ``adaptwin replay``.
        progress: Called with the number of simulated runs.

    Raises:
        SpecError: A measured run is not of a server of the plan, or of one with other settings or adapters.
    """
    placed = {id(seen): _placed(plan, who, seen) for seen in observations}

    def simulated(seen: Observation) -> Run:
        server = placed[id(seen)]
        return simulate_again(plan.profile_of(server), seen, server.server)

    found = _compare_all(who, _simulated_groups(observations, simulated, progress))
    versions = _doubts_of_versions(observations, lambda seen: plan.profile_of(placed[id(seen)]))
    return found._replace(doubts=(*found.doubts, *versions))


def _placed(plan: Plan, who: str, seen: Observation) -> PlacedServer:
    """Return the server of a plan that was measured, by its name."""
    if not isinstance(seen.source, ReplayedRun):
        raise SpecError("only results of adaptwin replay can be compared with a plan", file=seen.file)
    serving = {server.name: server for server in plan.serving}
    if seen.name not in serving:
        what = f"{seen.name!r} was measured, but the servers of {who} are {', '.join(serving)}"
        raise SpecError(what, seen.at("name"), seen.file)
    server = serving[seen.name]
    if seen.server is not None:
        require_same_settings(server.server, who, seen, seen.server)
    measured = {adapter.name for adapter in seen.source.workload.adapters}
    if differing := sorted(measured ^ {*server.adapters}):
        has = f"was measured, but {who} does not place it on" if differing[0] in measured else "was not measured on"
        raise SpecError(f"{differing[0]!r} {has} {seen.name}", seen.at("workload.adapters"), seen.file)
    return server


def _simulated_groups(
    observations: Sequence[Observation], simulated: Callable[[Observation], Run], progress: Progress
) -> list[tuple[Run, Sequence[Observation]]]:
    """Return the measured runs in groups of repeats, each with the run of the twin."""
    groups: list[list[Observation]] = []
    for seen in observations:
        group = next((group for group in groups if _are_repeats(group[0], seen)), None)
        if group is None:
            groups.append([seen])
        else:
            group.append(seen)
    compile_twin(progress)
    calls = (joblib.delayed(simulated)(group[0]) for group in groups)
    runs = []
    for run in joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")(calls):
        runs.append(run)
        progress("simulating", len(runs), len(groups))
    return list(zip(runs, groups, strict=True))


def _are_repeats(one: Observation, other: Observation) -> bool:
    """Whether two measured runs are of the same server with the same requests."""
    if type(one.source) is not type(other.source) or (one.name != other.name and isinstance(one.source, ReplayedRun)):
        return False
    seen = [(each.server, each.workload, each.conditions[:4], each.max_in_flight) for each in (one, other)]
    return seen[0] == seen[1]


def _doubts_of_versions(observations: Sequence[Observation], profile_of: Callable[[Observation], Profile]) -> list[str]:
    """Return the measured versions of vLLM that are not those of the profile, in words."""
    found = []
    for seen in observations:
        measured, profile = getattr(seen.source, "vllm_version", None), profile_of(seen)
        if measured and version_numbers(measured)[:2] != version_numbers(profile.vllm_version)[:2]:
            found.append(
                f"{seen.file}: the server runs vLLM {measured}, but {profile.name} is of vLLM {profile.vllm_version}"
            )
    return list(dict.fromkeys(found))


def _compare_all(who: str, compared: Sequence[tuple[Run, Sequence[Observation]]]) -> Comparison:
    for run, observations in compared:
        for seen in observations:
            require_same(run, who, seen)
            _require_common_figure(run, who, seen)
    names = _names_of_groups([observations for _, observations in compared])
    servers = [_compared_server(name, *pair) for name, pair in zip(names, compared, strict=True)]
    doubts = [line for run, observations in compared for seen in observations for line in doubts_about(run, who, seen)]
    return Comparison(who, tuple(servers), tuple(dict.fromkeys(doubts)))


def _require_common_figure(run: Run, who: str, seen: Observation) -> None:
    simulated = figures_of_run(run)
    if not any(value is not None and simulated[name] is not None for name, value in seen.figures.items()):
        raise SpecError(f"has no figure in common with {who}", seen.place, seen.file)


def _names_of_groups(groups: Sequence[Sequence[Observation]]) -> list[str]:
    """Return a name for each group of repeats: that of the server, and where several share it, that of the file."""
    firsts = [group[0] for group in groups]
    names = [seen.name for seen in firsts]
    return [f"{seen.name} ({seen.file.name})" if names.count(seen.name) > 1 else seen.name for seen in firsts]


def _compared_server(name: str, run: Run, observations: Sequence[Observation]) -> ComparedServer:
    twin = figures_of_run(run)
    figures = {
        each: figure_pair([seen.figures[each] for seen in observations], twin[each]) for each in COMPARED_FIGURES
    }
    tables = [_rows_by_name(seen.adapters) for seen in observations if seen.adapters is not None]
    simulated = _rows_by_name(run.adapters)
    with_requests = [name for name, row in (tables[0] if tables else {}).items() if row.get("arrivals") != 0]
    adapters = [_compared_adapter(name, [table[each] for table in tables], simulated[each]) for each in with_requests]
    adapters.sort(key=lambda each: -each.severity)
    return ComparedServer(name, tuple(observations), run, figures, tuple(adapters))


def _compared_adapter(server: str, measured: Sequence[dict[str, Any]], twin: dict[str, Any]) -> ComparedAdapter:
    """Return an adapter, given its rows in the tables of the measured runs and in that of the twin."""
    return ComparedAdapter(
        name=twin["name"],
        server=server,
        requests=measured[0].get("arrivals") or 0,
        figures={
            figure: figure_pair([finite(row.get(figure)) for row in measured], finite(twin.get(figure)))
            for figure in ADAPTER_FIGURES
        },
        measured_grades=distinct_grades(map(_grade_of_row, measured)),
        grade=_grade_of_row(twin),
    )


def _rows_by_name(table: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in table.iter_rows(named=True)}


def _grade_of_row(row: dict[str, Any]) -> Grade:
    return grade_of(row["verdict"], sluggish=bool(row.get("sluggish")))
