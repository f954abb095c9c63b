"""command_meant: which command takes a file that another command was given by mistake."""

from typing import NamedTuple

from adaptwin import file_kinds
from adaptwin.file_kinds import FileKind, WrongKind


class _Use(NamedTuple):
    """What takes files of a kind: commands, or what else to say."""

    commands: tuple[str, ...] = ()
    otherwise: str = ""


_USES: dict[FileKind, _Use] = {
    file_kinds.PLAN: _Use(("verify", "explain", "replan", "export")),
    file_kinds.PLANS: _Use(("verify", "explain", "replan", "export")),
    file_kinds.FLEET: _Use(("plan", "simulate")),
    file_kinds.ADAPTERS_CSV: _Use(("plan", "simulate")),
    file_kinds.PROFILE: _Use(otherwise="did you mean --profile?"),
    file_kinds.RUN: _Use(("compare",)),
    file_kinds.MEASURED_RUN: _Use(("compare",)),
    file_kinds.SURROGATE: _Use(otherwise="did you mean --surrogate, or adaptwin train --explain?"),
    file_kinds.DESIGN: _Use(("sweep",)),
    file_kinds.SETUP: _Use(otherwise="did you mean adaptwin fit, with the folder?"),
    file_kinds.MEASUREMENTS: _Use(("fit",)),
    file_kinds.REPLAY: _Use(("compare",)),
    file_kinds.BENCH: _Use(("fit", "compare")),
    file_kinds.RUNS: _Use(("train",)),
    file_kinds.PEFT_ADAPTER: _Use(("workload from-peft",)),
    file_kinds.PEFT_FOLDER: _Use(("workload from-peft",)),
    file_kinds.TRACE: _Use(("workload from-trace",)),
    file_kinds.LOG: _Use(("workload from-log",)),
    file_kinds.RATES_CSV: _Use(otherwise="did you mean --rates-over-time?"),
    file_kinds.ROUTES: _Use(otherwise="did you mean --routes?"),
    file_kinds.SERVERS: _Use(otherwise="did you mean --servers?"),
    file_kinds.MODEL: _Use(otherwise="did you mean --model, with --gpu?"),
    file_kinds.ARCHIVE: _Use(otherwise="save a table as CSV"),
    file_kinds.GZIP: _Use(otherwise="unpack it"),
    file_kinds.PAGE: _Use(otherwise="did you mean the plan file that it was made from?"),
    file_kinds.SCRIPT: _Use(otherwise="did you mean the plan file that it was exported from?"),
}


def command_meant(error: WrongKind, command: str) -> str:
    """Return ``; did you mean adaptwin COMMAND?``, or nothing where `command`, which was called, takes such files."""
    use = _USES.get(error.kind, _Use())
    if use.otherwise:
        return f"; {use.otherwise}"
    if not use.commands or command in use.commands:
        return ""
    *first, last = use.commands
    names = f"{', '.join(first)} or {last}" if first else last
    return f"; did you mean adaptwin {names}?"
