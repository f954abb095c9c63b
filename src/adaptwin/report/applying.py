"""A report on a plan that was applied to running servers, for the terminal; and its steps as curl commands."""

import json
from collections.abc import Iterator

from rich.console import Group, RenderableType

from adaptwin.live.applying.applied import Applied
from adaptwin.live.calls import Calls
from adaptwin.plan.migration import Step
from adaptwin.report.plan.migration import step_lines, steps_table
from adaptwin.report.style.tables import heading
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import count
from adaptwin.visible import visible

SHOWN_UNKNOWN = 5


def applied_report(applied: Applied) -> RenderableType:
    """Return what a plan needed and what is done of it."""
    parts: list[RenderableType] = [_what_is_done(applied)]
    if applied.steps:
        parts += [heading("Steps"), steps_table(applied.steps)]
    parts += [Text(line, "yellow") for line in _left_to_do(applied)]
    return Group(*parts)


def _what_is_done(applied: Applied) -> Text:
    if not applied.steps:
        return Text("The servers have the plan's adapters: nothing to load, route or unload.")
    if applied.is_dry_run:
        return Text(f"{count(len(applied.steps), 'step')} to take; none is taken in a dry run.")
    return Text(f"{applied.taken:,} of {count(len(applied.steps), 'step')} taken.")


def _left_to_do(applied: Applied) -> Iterator[str]:
    if applied.waits_for:
        step = applied.waits_for
        yield f"Now {step_lines([step])[0]}, and call the same command again: it goes on from there."
        yield from (f"{step.server} is not as planned: {line}." for line in applied.notes)
    else:
        yield from applied.notes
    yield from _left_on_servers(applied)
    if applied.waits_for_router:
        yield (
            "LiteLLM's proxy reads its configuration only when it starts: restart it, and call the same command again "
            "with --routed. Until then, nothing is unloaded."
        )
    elif applied.waits_for_routes:
        yield (
            "No routes file was given (--routes), so nothing was routed or unloaded: route the requests as the steps "
            "say, and call the same command again with --routed."
        )
    if applied.unchecked:
        yield f"The servers do not say their {', '.join(applied.unchecked)}: whether they are the plan's is unknown."


def _left_on_servers(applied: Applied) -> Iterator[str]:
    for name, lines in applied.restarts.items():
        yield f"{name} needs a restart: {'; '.join(lines)}."
    for step in applied.undrained:
        yield f"{step.adapter} is still loaded on {step.server}: its requests did not end in time."
    for name, adapters in applied.unmanaged.items():
        shown = ", ".join(adapters[:SHOWN_UNKNOWN])
        more = f" and {len(adapters) - SHOWN_UNKNOWN} more" if len(adapters) > SHOWN_UNKNOWN else ""
        yield f"{name} has adapters that the plan does not know, left as they are: {shown}{more}."
    if applied.to_stop:
        yield f"The plan does not need {', '.join(applied.to_stop)} any more: stop it when its requests have ended."


def curl_commands(applied: Applied, calls: Calls) -> str:
    """Return the steps as a shell script of curl commands, which ends before the first step that needs hands.

    What must be done by hand, such as routing, stands in comments, and what follows it after an ``exit``.
    """
    lines = ["#!/bin/sh", "set -e", *(f"# {visible(line)}" for line in _left_to_do(applied))]
    by_hand = False
    for step in applied.steps:
        if by_hand and step.action in ("load", "unload"):
            lines.append("exit 0  # run what follows once the steps above are taken by hand")
            by_hand = False
        by_hand = by_hand or step.action not in ("load", "unload")
        lines += _command_of(step, calls, is_reload=step in applied.reloads)
    return "\n".join(lines)


def _command_of(step: Step, calls: Calls, *, is_reload: bool) -> Iterator[str]:
    server, adapter = step.server or "", step.adapter or ""
    if step.action == "load":
        yield calls.load(adapter, server, in_place=is_reload)
    elif step.action == "unload":
        yield visible(f"# when {adapter} has no requests on {server} any more:")
        yield calls.unload(adapter, server)
    elif step.action == "route":
        yield visible(f"# route {json.dumps(adapter, ensure_ascii=False)} as {json.dumps(step.shares)}")
    else:
        yield visible(f"# {step_lines([step])[0]}")
