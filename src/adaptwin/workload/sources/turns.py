"""Conversations drawn for the adapters of a synthetic fleet, as timestamps with lengths and prefixes."""

from typing import Any, NamedTuple

import numpy as np

from adaptwin.errors import SpecError
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.sources.arrival_pattern import MOST_REPLAYED
from adaptwin.workload.workload import Adapter, Workload

MOST_CONTEXT = 32_768  # tokens of a conversation, beyond which another begins
MOST_TURNS = 100  # on average
_DECIMALS_OF_TURNS = 4  # of timestamps, in seconds


class ConversationTurns(NamedTuple):
    """Conversations of several turns, each of which sends all that was said before."""

    mean: float  # turns of a conversation, whose number is geometric; 1 to `MOST_TURNS`
    think: float  # mean seconds from the arrival of one turn to that of the next, the time of the answer included


def with_conversations(workload: Workload, turns: ConversationTurns) -> Workload:
    """Return the workload with conversations in place of independent requests, at the same rates.

    Conversations of an adapter begin as a Poisson process, before the window as well, and after each turn the next one
    follows with the same probability, after an exponential time. The prompt of a turn is the prompt and the answer
    before it and a new message, with the lengths of the workload's prompts; a turn that would have over `MOST_CONTEXT`
    tokens begins a new conversation instead. All is drawn from the seed of the workload.

    Raises:
        SpecError: The turns are not 1 to `MOST_TURNS`, the time is not above 0, or there are too many requests.
    """
    if not 1.0 <= turns.mean <= MOST_TURNS:
        raise SpecError(f"{turns.mean:g} must be from 1 to {MOST_TURNS}", "turns")
    if not 0.0 < turns.think < float("inf"):
        raise SpecError(f"{turns.think:g} seconds must be above 0 and finite", "think")
    if (expected := workload.rate * (workload.duration + _seconds_before(turns))) > MOST_REPLAYED:
        raise SpecError(
            f"conversations of {expected:,.0f} requests are too many (at most {MOST_REPLAYED:,}), "
            f"those of the {_seconds_before(turns):,.0f} s before the window among them",
            "turns",
        )
    adapters = tuple(
        adapter.model_copy(update=_drawn_turns(workload, adapter, turns)) if adapter.rate > 0 else adapter
        for adapter in workload.adapters
    )
    return workload.model_copy(update={"adapters": adapters})


def _drawn_turns(workload: Workload, adapter: Adapter, turns: ConversationTurns) -> dict[str, Any]:
    """Return timestamps, lengths and prefixes of an adapter."""
    generator = np.random.default_rng(stream_seed(workload.seed, adapter.name, "conversations"))
    lengths = workload.lengths_of(adapter)
    before = _seconds_before(turns)
    seconds = workload.duration + before
    begun = np.sort(generator.random(generator.poisson(adapter.rate / turns.mean * seconds))) * seconds - before
    time: list[float] = []
    rows: list[tuple[int, int, int, int]] = []  # prompt, answer, row of the turn before, and its tokens
    for start in begun.tolist():
        _append_conversation(generator, lengths, turns, start, workload.duration, time, rows)
    order = np.argsort(time, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    scale = 10.0**_DECIMALS_OF_TURNS
    chosen = [rows[r] for r in order]
    return {
        "arrivals": tuple((np.floor(np.array(time)[order] * scale) / scale).tolist()),
        **({"lengths": Lengths.empirical([(prompt, answer) for prompt, answer, _, _ in chosen])} if chosen else {}),
        "prefixes": tuple((int(place[before]), shared) if before >= 0 else (-1, 0) for _, _, before, shared in chosen),
        "templates": None,
    }


def _seconds_before(turns: ConversationTurns) -> float:
    """Seconds before the window in which nearly all conversations begin that go on in it."""
    return 10.0 * turns.mean * turns.think


def _append_conversation(
    generator: np.random.Generator,
    lengths: Lengths,
    turns: ConversationTurns,
    start: float,
    end: float,
    time: list[float],
    rows: list[tuple[int, int, int, int]],
) -> None:
    """Append the turns of a conversation that come inside the window, which begins at 0."""
    table, now, said, before = lengths.table(), start, 0, -1
    while now < end:
        prompt_row = int(generator.integers(len(table.input)))
        answer_row = prompt_row if table.joint else int(generator.integers(len(table.output)))
        message, answer = int(table.input[prompt_row]), int(table.output[answer_row])
        if said + message + answer > MOST_CONTEXT:
            said, before = 0, -1
        prompt = said + message
        if now >= 0.0:
            time.append(now)
            rows.append((prompt, answer, before, said if before >= 0 else 0))
            before = len(rows) - 1
        said = prompt + answer
        if generator.random() * turns.mean < 1.0:
            return
        now += float(generator.exponential(turns.think))
