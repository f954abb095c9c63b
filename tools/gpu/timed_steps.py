"""time_step: the median time of a step with given contents."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from driver import Driver
from points import ANSWER, Step
from step_contents import TimedStep

WARM, REPEATS, FEWEST = 4, 24, 6  # steps that are left out, that are timed, and at least
LONGEST = 2.5  # seconds after which the fewest suffice
MOST_TURNS = 400
BETWEEN_PROMPTS = 3  # turns from one prompt to the next, where there are decodes

TIMES = ("seconds", "planning", "update")


def time_step(driver: Driver, step: Step) -> dict[str, Any] | None:
    """Mean contents and median times of like steps; None where no step had these contents."""
    adapters = driver.adapters(step.rank or driver.spec.max_lora_rank, step.adapters) if step.adapters else []
    try:
        with _room_for(driver.scheduler, step):
            _stand(driver, step, adapters)
            taken = _take(driver, step, adapters)
            rows = [driver.contents(each) for each in taken if each.tokens == step.tokens]
    finally:
        driver.drain()
    rows = [row for row in rows if row["waiting"] >= step.waiting][WARM:]
    return _summary(rows) if rows else None


@contextmanager
def _room_for(scheduler: Any, step: Step) -> Iterator[None]:
    """Let further requests wait, and let each step take just the prompts it should."""
    room, budget = scheduler.max_num_running_reqs, scheduler.max_num_scheduled_tokens
    if step.waiting and not step.deferred:
        scheduler.max_num_running_reqs = step.decodes
    if step.prompts and not step.decodes:
        scheduler.max_num_scheduled_tokens = step.tokens
    try:
        yield
    finally:
        scheduler.max_num_running_reqs, scheduler.max_num_scheduled_tokens = room, budget


def _stand(driver: Driver, step: Step, adapters: list[Any]) -> None:
    """Add the decodes, and the requests that wait."""
    for index in range(step.decodes):
        adapter = _dealt(step, adapters, index)
        driver.add(step.context + 1, ANSWER, computed=step.context, adapter=adapter)
    without_slot = driver.adapter(driver.spec.max_lora_rank, step.adapters) if step.deferred else None
    for _ in range(step.waiting):
        driver.add(64, 1, adapter=without_slot)


def _take(driver: Driver, step: Step, adapters: list[Any]) -> list[TimedStep]:
    """Take steps until there are enough with the right number of tokens; prompts come in on the way."""
    taken: list[TimedStep] = []
    alike, prompted, began = 0, -BETWEEN_PROMPTS, time.perf_counter()
    for turn in range(MOST_TURNS):
        late = time.perf_counter() - began > LONGEST
        if alike >= WARM + (FEWEST if late else REPEATS):
            break
        if not driver.alive and not step.prompts:
            break  # all answers are complete
        if _prompts_are_due(driver, step, turn, prompted):
            prompted = turn
            for index in range(step.prompts):
                adapter = _dealt(step, adapters, index)
                driver.add(step.behind + step.chunk, 1, computed=step.behind, adapter=adapter)
        _, record = driver.step()
        if record:
            taken.append(record)
            alike += record.tokens == step.tokens
    return taken


def _prompts_are_due(driver: Driver, step: Step, turn: int, prompted: int) -> bool:
    if not step.prompts:
        return False
    if not step.decodes:
        return len(driver.alive) < 3 * step.prompts  # they queue
    return turn > BETWEEN_PROMPTS and turn - prompted >= BETWEEN_PROMPTS


def _dealt(step: Step, adapters: list[Any], index: int) -> Any:
    """The adapter of a request; None for the base model."""
    if not adapters or (step.base_too and index % 2):
        return None
    return adapters[index // (1 + step.base_too) % len(adapters)]


def _summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Means of the contents, medians of the times, and all times of the steps."""
    seconds = sorted(row["seconds"] for row in rows)
    tenth = len(seconds) // 10
    return {
        **{name: round(statistics.fmean(row[name] for row in rows), 3) for name in rows[0] if name not in TIMES},
        **{name: statistics.median(row[name] for row in rows) for name in TIMES},
        "mean": statistics.fmean(seconds),
        "low": seconds[tenth],
        "high": seconds[-1 - tenth],
        "count": len(seconds),
        "all": [round(value, 6) for value in seconds],
    }
