"""A report on running servers, for the terminal: what binds each, and the one change that ends it."""

from collections.abc import Sequence

from rich.console import Group, RenderableType

from adaptwin.live.advice import SimulatedServer, TriedChange, TwinAdvice
from adaptwin.live.diagnosis import DiagnosedServer, Diagnoses, Diagnosis, LiveBinding
from adaptwin.live.waiting_adapters import WaitingAdapter
from adaptwin.report.style.tables import add_numbers, grade_text, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING, count, duration, number, percent

SHOWN_WAITING = 8
SHOWN_CHANGES = 8
_STYLES: dict[LiveBinding, str] = {"nothing": "green", "idle": "green", "unknown": "magenta"}
_STORIES: dict[LiveBinding, str] = {
    "slots": "Requests wait for a slot: more adapters are asked for than max_loras lets run at once.",
    "memory": "Requests wait for KV cache: what is left of the GPU's memory is full.",
    "max_num_seqs": "Requests wait for a seat: as many run as max_num_seqs allows.",
    "compute": "The GPU does not keep up with the traffic.",
    "nothing": "Nothing binds the server.",
    "idle": "The server is idle.",
    "unknown": "The metrics do not tell what binds the server.",
}
SLOW_STORY = "Few requests wait, but the steps of the GPU take longer than they should."
_GENERAL: dict[LiveBinding, str] = {
    "slots": "raise --max-loras (which takes memory from the KV cache), or move a hot adapter to another server with "
    "POST /v1/load_lora_adapter there.",
    "memory": "lower --max-num-seqs or --max-loras, raise --gpu-memory-utilization, lower --max-model-len, or move "
    "adapters to another server.",
    "max_num_seqs": "raise --max-num-seqs (requests then take longer each), or move adapters to another server.",
    "compute": "move adapters to another server; fewer slots (--max-loras) or a lower --max-lora-rank make steps "
    "shorter.",
}
_TAKES = {"move": "no restart", "restart": "a restart", "new server": "a new server"}


def diagnoses_report(found: Diagnoses) -> RenderableType:
    """Return what binds each server, and for those in trouble the evidence, the adapters that wait, and the advice."""
    several = len(found.servers) > 1
    parts: list[RenderableType] = [_overview(found)] if several else []
    for server in found.servers:
        if server.diagnosis and (not several or server.diagnosis.is_trouble or server.differences):
            parts += _server_parts(server, server.diagnosis)
        elif server.error:
            parts.append(Text.assemble((f"\n{_title(server)}: cannot be read\n", "bold red"), f"- {server.error}"))
    return Group(*parts)


def _title(server: DiagnosedServer) -> str:
    name = server.planned or server.name
    return name if name == server.url else f"{name} ({server.url if server.name == name else server.name})"


def _overview(found: Diagnoses) -> Table:
    table = plain_table()
    table.add_column("Server", overflow="fold", min_width=8)
    table.add_column("Limited by", no_wrap=True)
    add_numbers(table, "Run-\nning", "Wait-\ning", "Slots", "KV\nuse", "TTFT\nmean", "ITL\nmean", "tok/s")
    for server in found.servers:
        name, diagnosis = Text(server.planned or server.name), server.diagnosis
        if diagnosis is None:
            table.add_row(name, Text("unreadable", style="bold red"), *[NOTHING] * 7)
        else:
            table.add_row(name, _binding_text(diagnosis), *_seen_cells(diagnosis))
    return table


def _binding_text(diagnosis: Diagnosis) -> Text:
    probably = ", probably" if diagnosis.is_probable else ""
    return Text(f"{diagnosis.binding}{probably}", style=_STYLES.get(diagnosis.binding, "red"))


def _seen_cells(diagnosis: Diagnosis) -> list[str]:
    figures = diagnosis.figures
    slots = f"{_mean_count(figures.running_adapters)}/{figures.max_loras}" if figures.max_loras else NOTHING
    tokens = [rate for rate in (figures.prompt_tokens, figures.answer_tokens) if rate is not None]
    return [
        _mean_count(figures.running),
        _mean_count(figures.waiting),
        slots,
        NOTHING if figures.kv_usage is None else percent(figures.kv_usage),
        NOTHING if figures.ttft_mean is None else duration(figures.ttft_mean),
        NOTHING if figures.itl_mean is None else duration(figures.itl_mean),
        number(sum(tokens)) if tokens else NOTHING,
    ]


def _server_parts(server: DiagnosedServer, diagnosis: Diagnosis) -> list[RenderableType]:
    parts: list[RenderableType] = [_binding_headline(server, diagnosis), _seen_table(diagnosis)]
    if diagnosis.waiting_adapters:
        parts += _waiting_parts(diagnosis.waiting_adapters, diagnosis.figures.readings)
    differing = [*server.differences, *(server.traffic.differences if server.traffic else ())]
    if differing:
        parts += [heading("Different from what was planned"), _bullets(differing)]
    if server.advice:
        parts += _advice_parts(server.advice, diagnosis)
    elif diagnosis.binding in _GENERAL:
        parts += _general_advice(diagnosis)
    return parts


def _binding_headline(server: DiagnosedServer, diagnosis: Diagnosis) -> Text:
    notes = [f"Cannot be judged: {what}." for what in diagnosis.unknown]
    if diagnosis.missing:
        notes.append(f"Not among its metrics: {', '.join(diagnosis.missing)}.")
    probably = "Probably: " if diagnosis.is_probable else ""
    is_slow = diagnosis.binding == "compute" and (diagnosis.figures.waiting or 0.0) < 1.0
    return Text.assemble(
        (f"\n{_title(server)}: ", "bold"),
        _binding_text(diagnosis),
        f"\n{probably}{SLOW_STORY if is_slow else _STORIES[diagnosis.binding]}",
        *(f"\n- {sentence}" for sentence in diagnosis.evidence),
        *(f"\n{note}" for note in notes),
    )


def _seen_table(diagnosis: Diagnosis) -> RenderableType:
    figures = diagnosis.figures
    slots = f"{_mean_count(figures.running_adapters)} of {figures.max_loras}" if figures.max_loras else "unknown"
    table = Table.grid("", "", padding=(0, 2, 0, 0))
    table.add_row("Readings", f"{figures.readings} in {duration(figures.seconds)}")
    waiting = f"{_mean_count(figures.waiting)} waiting"
    if figures.waiting_for_slot is not None and figures.waiting_for_capacity is not None:
        waiting += f" ({figures.waiting_for_slot:,.1f} for a slot, {figures.waiting_for_capacity:,.1f} for capacity)"
    table.add_row("Requests", f"{_mean_count(figures.running)} running, {waiting}, means")
    usage = "unknown" if figures.kv_usage is None else f"{percent(figures.kv_usage)} used"
    preempted = "unknown" if figures.preemptions is None else f"{figures.preemptions:,.0f}"
    table.add_row("Slots, KV cache", f"{slots} slots in use; KV cache {usage}; preemptions: {preempted}")
    table.add_row(
        "Latency",
        f"TTFT {_known_duration(figures.ttft_mean)}, ITL {_known_duration(figures.itl_mean)}, "
        f"in the queue {_known_duration(figures.queue_mean)} on average",
    )
    table.add_row(
        "Per second",
        f"{_known_number(figures.requests)} requests done, {_known_number(figures.prompt_tokens)} prompt and "
        f"{_known_number(figures.answer_tokens)} answer tokens, {_known_number(figures.steps)} steps",
    )
    return Group(heading("By its metrics"), table)


def _waiting_parts(adapters: Sequence[WaitingAdapter], readings: int) -> list[RenderableType]:
    table = plain_table()
    table.add_column("Adapter", overflow="fold", min_width=16)
    add_numbers(table, "Waits in\nreadings", "In a row\nfor over")
    table.add_column("Now", no_wrap=True)
    for adapter in adapters[:SHOWN_WAITING]:
        table.add_row(
            Text(adapter.name),
            f"{adapter.readings} of {readings}",
            duration(adapter.in_a_row),
            "waits" if adapter.still_waits else "",
        )
    more = f", the longest {SHOWN_WAITING}" if len(adapters) > SHOWN_WAITING else ""
    return [heading(f"Adapters that wait, none of their requests running: {len(adapters):,}{more}"), table]


def _advice_parts(advice: TwinAdvice, diagnosis: Diagnosis) -> list[RenderableType]:
    parts: list[RenderableType] = [heading("The twin of this server"), _present_text(advice)]
    if not advice.sees_it:
        return [*parts, *_general_advice(diagnosis)]
    if advice.best:
        parts += [heading(f"What ends it: {advice.best.what}"), _best_text(advice.best)]
    else:
        parts.append(Text("\nNone of the changes tried ends it by the twin.", style="bold red"))
    if advice.others:
        parts += [heading(f"Other changes, by the twin{_shortened(len(advice.others))}"), _changes_table(advice.others)]
    return parts


def _present_text(advice: TwinAdvice) -> Text:
    rates = "the planned rates" if advice.factor == 1.0 else f"{number(advice.factor)} times the planned rates"
    assumed = f"With {rates}; no metric tells the rates of single adapters, so those of the plan are assumed."
    if advice.present is None:
        return Text(f"{assumed}\nBy its profile the server would not start with its settings.")
    said = Text.assemble(f"{assumed}\nAs it runs: ", *_simulated_parts(advice.present), ".")
    if advice.sees_it:
        return Text.assemble(said, " It sees the trouble, too.")
    return Text.assemble(
        said,
        " It sees no trouble. So the real traffic differs from the plan's, in the rates of adapters, lengths or "
        "bursts, or the profile does not fit this machine. No change was tried.",
    )


def _simulated_parts(server: SimulatedServer) -> tuple[str | Text, ...]:
    unserved = f", {count(len(server.unserved), 'adapter')} not ok" if server.unserved else ""
    unserved += f", {server.waiting_at_end:,} waiting at the end" if server.waiting_at_end and unserved else ""
    limits = "" if server.is_ok or server.grade != "ok" else ", above the limits"
    latencies = f", TTFT p99 {duration(server.ttft_p99)}, ITL mean {duration(server.itl_mean)}"
    return grade_text(server.grade), f"{limits}{unserved}{latencies}"


def _best_text(change: TriedChange) -> Text:
    text = Text.assemble(f"It takes {_TAKES[change.kind]}. ")
    for place, server in enumerate(change.servers):
        text.append("; " if place else "With it, ")
        text.append(Text.assemble(f"{server.server}: ", *_simulated_parts(server)))
    text.append(".")
    for step, line in enumerate(change.steps, start=1):
        text.append(f"\n{step}. {line}")
    if change.kind == "move":
        text.append("\nServers must run with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.", style="dim")
    return text


def _changes_table(changes: Sequence[TriedChange]) -> Table:
    table = plain_table()
    table.add_column("Change", overflow="fold", min_width=20)
    table.add_column("Takes", no_wrap=True)
    add_numbers(table, "TTFT\np99", "ITL\nmean", "Waiting\nat end")
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Ends\nit", no_wrap=True)
    for change in changes[:SHOWN_CHANGES]:
        itl, waiting = (
            max(column) for column in zip(*((s.itl_mean, s.waiting_at_end) for s in change.servers), strict=True)
        )
        figures = (duration(change.ttft_p99), duration(itl), f"{waiting:,}")
        ends = "yes" if change.ends_it else "no"
        table.add_row(Text(change.what), _TAKES[change.kind], *figures, grade_text(change.grade), ends)
    return table


def _shortened(changes: int) -> str:
    return f" ({SHOWN_CHANGES} of {changes})" if changes > SHOWN_CHANGES else ""


def _general_advice(diagnosis: Diagnosis) -> list[RenderableType]:
    text = _GENERAL[diagnosis.binding]
    return [heading("In general, not checked by the twin"), Text(f"{text[0].upper()}{text[1:]}")]


def _bullets(lines: Sequence[str]) -> Text:
    return Text("\n".join(f"- {line}" for line in lines))


def _mean_count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f}"


def _known_number(value: float | None) -> str:
    return NOTHING if value is None else number(value)


def _known_duration(value: float | None) -> str:
    return "unknown" if value is None else duration(value)
