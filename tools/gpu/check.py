"""check: find the mode in which this machine serves, and remember it."""

import json
import time
from pathlib import Path
from typing import NamedTuple

from engine_spec import MODES, EngineSpec
from events import Events
from options import Options
from saying import say
from stage import Stage

KERNELS_WITHIN, SMOKE_WITHIN, SPARE = 60.0, 110.0, 15.0  # seconds
TAIL = 1500  # characters of a log that an event keeps
NO_KERNELS = 2  # exit code: vLLM's kernels do not run, and part2 may help
SMOKE = EngineSpec.parse("2x16+few")


class Mode(NamedTuple):
    """What was found out about this machine."""

    flags: tuple[str, ...] = ()  # with which engines start
    gpu: str | None = None


def known_mode(state: Path) -> Mode | None:
    """The mode that was found earlier."""
    path = _file(state)
    if not path.is_file():
        return None
    told = json.loads(path.read_text())
    return Mode(tuple(told["flags"]), told["gpu"])


def check(options: Options, budget: float) -> int:
    """Find the mode in which this machine serves: 0 where one was found, 2 where the kernels do not run, else 1."""
    until, events = time.time() + budget, Events(options.state, options.out)
    if mode := known_mode(options.state):
        say("mode known:", "+".join(mode.flags) or "default", "on", mode.gpu)
        return 0
    if not (options.cpu or options.rehearse) and not _kernels_run(options, events, until):
        return NO_KERNELS
    for flags in MODES:
        spec = SMOKE.with_flags(*flags)
        if _smoke_passes(spec, options, events, until):
            gpu = [event["gpu"] for event in events.read() if event["kind"] == "smoke"][-1]
            _file(options.state).write_text(json.dumps({"flags": flags, "gpu": gpu}))
            return 0
        if time.time() > until - SPARE:
            break
    return 1


def _file(state: Path) -> Path:
    return state / "mode.json"


def _kernels_run(options: Options, events: Events, until: float) -> bool:
    """Whether vLLM's kernels run, as far as is known: without another library, or an answer in time, we go on."""
    stage = Stage(options, "kernels", ["kernels"])
    code = stage.wait(min(until, time.time() + KERNELS_WITHIN))
    failed = "gave no answer in time" if code is None else f"failed ({code})"
    say("kernels", "ok" if code == 0 else f"{failed}\n{stage.tail}")
    events.write("check", what="kernels", code=code, tail="" if code == 0 else stage.tail[-TAIL:])
    return code in (0, None) or not (options.state / "part2.available").is_file()


def _smoke_passes(spec: EngineSpec, options: Options, events: Events, until: float) -> bool:
    stage, began = Stage(options, f"smoke-{spec.word}", ["smoke", "--engine", spec.word]), time.time()
    code = stage.wait(min(until, began + SMOKE_WITHIN))
    seconds = time.time() - began
    say(f"smoke {spec.word}:", "passed" if code == 0 else f"failed ({code})", f"in {seconds:.0f} s")
    events.write("check", what=spec.word, code=code, seconds=seconds, tail="" if code == 0 else stage.tail[-TAIL:])
    if code != 0:
        say(stage.tail)
    return code == 0
