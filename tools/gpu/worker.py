"""work: one engine from start to end, and everything that is measured on it."""

import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from driver import Driver
from engine_spec import EngineSpec
from events import Events, of_engine
from machine import machine
from open_loops import OpenLoop, open_loops
from options import Options
from played_runs import play
from points import Step, steps
from saying import say
from start_facts import server_of, start_facts
from surroundings import prepare
from timed_loads import time_loads
from timed_steps import time_step

LOADS = "loads"
SPARE, SPARE_AFTER_RUN = 3.0, 5.0  # seconds before the deadline in which nothing is begun
UNUSABLE = 3  # exit code: the GPU gave an error, after which a process can do nothing more
FATAL = ("CUDA", "out of memory")  # words of such errors

Item = Step | OpenLoop | str


class Work(NamedTuple):
    """What a worker is to do."""

    model: str
    spec: EngineSpec
    wait: Path | None = None  # the file that says, when it comes, until what time of day
    started: Path | None = None  # the file to write when the engine has started
    runs: bool = True  # open loops too
    only: int = 0  # this many steps and no runs; 0: all


def work(what: Work, options: Options) -> int:
    """Start an engine, and measure until all is done or the time is up; events come as they are measured."""
    prepare(options)
    began = time.perf_counter()
    from vllm import EngineArgs, LLMEngine  # noqa: F401 - while another engine may still be measuring

    imported = time.perf_counter() - began
    events, deadline = Events(options.state, options.out), _deadline(what.wait)
    say("starting", what.model, what.spec.word)
    card = machine(options)
    key = {"model": what.model, "engine": what.spec.word, "gpu": card["gpu"]}
    driver = Driver(what.model, what.spec, options)
    server = {"max_loras": what.spec.max_loras, "max_lora_rank": what.spec.max_lora_rank, **start_facts(driver)}
    events.write("start", **{**card, **key, **server}, import_seconds=imported)
    if what.started:
        what.started.write_text("started")
    say(f"started in {driver.start_seconds:.0f} s, {server['kv_cache_tokens']:,} KV tokens, {server['backends']}")
    if problem := driver.fill():
        events.write("problem", **key, name="fill", what=problem)
        say("could not fill with random numbers:", problem)
    driver.drain()
    earlier = of_engine(events.read(card["gpu"]), what.model, what.spec)
    return _measure(driver, _left(_items(driver, what), earlier), events, key, server, deadline)


def _deadline(wait: Path | None) -> float:
    """The time of day at which the work must end, once it may begin."""
    if wait is None:
        return float("inf")
    while not wait.is_file():
        time.sleep(0.1)
    return float(wait.read_text())


def _items(driver: Driver, what: Work) -> list[Item]:
    """Everything that is measured on an engine: loads and runs come before the last third of the steps."""
    points: Sequence[Step] = steps(what.spec, driver.limits)
    if what.only:
        points = points[: what.only]
    if not what.spec.max_loras:
        return [*points]
    runs = open_loops(what.spec, tiny=driver.options.tiny or driver.options.cpu) if what.runs and not what.only else []
    most = len(points) * 2 // 3
    return [*points[:most], LOADS, *runs, *points[most:]]


def _left(items: list[Item], earlier: list[dict[str, Any]]) -> list[Item]:
    """The items that were not measured yet; those that failed come last."""
    done = {event["name"] for event in earlier if event["kind"] in ("step", "run", "stage")}
    failed = {event["name"] for event in earlier if event["kind"] == "problem"}
    left = [item for item in items if _name(item) not in done]
    return sorted(left, key=lambda item: _name(item) in failed)


def _name(item: Item) -> str:
    return item if isinstance(item, str) else item.name


def _measure(
    driver: Driver, items: list[Item], events: Events, key: dict[str, str], server: dict[str, Any], deadline: float
) -> int:
    """Measure item after item until the deadline; the exit code."""
    left_out = False
    for item in items:
        name, left = _name(item), deadline - time.time()
        if left < (item.seconds + SPARE_AFTER_RUN if isinstance(item, OpenLoop) else SPARE):
            left_out = True
            continue
        try:
            kind, fields = _measured(driver, item, server, deadline)
            _write_loads(driver, events, key)
            events.write(kind, **key, name=name, **fields)
            say(f"{name}:", _in_words(kind, fields))
        except Exception as error:
            events.write("problem", **key, name=name, what=f"{type(error).__name__}: {error}"[:300])
            say("problem", name, traceback.format_exc(limit=6))
            if any(word in str(error) for word in FATAL):
                return UNUSABLE
            driver.drain()
    if not left_out:
        events.write("engine_done", **key)
    say("done")
    return 0


def _measured(driver: Driver, item: Item, server: dict[str, Any], deadline: float) -> tuple[str, dict[str, Any]]:
    """Kind and fields of the event that an item becomes."""
    if isinstance(item, OpenLoop):
        return "run", {"server": server_of(server), **play(driver, item, deadline)}
    if isinstance(item, str):
        time_loads(driver)
        return "stage", {}
    told = time_step(driver, item)
    if told is None:
        return "problem", {"what": "no step had these contents"}
    of_engine = {name: server[name] for name in ("max_loras", "max_lora_rank")}
    return "step", {**of_engine, "async": server["async_scheduling"], "asked": item._asdict(), **told}


def _write_loads(driver: Driver, events: Events, key: dict[str, str]) -> None:
    for load in driver.loads():
        events.write("load", **key, max_lora_rank=driver.spec.max_lora_rank, **load)


def _in_words(kind: str, fields: dict[str, Any]) -> str:
    if kind == "step":
        return (
            f"{1e3 * fields['seconds']:.2f} ms x{fields['count']}, planning {1e6 * fields['planning']:.0f} us, "
            f"{fields['tokens']:g} tokens"
        )
    if kind == "run":
        figures = fields["measured"].items()
        return ", ".join(f"{name} {value:.4g}" for name, value in figures if value is not None)
    return fields.get("what", "done")
