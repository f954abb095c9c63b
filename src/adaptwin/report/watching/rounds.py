"""The rounds of a watch, for the terminal: what arrives, what is expected, and what is to be done."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from adaptwin.live.watching.decision import WatchDecision
from adaptwin.live.watching.forecast import Method
from adaptwin.live.watching.watched_round import WatchedRound
from adaptwin.plan.plans import Plans
from adaptwin.report.plan.migration import step_lines
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import NOTHING, count, duration, number, percent
from adaptwin.workload.rates_over_time import DAY, clock_time

SHOWN_LINES = 6  # of failures, notes and steps, each
_KIND_STYLES = {
    "holds": "green",
    "fewer": "cyan",
    "returns": "cyan",
    "change": "yellow",
    "waits": "yellow",
    "unknown": "magenta",
}


def round_text(watched: WatchedRound, *, is_simulated: bool = False) -> Text:
    """Return one round: its time, traffic, forecast and decision in a line, and below it what is worth knowing."""
    decision = watched.decision
    text = Text(f"{clock(watched, is_simulated=is_simulated)}  {traffic_words(watched)}: ")
    text.append(decision_words(watched), style=_KIND_STYLES.get(decision.kind, "bold red"))
    for line in detail_lines(watched):
        text.append(f"\n  {line}")
    return text


def clock(watched: WatchedRound, *, is_simulated: bool) -> str:
    """Return the time of a round; days count from the first one where the time is simulated."""
    end = watched.observed.time
    if not is_simulated:
        return datetime.fromtimestamp(end).strftime("%H:%M:%S")
    days, seconds = divmod(round(end), DAY)
    return f"{days + 1:.0f}d {clock_time(seconds)}"


def traffic_words(watched: WatchedRound) -> str:
    """Say how many requests arrived, and how many are expected."""
    observed, forecast = watched.observed, watched.decision.forecast
    arrived = NOTHING if observed.request_rate is None else number(observed.request_rate)
    expected = number(forecast.request_rate) if forecast else NOTHING
    return f"{arrived} req/s, {expected} expected"


def decision_words(watched: WatchedRound) -> str:
    """Say what was decided."""
    decision, now = watched.decision, watched.running.gpus
    wanted = decision.plans.gpus if decision.plans else now
    words = {
        "holds": f"{count(now, 'GPU')} hold{'s' if now == 1 else ''}{_least_headroom(decision)}",
        "change": f"{count(now, 'GPU')} {'does' if now == 1 else 'do'} not hold; {_wanted_words(watched, wanted)}",
        "fewer": f"{count(now, 'GPU')} are too many; {_wanted_words(watched, wanted)}",
        "waits": f"waits for the plan of {count(wanted, 'GPU')}",
        "returns": f"stays with {count(now, 'GPU')}",
        "unknown": "unknown whether the plan holds",
        "impossible": f"{count(now, 'GPU')} {'does' if now == 1 else 'do'} not hold, and no other plan was found",
    }
    return words[decision.kind]


def _wanted_words(watched: WatchedRound, wanted: int) -> str:
    decision = watched.decision
    restarts = f", {count(decision.restarts, 'restart')}" if decision.restarts else ""
    return f"{wanted:,} with {count(decision.moves, 'move')}{restarts}"


def _least_headroom(decision: WatchDecision) -> str:
    if not decision.outlook or not decision.outlook.headroom:
        return ""
    name, least = min(decision.outlook.headroom.items(), key=lambda each: each[1])
    over = "over " if decision.outlook.is_open(name) else ""
    return f", headroom {over}{percent(least)} ({name})"


def detail_lines(watched: WatchedRound) -> Iterator[str]:
    """Yield what goes wrong, what is not known, and the steps to other plans."""
    decision, observed = watched.decision, watched.observed
    if decision.outlook:
        yield from _first(decision.outlook.failures)
    yield from _first([f"{name} cannot be read: {error}" for name, error in observed.unreadable.items()])
    yield from _first([*observed.notes, *decision.notes])
    if decision.kind in ("change", "fewer") and decision.plans:
        for plan in decision.plans.plans:
            if plan.migration:
                yield from _first(step_lines(plan.migration.steps))
    if watched.change and not watched.change.is_complete:
        yield from _first(list(watched.change.notes))


def _first(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:SHOWN_LINES]
    if len(lines) > SHOWN_LINES:
        yield f"and {len(lines) - SHOWN_LINES} more"


def round_data(watched: WatchedRound) -> dict[str, object]:
    """Return a round as plain data."""
    decision, observed = watched.decision, watched.observed
    outlook = decision.outlook
    return {
        "time": observed.time,
        "seconds": observed.seconds,
        "source": observed.source,
        "requests_per_second": observed.request_rate,
        "forecast": None
        if decision.forecast is None
        else {"method": decision.forecast.method, "requests_per_second": decision.forecast.request_rate},
        "decision": decision.kind,
        "gpus": watched.running.gpus,
        "wanted_gpus": (watched.found or watched.running).gpus,
        "moves": decision.moves,
        "restarts": decision.restarts,
        "failures": list(outlook.failures) if outlook else None,
        "overloaded": list(outlook.overloaded) if outlook else None,
        "servers": {
            name: {
                **{
                    figure: value
                    for figure, value in server._asdict().items()
                    if figure not in ("prompt_tokens", "answer_tokens")
                },
                "expected": _expected_data(watched, name),
                "headroom": outlook.headroom.get(name) if outlook else None,
            }
            for name, server in observed.servers.items()
        },
        "unreadable": dict(observed.unreadable),
        "notes": [*observed.notes, *decision.notes, *(watched.change.notes if watched.change else ())],
        "is_in_place": watched.found is None or bool(watched.change and watched.change.is_complete),
    }


def _expected_data(watched: WatchedRound, name: str) -> dict[str, float] | None:
    run = watched.expected.get(name)
    if run is None or not run.finished:
        return None
    return {"tokens": run.throughput, "ttft": run.ttft.mean, "itl": run.itl.mean}


def first_line(plans: Plans, method: Method, every: float) -> str:
    """Say what is watched, and how the next hour is forecast."""
    how = "the recent maximum of each adapter" + (" and, once watched, yesterday's" if method == "auto" else "")
    return f"watching {count(plans.gpus, 'GPU')} every {duration(every)}; the next hour is taken to be {how}"
