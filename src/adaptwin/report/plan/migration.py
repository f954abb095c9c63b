"""A report on a migration, for the terminal: what it changes, and its steps in order, similar ones on one line."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType

from adaptwin.plan.forecast import MOST_HEADROOM
from adaptwin.plan.migration import Balancing, Migration, Step
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import count, percent
from adaptwin.twin.server import Server

NAMED_ADAPTERS = 3  # more adapters than this are counted, not named


def migration_table(found: Migration, gpus: int) -> RenderableType:
    """Return a report on a migration to a plan with `gpus` GPUs: what changes, and the steps."""
    if not found.steps:
        return Group(heading("Changes"), Text("Nothing changes: the fleet stays as it is."))
    table = plain_table()
    add_numbers(table, "#")
    table.add_column("Step", overflow="fold")
    for number, line in enumerate(step_lines(found.steps), start=1):
        table.add_row(str(number), Text(line))
    return Group(heading("Changes"), Text(changes_sentence(found, gpus)), heading("Steps"), table)


def changes_sentence(found: Migration, gpus: int) -> str:
    """Say how many GPUs there are before and after, and how many adapters and servers change."""
    parts = [f"{count(found.moves, 'move')}", f"{count(found.restarts, 'restart')}"]
    if found.added:
        parts.append(count(found.added, "new adapter"))
    if found.departed:
        parts.append(f"{count(found.departed, 'adapter')} removed")
    text = f"GPUs: {found.gpus_before:,} before, {gpus:,} after; {', '.join(parts)}."
    if found.balancing:
        text += f"\n{_balancing_sentence(found.balancing)}"
    if found.extra_gpus:
        text += f"\n{count(found.extra_gpus, 'extra GPU')} needed temporarily, during the steps."
    return text


def _balancing_sentence(found: Balancing) -> str:
    made = f"Of these, {count(found.moves, 'move')} {'relieves' if found.moves == 1 else 'relieve'} the fullest servers"
    how = made if found.moves else "The fullest servers are relieved without further moves"
    before, after = (_estimate(headroom) for headroom in (found.headroom_before, found.headroom_after))
    return f"{how}: the lowest headroom rises from {before} to {after}, by the estimate of the search."


def _estimate(headroom: float) -> str:
    return f"over {percent(MOST_HEADROOM)}" if headroom >= MOST_HEADROOM else percent(headroom)


def step_lines(steps: Sequence[Step]) -> list[str]:
    """Describe the steps in order; among consecutive steps with the same action, those on one server share a line."""
    lines: list[str] = []
    for _, stretch in groupby(steps, key=lambda step: (step.action, step.shares == {})):
        by_server: dict[str | None, list[Step]] = {}
        for step in stretch:
            by_server.setdefault(step.server, []).append(step)
        lines += map(_line, by_server.values())
    return lines


def _line(alike: list[Step]) -> str:
    step = alike[0]
    names = _names_of_steps(alike)
    match step.action:
        case "load":
            return f"load {names} on {step.server}"
        case "unload":
            return f"unload {names} from {step.server}"
        case "route":
            return f"route {names} to {_server_names(alike)}" if step.shares else f"refuse requests for {names}"
        case "stop":
            return f"stop {step.server}"
    assert step.settings
    return f"{step.action} {step.server} ({_start_settings(step.settings, step.adapter)})"


def _start_settings(settings: Server, merged: str | None) -> str:
    """Return what to start a server with, as far as it is not the same on all servers of a plan."""
    slots = f"max_loras {settings.max_loras}, max_lora_rank {settings.max_lora_rank}"
    budgets = {
        "max_num_seqs": settings.max_num_seqs,
        "max_num_batched_tokens": settings.max_num_batched_tokens,
    }
    texts = [f"{name} {value:,}" for name, value in budgets.items() if value is not None]
    return ", ".join([f"merged weights of {merged}" if settings.merged else slots, *texts])


def _names_of_steps(alike: list[Step]) -> str:
    names = [step.adapter for step in alike if step.adapter]
    return ", ".join(names) if len(names) <= NAMED_ADAPTERS else count(len(names), "adapter")


def _server_names(alike: list[Step]) -> str:
    """Return the servers to which the steps route, sorted by name."""
    return ", ".join(sorted({server for step in alike for server in step.shares or ()}))
