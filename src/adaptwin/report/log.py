"""What a fleet keeps of a log whose requests name their adapters, for the terminal."""

from datetime import UTC, datetime
from typing import Any

from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import count, duration, number, percent
from adaptwin.report.trace import add_window_rows, shared_in_words, trace_summary
from adaptwin.visible import quoted
from adaptwin.workload.sources.arrival_pattern import Keep, kept_as
from adaptwin.workload.sources.conversations import SharedInTrace
from adaptwin.workload.sources.logged_adapters import LoggedAdapter, LogWindow, first_names
from adaptwin.workload.sources.own_bursts import strongest_own_burst

_HOLDING = {
    "time": "times in",
    "adapter": "models in",
    "input": "prompts in",
    "output": "answers in",
    "requests": "numbers of requests in",
    "status": "status in",
    "error": "errors in",
}  # by role
TOP = 10  # adapters in the table
MOST_REASONS = 8  # lines of what was left out


def log_summary(window: LogWindow) -> dict[str, Any]:
    """Return the figures of the window, the adapters of the log, what was left out, and what was assumed."""
    log = window.log
    return {
        **trace_summary(window.figures),
        "files": log.files,
        "formats": list(log.formats),
        "first_request": None if log.start is None else _date(log.start),
        "columns": log.columns,
        "log_rate": _rate_of_log(window),
        "adapters_with_requests": len(window.adapters),
        "adapters_without_requests": len(window.unused),
        "adapters_without_requests_in_window": _idle_adapters(window),
        "rows_left_out": window.left_out,
        "assumed": log_assumptions(window),
        "top": [
            {
                "name": adapter.name,
                "rank": adapter.rank,
                "requests": adapter.requests,
                "requests_in_window": adapter.in_window,
                "mean_input": _or_none(adapter.mean_input),
                "mean_output": _or_none(adapter.mean_output),
            }
            for adapter in window.totals[:TOP]
        ],
    }


def log_table(window: LogWindow, shared: SharedInTrace | None = None) -> Table:
    """Return a table of the log, the window that was chosen, what was left out, and what is assumed."""
    log, figures = window.log, window.figures
    table = Table(show_header=False, box=None, pad_edge=False)
    files = count(log.files, "file")
    table.add_row("log", f"{count(figures.requests, 'request')} in {duration(figures.span)}, {files}")
    table.add_row("format", Text("; ".join(log.formats)))
    if log.start is not None:
        table.add_row("begins", _date(log.start))
    read = [f"{named} {log.columns[role]}" for role, named in _HOLDING.items() if role in log.columns]
    read += [] if {"status", "error"} & {*log.columns} else ["none with a status"]
    table.add_row("columns", Text(", ".join(read)))
    table.add_row("names", _names_in_log(window))
    for reason, rows in list(window.left_out.items())[:MOST_REASONS]:
        table.add_row("not used", Text(f"{count(rows, 'row')}: {reason}"))
    if more := list(window.left_out.values())[MOST_REASONS:]:
        table.add_row("not used", f"{count(sum(more), 'row')} for {count(len(more), 'other reason')}")
    table.add_row("rate of the log", f"{number(_rate_of_log(window))} requests/s on average")
    add_window_rows(table, figures)
    if shared:
        table.add_row("prefixes", shared_in_words(shared))
    for sentence in log_assumptions(window):
        table.add_row("assumed", Text(sentence))
    return table


def _names_in_log(window: LogWindow) -> str:
    """Say how many of the names in the log are adapters of the fleet."""
    bases = sum(adapter.rank == 0 for adapter in window.adapters)
    unknown = len(window.log.names) - len(window.adapters)
    parts = [count(len(window.adapters) - bases, "adapter")]
    parts += [count(bases, "name") + " of the base model"] if bases else []
    parts += [count(unknown, "unknown name")] if unknown else []
    return ", ".join(parts)


def top_table(window: LogWindow) -> Table:
    """Return a table of the adapters with the most requests."""
    shown = min(TOP, len(window.totals))
    title = f"The {shown} busiest of {count(len(window.totals), 'adapter')}" if shown > 1 else "The only adapter"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("Adapter")
    for heading in ("Rank", "Requests", "Share", "In window", "Prompt", "Answer"):
        table.add_column(heading, justify="right")
    for adapter in window.totals[:TOP]:
        table.add_row(*_cells(adapter, window.figures.requests))
    return table


def _cells(adapter: LoggedAdapter, requests: int) -> tuple[str | Text, ...]:
    rank = str(adapter.rank) if adapter.rank else "base"
    means = (f"{number(mean)}" for mean in (adapter.mean_input, adapter.mean_output))
    counts = (f"{adapter.requests:,}", percent(adapter.requests / requests), f"{adapter.in_window:,}")
    return (Text(adapter.name), rank, *counts, *means)


def lost_bursts(window: LogWindow, keep: Keep | None, requests: int) -> list[str]:
    """Return what rates lose of the times of a log, if so many requests are kept as rates."""
    if kept_as(requests, keep) == "timestamps" or (burst := strongest_own_burst(window.recording)) is None:
        return []
    name = quoted(window.adapters[burst.adapter].name)
    own = f"{name} has {burst.factor:.1f} times its mean rate in its busiest {duration(burst.seconds)}"
    others = f", as have {count(burst.number - 1, 'other adapter')} of their own" if burst.number > 1 else ""
    both = f"{own}{others}, all adapters together {burst.shared:.1f} times"
    advice = "rates keep only the latter, so a plan may be too small; --keep timestamps keeps the times of each adapter"
    return [f"{both}: {advice}"]


def log_assumptions(window: LogWindow) -> list[str]:
    """Return what was taken for granted, in sentences."""
    found = list(window.log.assumed)
    if window.lengths is not None:
        found.append("the lengths of all requests are those of the options, not of the log")
    if idle := _idle_adapters(window):
        found.append(f"{count(idle, 'adapter')} of the log without a request in the window: kept, without traffic")
    if window.unused:
        names = first_names(window.unused)
        found.append(f"{count(len(window.unused), 'adapter')} without a request in the log: left out ({names})")
    return found


def _idle_adapters(window: LogWindow) -> int:
    return sum(adapter.in_window == 0 for adapter in window.totals)


def _rate_of_log(window: LogWindow) -> float:
    return window.figures.requests / window.log.duration


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _or_none(value: float) -> float | None:
    return value if value == value else None  # NaN is not equal to itself
