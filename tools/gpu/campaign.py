"""Campaign: engine after engine, most telling first, until the time is up."""

import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from check import known_mode
from engine_spec import EngineSpec
from events import Event, Events, of_engine
from options import Options
from saying import say
from stage import Stage

PLAN = (
    "llama-3.1-8b:64x16 llama-3.1-8b:0 llama-3.1-8b:16x64 llama-3.1-8b:16x16 llama-3.1-8b:128x16 "
    "llama-3.1-8b:64x16+sync qwen-2.5-7b:64x16 qwen-2.5-7b:0 llama-3.1-8b:64x16+active qwen-2.5-7b:16x64"
)
START_SECONDS, START_SECONDS_ON_CPU = 75.0, 20.0  # an engine is not started with less time than that left
FIRST_SHARE, SHARE, RUNS_SHARE = 200.0, 150.0, 240.0  # seconds of an engine; of one that also plays whole runs
GRACE, LAST_GRACE = 20.0, 8.0  # seconds after an engine's deadline, and after all time is up, when a worker is ended
MOST_TRIES, MOST_FAILURES = 3, 4  # starts of an engine; engines that did not start, before none is tried again
STILL_BUSY = "Free memory on device"  # vLLM's words where the last engine's memory is not given back yet
TAIL = 2000  # characters of a log that an event keeps


class Choices(NamedTuple):
    """What is asked of a campaign."""

    plan: str = PLAN  # MODEL:ENGINE ..., most telling first
    budget: float = 400.0  # seconds
    pace: float = 1.0  # factor on the time that each engine gets
    all_graphs: bool = False  # every engine captures all CUDA graphs, not only the first one
    runs: bool = True
    only: int = 0  # this many steps of each engine, and no runs; 0: all


class Turn(NamedTuple):
    """An engine that waits for its turn."""

    model: str
    spec: EngineSpec
    tries: int = 0


class Worker(NamedTuple):
    """A process that has imported everything, and waits to be told until when it may measure."""

    turn: Turn
    stage: Stage
    go: Path
    started: Path

    @property
    def has_started(self) -> bool:
        """Whether its engine has started."""
        return self.started.is_file()


class Campaign:
    """The engines of a plan, those that wait and the two at most that have a process."""

    def __init__(self, options: Options, choices: Choices) -> None:
        self.options, self.choices = options, choices
        self.events = Events(options.state, options.out)
        mode = known_mode(options.state)
        self.gpu = mode.gpu if mode else None
        known = self.events.read(self.gpu)
        self.queue = queue_of(choices.plan, mode.flags if mode else (), known)
        self.few = any(event["kind"] == "start" for event in known)  # one engine has all CUDA graphs; others need few
        self.least = START_SECONDS_ON_CPU if options.cpu else START_SECONDS
        self.until = time.time() + choices.budget
        self.ahead: Worker | None = None  # imports while another one measures
        self.number = self.failures = 0

    def run(self) -> int:
        """Measure until the time is up; returns the exit code."""
        began = time.time()
        try:
            while self.queue and self.until - time.time() > self.least:
                self._play(self.queue.popleft())
        finally:
            self._end_ahead()
        left = [f"{turn.model}:{turn.spec.word}" for turn in self.queue]
        say(f"{time.time() - began:.0f} s; not begun: {left or 'none'}")
        return 0

    def _play(self, turn: Turn) -> None:
        """Give an engine its share of the time."""
        share = FIRST_SHARE if self.number == 0 else RUNS_SHARE if self._plays_runs(turn) else SHARE
        deadline = min(self.until, time.time() + share * self.choices.pace)
        worker = self._worker(turn)
        self.number += 1
        _tell(worker.go, str(deadline))
        say(f"{turn.model} {turn.spec.word}: until {time.strftime('%H:%M:%S', time.localtime(deadline))}")
        try:
            code = worker.stage.wait(
                min(self.until + LAST_GRACE, deadline + GRACE), lambda: self._look_ahead(worker, deadline)
            )
        finally:
            worker.stage.end()
        self._report(worker, code)
        self.few = self.few or worker.has_started
        if code not in (0, None) and not worker.has_started:
            self._try_again(worker)

    def _plays_runs(self, turn: Turn) -> bool:
        return self.choices.runs and 0 < turn.spec.max_loras <= 16 and not turn.tries

    def _worker(self, turn: Turn) -> Worker:
        """The worker for a turn: the one that imported ahead, or a new one."""
        if self.ahead and self.ahead.turn == turn:
            worker, self.ahead = self.ahead, None
            return worker
        self._end_ahead()
        return self._start(turn, few=self.few)

    def _look_ahead(self, worker: Worker, deadline: float) -> None:
        """Once an engine has started, let the worker of the next one import what it needs."""
        worth = self.until - deadline > self.least
        if worker.has_started and not self.ahead and self.queue and worth and not self.options.cpu:
            self.ahead = self._start(self.queue[0], few=True)

    def _end_ahead(self) -> None:
        if self.ahead:
            self.ahead.stage.end()
        self.ahead = None

    def _start(self, turn: Turn, *, few: bool) -> Worker:
        signs = self.options.state / "signs"
        signs.mkdir(exist_ok=True)
        stamp = f"{time.time_ns()}"
        go, started = signs / f"{stamp}.go", signs / f"{stamp}.started"
        begun_with_all = any(
            event["kind"] == "start" and event["engine"] == turn.spec.word
            for event in of_engine(self.events.read(self.gpu), turn.model, turn.spec)
        )
        few = few and not self.choices.all_graphs and not begun_with_all and "eager" not in turn.spec.flags
        spec = turn.spec.with_flags("few") if few else turn.spec
        words = ["worker", "--model", turn.model, "--engine", spec.word, "--wait", str(go), "--started", str(started)]
        words += ["--no-runs"] * (not self.choices.runs) + ["--only", str(self.choices.only)]
        return Worker(turn, Stage(self.options, f"{turn.model}-{spec.word}", words), go, started)

    def _report(self, worker: Worker, code: int | None) -> None:
        turn = worker.turn
        told = of_engine(self.events.read(self.gpu), turn.model, turn.spec)
        steps, runs = (sum(event["kind"] == kind for event in told) for kind in ("step", "run"))
        say(f"{turn.model} {turn.spec.word}: exit {code}, {steps} steps, {runs} runs")
        for problem in [event for event in told if event["kind"] == "problem"][-5:]:
            say("  problem:", problem["name"], problem["what"])
        if code != 0:
            say(worker.stage.tail)
            gpu = {"gpu": self.gpu} if self.gpu else {}
            self.events.write(
                "failure", model=turn.model, engine=turn.spec.word, **gpu, code=code, tail=worker.stage.tail[-TAIL:]
            )

    def _try_again(self, worker: Worker) -> None:
        """Let an engine that did not start have another try: as it was where memory was busy, else with less."""
        turn = worker.turn
        self.failures += 1
        spec = turn.spec if STILL_BUSY in worker.stage.text else turn.spec.fallback
        if spec and turn.tries + 1 < MOST_TRIES and self.failures < MOST_FAILURES:
            self.queue.appendleft(Turn(turn.model, spec, turn.tries + 1))


def queue_of(plan: str, flags: Iterable[str], known: Iterable[Event]) -> deque[Turn]:
    """The engines of a plan that are not complete, those that were begun last."""
    known = [event for event in known if "model" in event]
    queue = []
    for word in plan.split():
        model, _, engine = word.partition(":")
        turn = Turn(model, EngineSpec.parse(engine).with_flags(*flags))
        kinds = {event["kind"] for event in of_engine(known, model, turn.spec)}
        if "engine_done" not in kinds:
            queue.append(("step" in kinds, turn))
    return deque(turn for _, turn in sorted(queue, key=lambda each: each[0]))


def _tell(path: Path, text: str) -> None:
    """Write a file that is whole as soon as it is there."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.rename(path)
