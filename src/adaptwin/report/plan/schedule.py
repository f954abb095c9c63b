"""A report on a schedule of plans, for a terminal with 80 columns."""

from collections.abc import Iterator

from rich.console import Group, RenderableType

from adaptwin.plan.schedule import Schedule
from adaptwin.report.style.assumptions import assumption_lines
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING, count, duration, number, percent


def schedule_table(found: Schedule) -> RenderableType:
    """Return a report on a schedule: what it saves, and the plan of each time."""
    return Group(
        Text("\n".join(schedule_sentences(found)), style="green" if found.verified else "yellow"),
        heading("Schedule"),
        _entries_table(found),
        Text("Started, stopped: servers. GPU-h: of the plan and of the change to it."),
        *assumption_lines(found.assumptions, ""),
    )


def schedule_sentences(found: Schedule) -> list[str]:
    """Return what a schedule saves, whether it is verified, and what its changes cost, one sentence each."""
    return list(_said_of_schedule(found))


def _said_of_schedule(found: Schedule) -> Iterator[str]:
    hours = duration(found.period * found.periods)
    gpus = [entry.gpus for entry in found.entries]
    on = f"{min(gpus):,} to {max(gpus):,} GPUs" if min(gpus) < max(gpus) else count(max(gpus), "GPU")
    plans = count(len(found.entries), "plan")
    static = f"{number(found.static_gpu_hours)} with {count(found.static_gpus, 'GPU')}"
    yield f"{plans} on {on}: {number(found.gpu_hours)} GPU-hours in {hours}, instead of {static}."
    if found.saved_gpu_hours > 0:
        share = percent(found.saved_gpu_hours / found.static_gpu_hours)
        yield f"The schedule saves {number(found.saved_gpu_hours)} GPU-hours in {hours} ({share})."
    else:
        yield "The schedule saves nothing: one plan for all of the time is as good."
    if found.saved_gpu_hours > 0 and found.saved_gpu_hours <= found.changes_cost:
        yield "Its changes count for more than that, so that one plan for all of the time is better."
    if found.moves or found.restarts:
        changes = f"{count(found.moves, 'move')} and {count(found.restarts, 'restart')} in {hours}"
        yield f"{changes}; the search counts them as {number(found.changes_cost)} GPU-hours."
    if found.verified:
        yield f"Every plan held in simulations of each of its periods ({found.periods:,} in total)."
    else:
        failing = ", ".join(f"{entry.at}-{entry.until}" for entry in found.entries if not entry.verified)
        yield f"NOT verified: at {failing}, the plan does not hold in every period."
    if found.time_limit_hit:
        yield "The time limit ended the search early."
    if not found.static_verified:
        yield "The one plan for all of the time does not hold in every period."


def _entries_table(found: Schedule) -> Table:
    table = plain_table()
    table.add_column("From", no_wrap=True)
    table.add_column("To", no_wrap=True)
    add_numbers(table, "req/s,\nat most", "GPUs", "Start-\ned", "Stop-\nped", "Moves", "Re-\nstarts", "GPU-h")
    if not found.verified:
        table.add_column("Veri-\nfied")
    table.add_column("Plan", overflow="fold")
    for entry in found.entries:
        changes = (entry.started, entry.stopped, entry.moves, entry.restarts)
        verified = () if found.verified else ("yes" if entry.verified else "no",)
        table.add_row(
            entry.at,
            entry.until,
            number(entry.request_rate),
            f"{entry.gpus:,}",
            *(f"{many:,}" if many else NOTHING for many in changes),
            number(entry.gpu_hours),
            *verified,
            Text(entry.plan),
        )
    return table
