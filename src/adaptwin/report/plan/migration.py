"""A report on a migration, for the terminal: what it changes, and its steps in order, similar ones on one line."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType

from adaptwin.plan.forecast import MOST_HEADROOM
from adaptwin.plan.migration import Balancing, Migration, Step
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import count, percent
from adaptwin.twin.server import Server

NAMED_ADAPTERS = 3  # more adapters than this are counted, not named
ROUTED_ADAPTERS = 5  # of one route that are named; the rest of them is counted
SPLIT_ROUTES = 5  # different splits among servers that are shown; the rest of them is counted


def migration_table(found: Migration, gpus: int) -> RenderableType:
    """Return a report on a migration to a plan with `gpus` GPUs: what changes, and the steps."""
    if not found.steps:
        return Group(heading("Changes"), Text("Nothing changes: the fleet stays as it is."))
    return Group(heading("Changes"), Text(changes_sentence(found, gpus)), heading("Steps"), steps_table(found.steps))


def steps_table(steps: Sequence[Step]) -> Table:
    """Return the steps with their numbers, similar ones in one row."""
    table = plain_table()
    add_numbers(table, "#")
    table.add_column("Step", overflow="fold")
    for number, line in enumerate(step_lines(steps), start=1):
        table.add_row(str(number), Text(line))
    return table


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
    if found.overloaded:
        text += f"\n{overload_sentence(found)}"
    return text


def overload_sentence(found: Migration) -> str:
    """Say which servers get more traffic than they bear during the steps, and what helps."""
    first = ", ".join(found.overloaded[:NAMED_ADAPTERS])
    more = len(found.overloaded) - NAMED_ADAPTERS
    names = f"{first} and {more:,} more" if more > 0 else first
    gets = "gets more traffic than it bears" if len(found.overloaded) == 1 else "get more traffic than they bear"
    return f"For some of the steps, {names} {gets}, by the twin: take them at a quiet hour, or with an extra server."


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
    for (action, is_refusal), stretch in groupby(steps, key=lambda step: (step.action, step.shares == {})):
        if action == "route" and not is_refusal:
            lines += _route_lines(list(stretch))
            continue
        by_server: dict[str | None, list[Step]] = {}
        for step in stretch:
            by_server.setdefault(step.server, []).append(step)
        lines += map(_line, by_server.values())
    return lines


def _route_lines(steps: list[Step]) -> list[str]:
    """Say which adapters go to which server, and how the others are split; the first of many are named."""
    groups: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for step in steps:
        groups.setdefault(tuple(sorted((step.shares or {}).items())), []).append(step.adapter or "")
    whole = {shares: names for shares, names in groups.items() if len(shares) == 1}
    split = {shares: names for shares, names in groups.items() if len(shares) > 1}
    lines = [f"route {_first_names(names)} to {shares[0][0]}" for shares, names in sorted(whole.items())]
    for shares, names in list(split.items())[:SPLIT_ROUTES]:
        total = sum(share for _, share in shares)
        parts = [f"{server} ({percent(share / total)})" for server, share in shares]
        lines.append(f"route {_first_names(names)} to {', '.join(parts)}")
    if more := sum(len(names) for names in list(split.values())[SPLIT_ROUTES:]):
        lines.append(f"route {count(more, 'more adapter')} to several servers each")
    return lines


def _first_names(names: list[str]) -> str:
    more = len(names) - ROUTED_ADAPTERS
    return ", ".join(names[:ROUTED_ADAPTERS]) + (f" and {more:,} more" if more > 0 else "")


def _line(alike: list[Step]) -> str:
    step = alike[0]
    names = _names_of_steps(alike)
    match step.action:
        case "load":
            return f"load {names} on {step.server}"
        case "unload":
            return f"unload {names} from {step.server}"
        case "route":
            return f"refuse requests for {names}"
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
