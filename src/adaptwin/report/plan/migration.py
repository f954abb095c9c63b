"""A migration for the terminal: how much it changes, and its steps in order; steps that do the same share a line."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from adaptwin.plan.migration import Migration, Step
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.words import count

NAMED_ADAPTERS = 3  # adapters that are called by name; more are counted


def migration_table(found: Migration, gpus: int) -> RenderableType:
    """What changes on the way to a plan with so many GPUs, and the steps."""
    if not found.steps:
        return Group(heading("Changes"), Text("Nothing changes: the fleet stays as it is."))
    table = plain_table()
    add_numbers(table, "#")
    table.add_column("Step", overflow="fold")
    for number, line in enumerate(step_lines(found.steps), start=1):
        table.add_row(str(number), Text(line))
    return Group(heading("Changes"), Text(changes_sentence(found, gpus)), heading("Steps"), table)


def changes_sentence(found: Migration, gpus: int) -> str:
    """GPUs before and after, and how many adapters and servers change; most counts of zero are left out."""
    parts = [f"{count(found.moves, 'move')}", f"{count(found.restarts, 'restart')}"]
    if found.added:
        parts.append(count(found.added, "new adapter"))
    if found.departed:
        parts.append(f"{count(found.departed, 'adapter')} departed")
    text = f"GPUs: {found.gpus_before:,} before, {gpus:,} after; {', '.join(parts)}."
    if found.extra_gpus:
        text += f"\n{count(found.extra_gpus, 'more GPU')} needed for a while, during the steps."
    return text


def step_lines(steps: Sequence[Step]) -> list[str]:
    """The steps in order; consecutive ones that do the same on the same server share a line."""
    return [_line(list(alike)) for _, alike in groupby(steps, key=_kind)]


def _kind(step: Step) -> tuple[str, str | None, bool]:
    return step.action, step.server, step.shares == {}


def _line(alike: list[Step]) -> str:
    step = alike[0]
    who = _names_of_steps(alike)
    match step.action:
        case "load":
            return f"load {who} on {step.server}"
        case "unload":
            return f"unload {who} from {step.server}"
        case "route":
            return f"route {who} to {_server_names(alike)}" if step.shares else f"refuse requests of {who}"
        case "stop":
            return f"stop {step.server}"
    assert step.settings
    return (
        f"{step.action} {step.server} "
        f"(max_loras {step.settings.max_loras}, max_lora_rank {step.settings.max_lora_rank})"
    )


def _names_of_steps(alike: list[Step]) -> str:
    names = [step.adapter for step in alike if step.adapter]
    return ", ".join(names) if len(names) <= NAMED_ADAPTERS else count(len(names), "adapter")


def _server_names(alike: list[Step]) -> str:
    """The servers that the steps route to, sorted by name."""
    return ", ".join(sorted({server for step in alike for server in step.shares or ()}))
