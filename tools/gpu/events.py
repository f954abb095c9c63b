"""Events: everything that is measured, a line at a time, as it comes."""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine_spec import EngineSpec

FILE = "events.jsonl"

Event = dict[str, Any]


class Events:
    """The events of a folder of state, and a copy in the folder of results.

    Several processes may write at a time. A line that was cut off, because its process was killed, is lost alone.
    """

    def __init__(self, state: Path, out: Path) -> None:
        self.paths = tuple(dict.fromkeys([state / FILE, out / FILE]))
        for path in self.paths:
            path.parent.mkdir(parents=True, exist_ok=True)

    def read(self, gpu: str | None = None) -> list[Event]:
        """The events so far; with a GPU, without those that are known to be of another one."""
        return [event for event in read(self.paths[0]) if gpu is None or event.get("gpu", gpu) == gpu]

    def write(self, kind: str, **fields: object) -> None:
        """Append an event to both files."""
        line = json.dumps({"kind": kind, "at": round(time.time(), 2), **fields}).encode() + b"\n"
        for path in self.paths:
            _append(path, line)


def read(path: Path) -> list[Event]:
    """The whole lines of a file; none where there is no file."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue  # cut off
        if isinstance(event, dict) and "kind" in event:
            found.append(event)
    return found


def of_engine(events: Iterable[Event], model: str, spec: EngineSpec) -> list[Event]:
    """The events of one engine, with few CUDA graphs or all."""
    return [e for e in events if e.get("model") == model and EngineSpec.parse(e["engine"]).plain == spec.plain]


def _append(path: Path, line: bytes) -> None:
    """Append in one write, which no other process can interrupt, and not to a line that was cut off."""
    with path.open("ab+", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
