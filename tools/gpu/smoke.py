"""smoke: a tiny server with two slots, to see whether adapters are at work and steps are timed."""

import json
from typing import Any

from driver import Driver
from engine_spec import EngineSpec
from events import Events
from machine import machine
from options import Options
from points import Step
from saying import say
from start_facts import start_facts
from surroundings import prepare
from timed_steps import time_step

PROMPT, ANSWER = 40, 12  # tokens
STEP = Step(8, 512, adapters=2)


def smoke(spec: EngineSpec, options: Options) -> int:
    """Ask the base model and adapters the same thing, and time a step; fails where a server does not work."""
    prepare(options)
    driver = Driver("tiny", spec, options._replace(tiny=True))
    facts = start_facts(driver)
    say("facts", json.dumps(facts))
    if problem := driver.fill(weights=True):
        say("could not fill with random numbers:", problem)
    one, other = driver.adapter(16, 0), driver.adapter(8, 1)
    answers = [_answer(driver, adapter) for adapter in (None, one, one, other)]
    say("answers", answers)
    assert all(len(words) == ANSWER for words in answers), "wrong number of tokens"
    same, differs = answers[1] == answers[2], answers[0] != answers[1]
    told = time_step(driver, STEP)
    assert told, "no step was timed"
    say("step", {name: value for name, value in told.items() if name != "all"})
    Events(options.state, options.out).write(
        "smoke", engine=spec.word, same=same, differs=differs, **machine(options), **facts
    )
    say("smoke test passed" + ("" if same and differs else ": BUT the answers do not show the adapters at work"))
    return 0


def _answer(driver: Driver, adapter: Any) -> list[int]:
    request, words = driver.add(PROMPT, ANSWER, adapter=adapter), []
    while driver.alive:
        outputs, _ = driver.step()
        words += [word for output in outputs if output.request_id == request for word in output.new_token_ids]
    return words
