"""Work that takes the place of planning: it does what the fleet of a request says, in a process of its own."""

import os
import time

from adaptwin.web.job import Failure, Result, Stage
from adaptwin.web.job_process import Told


def pretend(pipe) -> None:
    """Answer requests: `sleep SECONDS`, `die`, `fail`, and everything else at once."""
    while True:
        try:
            asked = pipe.recv()["fleet"].split()
        except EOFError:
            return
        if asked[0] == "die":
            os._exit(9)
        if asked[0] == "fail":
            pipe.send(Told(failure=Failure("adapters[0].rank", "is wrong", "input")))
            continue
        if asked[0] == "sleep":
            pipe.send(Told(stage=Stage("sleeping", 0, 1)))
            time.sleep(float(asked[1]))
        pipe.send(Told(result=Result({"gpus": 1, "said": asked}, "plan: yes\n", "<p>page</p>")))
