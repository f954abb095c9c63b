"""The web app as people have it: `adaptwin serve` in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

FLEET = "name,rank,rate\n" + "".join(f"tenant-{place:02d},{(8, 16, 32)[place % 3]},0.3\n" for place in range(20))
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
PATIENCE = 600.0  # seconds, for a plan on a busy machine


class App:
    """A server that was started, and its address."""

    def __init__(self, database: Path, *words: str, token: str | None = None) -> None:
        command = [sys.executable, "-m", "adaptwin", "serve", "--port", "0", "--database", str(database), "--json"]
        environment = {name: value for name, value in os.environ.items() if name != "ADAPTWIN_TOKEN"}
        if token is not None:
            environment["ADAPTWIN_TOKEN"] = token
        self.process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]

    def call(self, path: str, body: Any = None) -> Any:
        """Call the API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read())

    def planned(self, fleet: str = FLEET, **asked: Any) -> str:
        """Ask for a plan, wait until it has ended, and return its name."""
        plan_id = self.call("/v1/plans", {"fleet": fleet, "format": "csv", "profile": PROFILE, **asked})["id"]
        job = self.until(plan_id, "done", "failed", "cancelled")
        assert job["state"] == "done", job
        return plan_id

    def until(self, plan_id: str, *states: str) -> dict[str, Any]:
        """Wait until a plan is in one of these states, and return it."""
        deadline = time.monotonic() + PATIENCE
        while (job := self.call(f"/v1/plans/{plan_id}"))["state"] not in states:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return job

    def stop(self) -> None:
        """End the server in good order."""
        self.process.terminate()
        assert self._ended() == 128 + signal.SIGTERM

    def kill(self) -> None:
        """End the server with ``kill -9``."""
        self.process.kill()
        self._ended()

    def _ended(self) -> int:
        code = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code
