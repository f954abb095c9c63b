"""Start-up logs of vLLM, versions 0.7 to 0.33: the facts of the last start in a log.

People join lines of different servers into one file. Values of such lines contradict each other, or the times of the
lines are far apart: such logs are refused, with the lines.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from adaptwin.calibration.sources.log_lines import NOT_MODELLED, REFUSED, LogFact, facts_of_line
from adaptwin.calibration.sources.not_modelled import NotModelledError
from adaptwin.calibration.sources.start_up_facts import StartUpFacts
from adaptwin.errors import SpecError

MOST_MINUTES = 180  # from one line of a start to the next; weights of a large model may be downloaded in between
MOST_LINES = 5000  # until a server has started
SAME_VALUE = 0.02  # relative difference of what several workers of a server say
_STAMP = re.compile(r"\b(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\b")
_PROCESS = re.compile(r"\((\w+) pid=(\d+)\)")
_OF_SEVERAL = ("Worker", "VllmWorker")  # roles that several processes of a server have
_CPU = re.compile(r"cpu_worker|cpu_model_runner|device_config=cpu|VLLM_CPU_KVCACHE")
_V0 = re.compile(r"Initializing a V0 LLM engine|Initializing an LLM engine|# CPU blocks:|# cuda blocks:")
_BEGINNINGS = ("vLLM API server version", "Initializing a V1 LLM engine", "vllm serve ")
_DIFFER_BY_WORKER = ("graph_bytes", "kv_cache_bytes", "kv_cache_tokens", "kv_blocks")
_WORST = {"kv_cache_bytes": min, "kv_cache_tokens": min, "kv_blocks": min}
_COUNTS_OF_LOG = (
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "max_model_len", "max_num_seqs",
    "max_num_batched_tokens", "max_loras", "max_lora_rank", "block_size",
)  # fmt: skip


class _Line(NamedTuple):
    number: int
    text: str
    facts: tuple[LogFact, ...]

    @property
    def time(self) -> datetime | None:
        """Month, day and time; the year, which the log leaves out, is a leap year."""
        found = _STAMP.search(self.text)
        try:
            return datetime(2024, *map(int, found.groups())) if found else None  # type: ignore[arg-type]
        except ValueError:
            return None


def is_start_up_log(text: str) -> bool:
    """Return whether text is the log of a vLLM server; the command alone, as in a script, is none."""
    lines = text.splitlines()[:MOST_LINES]
    lines = [line for line in lines if "vllm serve " not in line]
    return any(any(facts_of_line(line)) or _CPU.search(line) or _V0.search(line) for line in lines)


def read_start_up_log(text: str, file: Path) -> StartUpFacts:
    """Read the last start of a log.

    Raises:
        NotModelledError: The twin does not describe the server.
        SpecError: The lines are of several starts, or of none.
    """
    lines = [_Line(i, line, tuple(facts_of_line(line))) for i, line in enumerate(text.splitlines(), start=1)]
    for line in lines:
        if _CPU.search(line.text):
            raise NotModelledError("the server runs on a CPU, and only GPUs are modelled", f"line {line.number}", file)
        if _V0.search(line.text):
            raise NotModelledError(
                "the log is of a V0 engine, whose scheduler is not modelled: only V1, the default since vLLM 0.8, is",
                f"line {line.number}",
                file,
            )
    starts = _starts_in([line for line in lines if line.facts])
    told = [start for start in starts if _has_memory(start)] or starts[-1:]
    if not told:
        raise SpecError("no line says anything of the server's memory or settings", file=file)
    return _facts(told[-1], len(starts), file)


def _starts_in(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Return the lines of each start of a server. A start begins where the first line of one comes again."""
    starts: list[list[_Line]] = []
    seen: set[str] = set()
    for line in lines:
        here = {beginning for beginning in _BEGINNINGS if beginning in line.text}
        if not starts or here & seen or (here and _has_memory(starts[-1])):
            starts.append([])
            seen = set()
        seen |= here
        starts[-1].append(line)
    return starts


def _has_memory(lines: Sequence[_Line]) -> bool:
    fields = {fact.field for line in lines for fact in line.facts}
    return not fields.isdisjoint(("weights_bytes", "kv_cache_bytes", "kv_cache_tokens", "kv_blocks"))


def _facts(lines: Sequence[_Line], starts: int, file: Path) -> StartUpFacts:
    _require_modelled(lines, file)
    _require_one_process(lines, file)
    _require_near_times(lines, file)
    found: dict[str, tuple[int, Any]] = {}
    for line in lines:
        for field, value in line.facts:
            _require_startable_setting(field, value, f"line {line.number}", file)
            if field in NOT_MODELLED or field in REFUSED:
                continue
            before = found.setdefault(field, (line.number, value))
            if not _agree(field, before[1], value):
                raise SpecError(
                    f"{field} is {_logged_value(field, before[1])} in line {before[0]} and "
                    f"{_logged_value(field, value)} here: these lines are not of one server; keep those of one start",
                    f"line {line.number}",
                    file,
                )
            found[field] = (before[0], _WORST.get(field, lambda old, _new: old)(before[1], value))
    return StartUpFacts(**{field: value for field, (_, value) in found.items()}, starts=starts)


def _require_modelled(lines: Sequence[_Line], file: Path) -> None:
    """Raise `NotModelledError` for settings that the twin does not describe."""
    for line in lines:
        for field, value in line.facts:
            if field in REFUSED:
                raise NotModelledError(f"{REFUSED[field]} is not modelled", f"line {line.number}", file)
            if field in NOT_MODELLED and value > 1:
                raise NotModelledError(f"{field} {value} is not modelled, only 1", f"line {line.number}", file)


def _require_startable_setting(field: str, value: Any, place: str, file: Path) -> None:
    """Raise `SpecError` for a setting with which no server starts."""
    if field in _COUNTS_OF_LOG and value < 1:
        raise SpecError(f"{field} {value} must be at least 1", place, file)
    if field == "gpu_memory_utilization" and not 0 < value <= 1:
        raise SpecError(f"{field} {value:g} must be above 0 and at most 1", place, file)


def _require_one_process(lines: Sequence[_Line], file: Path) -> None:
    """Raise `SpecError` if lines are of two processes with the same part to play, unless that is a worker's."""
    seen: dict[str, str] = {}
    for line in lines:
        for role, process in _PROCESS.findall(line.text):
            if not role.startswith(_OF_SEVERAL) and seen.setdefault(role, process) != process:
                raise SpecError(
                    f"is of {role} {process}, and others are of {role} {seen[role]}: keep the lines of one start",
                    f"line {line.number}",
                    file,
                )


def _require_near_times(lines: Sequence[_Line], file: Path) -> None:
    """Raise `SpecError` if lines that follow each other are of different times."""
    before: _Line | None = None
    for line in lines:
        if line.time is None:
            continue
        if before is not None and before.time is not None:
            gap = line.time - before.time
            if gap > timedelta(minutes=MOST_MINUTES) or gap < -timedelta(minutes=1):
                apart = f"{abs(gap.total_seconds()) / 3600:,.0f} hours {'after' if gap > timedelta() else 'before'}"
                raise SpecError(
                    f"is {apart} line {before.number}: these lines are not of one start; keep those of one",
                    f"line {line.number}",
                    file,
                )
        before = line


def _agree(field: str, one: Any, other: Any) -> bool:
    """Return whether two values of a field may be of one server."""
    if isinstance(one, float) or field in _DIFFER_BY_WORKER:
        return bool(abs(one - other) <= SAME_VALUE * max(abs(one), abs(other)))
    return bool(one == other)


def _logged_value(field: str, value: Any) -> str:
    return f"{value / 1024**3:.2f} GiB" if field.endswith("_bytes") else f"{value}"
