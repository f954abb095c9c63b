"""File kinds: what kind of file was given by mistake."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import SpecError

_HEAD_BYTES = 4096
_MOST_BYTES = 1 << 24  # looked at; surrogates have less than a megabyte


class FileKind(NamedTuple):
    """A kind of file or folder: its name, with the article."""

    name: str


PLAN = FileKind("a plan")
PLANS = FileKind("a plan for several base models")
SCHEDULE = FileKind("a schedule of plans")
FLEET = FileKind("a fleet")
PROFILE = FileKind("a profile")
RUN = FileKind("a simulated run")
MEASURED_RUN = FileKind("a measured run")
REPLAY = FileKind("the results of a replay")
ROUTES = FileKind("a routes file")
SERVERS = FileKind("a servers file")
SURROGATE = FileKind("a surrogate")
DESIGN = FileKind("a design of a sweep")
SETUP = FileKind("the setup of a folder of measurements")
MEASUREMENTS = FileKind("a folder of measurements")
RUNS = FileKind("a folder of runs")
PEFT_ADAPTER = FileKind("the configuration of a PEFT adapter")
PEFT_FOLDER = FileKind("a folder of PEFT adapters")
ADAPTERS_CSV = FileKind("a CSV of adapters")
RATES_CSV = FileKind("a CSV of rates over time")
TRACE = FileKind("a request trace")
LOG = FileKind("a request log")
BENCH = FileKind("a result of a benchmark")
SERVER_FILE = FileKind("a log, a benchmark result or a page of metrics of a server")
PAGE = FileKind("an HTML page")
SCRIPT = FileKind("a script")
PARQUET = FileKind("a Parquet file")
MODEL = FileKind("the config.json of a model")
ARCHIVE = FileKind("an Excel workbook or a ZIP archive")
GZIP = FileKind("a file compressed with gzip")
PDF = FileKind("a PDF")
IMAGE = FileKind("an image")
WEIGHTS_FILE = FileKind("a file of weights")


class WrongKind(SpecError):
    """A file of another kind than expected.

    Args:
        kind: The kind of the file.
        expected: The kind that was expected.
        file: The file.
    """

    def __init__(self, kind: FileKind, expected: FileKind, file: str | Path) -> None:
        self.kind, self.expected = kind, expected
        super().__init__(f"this is {kind.name}, not {expected.name}", file=file)


_BY_KEYS: tuple[tuple[FileKind, tuple[str, ...]], ...] = (  # by keys of the file, the likeliest kind first
    (PLAN, ("servers", "lower_bound", "workload")),
    (PLANS, ("plans",)),
    (SCHEDULE, ("entries", "static_plan")),
    (ROUTES, ("routes",)),
    (SURROGATE, ("trees", "region")),
    (PROFILE, ("memory", "step_cost")),
    (RUN, ("offered_throughput", "mean_running")),
    (REPLAY, ("runs", "client")),
    (MEASURED_RUN, ("workload", "throughput")),
    (PEFT_ADAPTER, ("peft_type",)),
    (MODEL, ("architectures", "model_type")),
    (TRACE, ("timestamp", "input_length", "output_length")),
    (LOG, ("model", "prompt_tokens")),
    (LOG, ("model", "usage")),
    (BENCH, ("request_throughput", "completed")),
    (BENCH, ("avg_latency", "latencies")),
    (BENCH, ("elapsed_time", "num_requests")),
    (BENCH, ("load_summary", "successes")),
    (BENCH, ("benchmarks",)),
    (DESIGN, ("profiles", "sampler")),
    (SETUP, ("vllm_version", "gpu_gib")),
    (FLEET, ("adapters",)),
    (DESIGN, ("profiles", "adapters")),  # may as well be a fleet with a misspelt key
)
_BY_COLUMNS: tuple[tuple[FileKind, tuple[str, ...]], ...] = (  # of CSV files, in lower case
    (RATES_CSV, ("start", "name", "rate")),
    (RATES_CSV, ("name", "00:00", "01:00")),
    (RATES_CSV, ("name", "0", "1")),
    (ADAPTERS_CSV, ("name", "rank")),
    (TRACE, ("timestamp", "contexttokens")),
    (TRACE, ("timestamp_ms", "input_length")),
    (TRACE, ("timestamp", "request tokens")),
    (LOG, ("starttime", "prompt_tokens")),
    (LOG, ("model", "prompt_tokens")),
    (LOG, ("model", "input_tokens")),
)
_BY_BEGINNING: tuple[tuple[FileKind, bytes], ...] = (
    (PAGE, b"<!doctype html"),
    (PAGE, b"<html"),
    (SCRIPT, b"#!"),
    (LOG, b"info 0"),
    (LOG, b"info 1"),
    (PARQUET, b"par1"),
    (ARCHIVE, b"pk\x03\x04"),
    (GZIP, b"\x1f\x8b"),
    (PDF, b"%pdf-"),
    (IMAGE, b"\x89png"),
    (IMAGE, b"\xff\xd8\xff"),
)
_SERVER_LINE = rb"""[^\s#:]+:\s*(?:\{?\s*url:\s*)?["']?https?://"""  # NAME: URL, or NAME: {url: URL
_WEIGHTS_HEAD = rb"[\s\S]{6}\x00\x00\{"  # of safetensors: the length of the header, then JSON
_BY_CONTENTS: tuple[tuple[FileKind, str], ...] = (  # of folders
    (MEASUREMENTS, "setup.yaml"),
    (RUNS, "design.yaml"),
    (PEFT_FOLDER, "adapter_config.json"),
    (PEFT_FOLDER, "*/adapter_config.json"),
)


def recognised(error: SpecError, path: str | Path, *expected: FileKind) -> SpecError:
    """Return the error that names the kind of a file, if it is not the kind expected, and else the error as it is.

    Args:
        error: The error that reading the file met.
        path: The file, or folder.
        expected: What the file should have been; with several kinds, the first is named.
    """
    kinds = kinds_of(path)
    if not kinds or kinds[0] in expected or (kinds[0] == FLEET and not set(expected).isdisjoint(kinds)):
        return error
    return WrongKind(kinds[0], expected[0], path)


def kinds_of(path: str | Path) -> list[FileKind]:
    """Return the kinds that a file or folder may be, the likeliest first; none where it is unknown or unreadable."""
    path = Path(path)
    try:
        if path.is_dir():
            return list(_kinds_of_folder(path))
        if not path.is_file():  # a pipe cannot be read twice
            return []
        with path.open("rb") as file:
            return list(_kinds_of_file(file.read(_MOST_BYTES)))
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return []


def _kinds_of_folder(path: Path) -> Iterator[FileKind]:
    return (kind for kind, pattern in _BY_CONTENTS if any(path.glob(pattern)))


def _kinds_of_file(content: bytes) -> Iterator[FileKind]:
    """All kinds of which the content may be, the likeliest first."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    head = content[:_HEAD_BYTES].lstrip().lower()
    yield from (kind for kind, beginning in _BY_BEGINNING if head.startswith(beginning))
    if re.match(_WEIGHTS_HEAD, head):
        yield WEIGHTS_FILE
    keys = _keys_in(content)
    yield from (kind for kind, needed in _BY_KEYS if keys.issuperset(needed))
    header = head.replace(b"\r", b"\n").split(b"\n")[0].decode(errors="replace")
    if re.match(_SERVER_LINE, head):
        yield SERVERS
    columns = {column.strip().strip('"') for column in re.split("[,;\t]", header)}
    yield from (kind for kind, needed in _BY_COLUMNS if columns.issuperset(needed))


def _keys_in(content: bytes) -> set[str]:
    """The keys of a mapping in JSON, or of the first one in JSON lines, or those in YAML, which may be damaged.

    In YAML, they are the words at the beginning of a line.
    """
    if content.lstrip().startswith(b"{"):
        for text in (content, content.lstrip().split(b"\n")[0]):
            with suppress(ValueError, RecursionError):
                return set(json.loads(text))
    return {key.decode() for key in re.findall(rb"^(\w+):", content, re.MULTILINE | re.ASCII)}
