"""measured_range: the ranges of settings and traffic over the runs that a profile was compared with."""

from collections.abc import Iterable, Sequence

from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.profile.measured import MeasuredRange
from adaptwin.profile.profile import Profile
from adaptwin.workload.arrival_kinds import arrival_families
from adaptwin.workload.demand.distinct_lengths import distinct_lengths
from adaptwin.workload.demand.mean_lengths import mean_lengths

# Settings that change how vLLM schedules; the twin's figures for one value say nothing about its error for another.
SCHEDULING = ("block_size", "scheduler_reserve_full_isl", "watermark", "async_scheduling")


def measured_range(profile: Profile, runs: Sequence[MeasuredRun]) -> MeasuredRange:
    """Return the ranges over the runs, with the fingerprint of the profile that was compared with them."""
    servers, workloads = [run.server.with_defaults(profile) for run in runs], [run.workload for run in runs]
    means = [mean_lengths(workload) for workload in workloads]
    budgets = [server.budgets(profile) for server in servers]
    tables = [shared.lengths.table() for workload in workloads for shared in distinct_lengths(workload)]
    return MeasuredRange(
        constants=profile.fingerprint,
        prompt=_rounded_ends(mean.prompt for mean in means),
        answer=_rounded_ends(mean.answer for mean in means),
        longest_prompt=max(int(table.input.max()) for table in tables),
        longest_answer=max(int(table.output.max()) for table in tables),
        arrivals=tuple(sorted({family for workload in workloads for family in arrival_families(workload)})),
        request_rate=round(max(workload.rate for workload in workloads), 1),
        adapters=max(sum(adapter.rank > 0 for adapter in workload.adapters) for workload in workloads),
        rank=max(workload.max_rank for workload in workloads),
        max_lora_rank=_ends(server.max_lora_rank for server in servers),
        max_loras=_ends(server.max_loras for server in servers),
        max_num_seqs=_ends(seqs for _, seqs in budgets),
        max_num_batched_tokens=_ends(budget for budget, _ in budgets),
        settings={
            name: getattr(servers[0], name)
            for name in SCHEDULING
            if len({getattr(server, name) for server in servers}) == 1
        },
    )


def _ends(values: Iterable[int]) -> tuple[int, int]:
    found = list(values)
    return min(found), max(found)


def _rounded_ends(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    return round(min(found), 1), round(max(found), 1)
