"""Work that takes the place of planning: it does what the fleet of a request says, in a process of its own."""

import os
import tempfile
import time
from pathlib import Path

from adaptwin.web.job import Failure, JobResult, Stage
from adaptwin.web.job_process import Told


def pretend(pipe) -> None:
    """Answer requests: `sleep SECONDS`, `write SECONDS`, which leaves a file, `die`, `fail`, and others at once."""
    while True:
        try:
            asked = pipe.recv().request["fleet"].split()
        except EOFError:
            return
        if asked[0] == "die":
            os._exit(9)
        if asked[0] == "fail":
            pipe.send(Told(failure=Failure("adapters[0].rank", "is wrong", "input")))
            continue
        if asked[0] == "write":
            Path(tempfile.gettempdir(), "left").write_text("data of a client", encoding="utf-8")
        if asked[0] in ("sleep", "write"):
            pipe.send(Told(stage=Stage("sleeping", 0, 1)))
            time.sleep(float(asked[1]))
        pipe.send(Told(result=JobResult({"gpus": 1, "said": asked}, "plan: yes\n", "<p>page</p>")))
