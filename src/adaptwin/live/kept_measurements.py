"""KeptMeasurements: everything that was measured of a server, kept as it comes."""

import json
from pathlib import Path
from typing import Any

from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.errors import SpecError
from adaptwin.live.measured_server import MeasuredServer
from adaptwin.live.micro_benchmark import MicroBenchmark
from adaptwin.live.micro_result import MicroResult
from adaptwin.profile.profile import Profile
from adaptwin.spec import read_text
from adaptwin.writing import write_atomically

KEPT_FILE = "measured.json"  # from which the tables are made


class KeptMeasurements:
    """Everything that was measured of a server, in a file that is written after every result."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._file = folder, folder / KEPT_FILE
        self._data: dict[str, Any] = {"server": {}, "results": [], "runs": []}
        if self._file.is_file():
            try:
                self._data |= dict(json.loads(read_text(self._file)))
            except (ValueError, TypeError) as error:
                raise SpecError(f"cannot be read: {error}", file=self._file) from None

    def require_same(self, profile: Profile, server: MeasuredServer) -> None:
        """Raise `SpecError` if the file is of another server; else note what this one is."""
        facts = {
            "base": server.base,
            "vllm_version": server.vllm_version,
            "profile": profile.name,
            "settings": server.server.model_dump(mode="json", exclude_defaults=True),
        }
        for name, value in self._data["server"].items():
            if facts.get(name) != value:
                what = f"holds measurements of a server with {name} {value}, and this one has {facts.get(name)}"
                raise SpecError(f"{what}: use another folder", file=self._folder)
        self._data["server"] = facts

    def add(self, result: MicroResult) -> None:
        """Keep a result."""
        self._data["results"].append(result._asdict())
        self._write()

    def add_run(self, run: MeasuredRun) -> None:
        """Keep a run."""
        self._data["runs"].append(run.file_form())
        self._write()

    def results(self) -> list[MicroResult]:
        """All results of micro-benchmarks, in the order in which they came."""
        return [MicroResult(**row) for row in self._data["results"]]

    def runs(self) -> list[MeasuredRun]:
        """All runs."""
        return [MeasuredRun.parse(row, self._file) for row in self._data["runs"]]

    def count(self, micro: MicroBenchmark) -> int:
        """How often a micro-benchmark was run."""
        return sum(row["name"] == micro.name for row in self._data["results"])

    def next_prompt(self) -> int:
        """The number of the next prompt, so that no two requests are alike."""
        return 1000 * len(self._data["results"])

    def _write(self) -> None:
        write_atomically(self._file, json.dumps(self._data, indent=1) + "\n")
