"""An explanation of a plan, for the terminal; for a large plan it shows the GPUs that matter most."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType

from adaptwin.explanation.explanation import (
    Addition,
    Advice,
    Emptiest,
    Explanation,
    Savings,
    ServerExplanation,
    Unmerging,
)
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.plan.server_noun import heading_of, noun_for
from adaptwin.report.plan.why import why_full
from adaptwin.report.style.assumptions import assumption_lines, extrapolated_sentence
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING, count, duration, number, percent

SHOWN_GPUS = 10  # number of GPUs shown, unless GPUs are given by name
NEARLY_ALL_TRAFFIC = 0.95  # of a GPU's traffic


def explanation_table(explanation: Explanation, gpus: Sequence[str] = ()) -> RenderableType:
    """Return a report: what limits the GPUs, their spare capacity, the effect of one more adapter, and savings.

    Args:
        explanation: The explanation to show.
        gpus: Names of the GPUs to show; by default all, or the fullest ones if there are many.
    """
    chosen = [each for each in explanation.servers if each.server in gpus] or list(explanation.servers)
    fullest = sorted(chosen, key=lambda each: each.forecast.headroom)[: max(SHOWN_GPUS, len(gpus))]
    shown = [each for each in chosen if each in fullest]
    some = len(shown) < len(chosen)
    newcomer = explanation.newcomer
    noun = _noun(explanation)
    return Group(
        _headline(explanation),
        heading(f"What limits each {noun}{_fullest(some)}"),
        _why_table(shown, noun),
        heading(f"Spare capacity{_fullest(some)}"),
        _room_table(shown, noun),
        *_unmerging_table(shown, noun),
        heading(f"Effect of one more adapter of rank {newcomer.rank} with {number(newcomer.rate)} requests/s"),
        _addition_table(sorted(chosen, key=_harm)[: len(shown)] if some else chosen, noun),
        Text(advice_sentence(explanation.advice)),
        heading("What would save a GPU"),
        *(Text(line) for line in saving_lines(explanation.savings, explanation.gpus, noun)),
        *assumption_lines(explanation.assumptions, _extrapolated(explanation)),
    )


def _extrapolated(explanation: Explanation) -> str:
    found = {each.server: each.forecast.extrapolations for each in explanation.servers}
    return extrapolated_sentence(found, _noun(explanation))


def _noun(explanation: Explanation) -> str:
    return noun_for(each.gpus for each in explanation.servers)


def _fullest(some: bool) -> str:
    return f", the fullest {SHOWN_GPUS} (the others: --gpu NAME)" if some else ""


def _harm(each: ServerExplanation) -> tuple[bool, bool, float]:
    return not each.addition.ok, each.addition.restart is not None, each.addition.harm


def _headline(explanation: Explanation) -> Text:
    gpus, bound = explanation.gpus, explanation.lower_bound
    above = (
        "This plan is optimal"
        if gpus <= bound
        else f"This plan is at most {count(gpus - bound, 'GPU')} above the optimum"
    )
    text = Text.assemble((count(gpus, "GPU"), "bold"), f". Lower bound: {count(bound, 'GPU')}. {above}.")
    if len(explanation.servers) > SHOWN_GPUS:
        binds = Counter(each.forecast.binding for each in explanation.servers).most_common()
        limits = ", ".join(f"{what} on {many:,}" for what, many in binds)
        text.append(f"\nWhat limits the {_noun(explanation)}s: {limits}.")
    return text


def _why_table(servers: Sequence[ServerExplanation], noun: str) -> Table:
    table = plain_table()
    table.add_column(heading_of(noun), overflow="fold")
    table.add_column("Limited by", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in servers:
        why = why_full(each.forecast, loras=each.loras, max_loras=each.max_loras, max_num_seqs=each.max_num_seqs)
        table.add_row(Text(each.server), each.forecast.binding, Text(why))
    return table


def _room_table(servers: Sequence[ServerExplanation], noun: str) -> Table:
    table = plain_table()
    table.add_column(heading_of(noun), overflow="fold")
    add_numbers(table, "Adapters", "More\ntraffic", "or more\nadapters", "of\nrank", "with\nreq/s")
    for each in servers:
        more = f"over {each.kin.more:,}" if each.kin.more_is_open else f"{each.kin.more:,}"
        kin = (more, str(each.kin.rank or "base"), number(each.kin.rate))
        table.add_row(Text(each.server), f"{each.adapters:,}", headroom_text(each.forecast), *kin)
    return table


def _unmerging_table(servers: Sequence[ServerExplanation], noun: str) -> list[RenderableType]:
    """Return a heading and a table of servers with merged weights; nothing if there are none."""
    merged = [each for each in servers if each.unmerging is not None]
    if not merged:
        return []
    table = plain_table()
    table.add_column(heading_of(noun), overflow="fold")
    table.add_column("Adapter", overflow="fold")
    table.add_column("Verdict\nwith LoRA", no_wrap=True)
    add_numbers(table, "ITL p99\nnow", "\nwith LoRA", "TTFT p99\nnow", "\nwith LoRA")
    for each in merged:
        assert each.unmerging
        verdict, *latencies = _change_cells(each.unmerging)
        table.add_row(Text(each.server), Text(each.unmerging.adapter), verdict, *latencies)
    note = f"Nothing else can be served by these {noun}s, unless they restart with --enable-lora."
    return [heading("Merged weights, and the same traffic with LoRA instead"), table, Text(note)]


def _change_cells(change: Addition | Unmerging) -> tuple[str, ...]:
    """Return the verdict after a change, and the 99th percentiles of ITL and TTFT before and after it, as text."""
    before, after = change.before, change.after
    itl, ttft = (duration(after.itl_p99), duration(after.ttft_p99)) if after else (NOTHING, NOTHING)
    verdict = change.verdict if after else "no start"
    return verdict, duration(before.itl_p99), itl, duration(before.ttft_p99), ttft


def _addition_table(servers: Sequence[ServerExplanation], noun: str) -> Table:
    table = plain_table()
    table.add_column(heading_of(noun), overflow="fold")
    table.add_column("Verdict", no_wrap=True)
    add_numbers(table, "ITL p99\nbefore", "\nafter", "TTFT p99\nbefore", "\nafter")
    table.add_column("Restart with", overflow="fold")
    for each in servers:
        table.add_row(Text(each.server), *_change_cells(each.addition), _restart(each))
    return table


def _restart(each: ServerExplanation) -> str:
    settings = each.addition.restart
    if settings is None:
        return ""
    lora = "LoRA" if each.unmerging else ""
    rank = f"max_lora_rank {settings.max_lora_rank}" if settings.max_lora_rank != each.max_lora_rank else ""
    slots = f"max_loras {settings.max_loras}" if settings.max_loras != each.max_loras else ""
    return ", ".join(filter(None, (lora, rank, slots))) or "more adapters in host memory"


def advice_sentence(advice: Advice) -> str:
    """Say which server should load the new adapter, or what it needs instead."""
    match advice.action:
        case "load":
            return f"Load it on {advice.server}: latencies grow least there."
        case "restart":
            settings = f"--max-lora-rank {advice.max_lora_rank} --max-loras {advice.max_loras}"
            if advice.unmerged:
                undone = f"{advice.unmerged} is then no longer merged, but a LoRA adapter"
                return f"It needs a restart of {advice.server} with --enable-lora {settings}: {undone}."
            return f"It needs a restart of {advice.server} with {settings}."
        case "new GPU" if advice.gpus and advice.gpus > 1:
            new = f"a new server of {advice.gpus} GPUs"
            return f"It needs {new}: no server of the plan can serve it beside its own adapters."
        case "new GPU":
            return "It needs a new GPU: no GPU of the plan can serve it beside its own adapters."
    return "No GPU of these types can serve it, not even alone."


def saving_lines(found: Savings, gpus: int, noun: str = "GPU") -> list[str]:
    """List the changes that would save a GPU, and the traffic that keeps the emptiest server from being given up.

    `noun` is what a server is called.
    """
    if gpus == 1:
        return ["The plan has only one GPU."]
    lines = []
    if found.as_it_is is not None and found.as_it_is < gpus:
        lines.append(f"- a new plan, with nothing changed: about {count(found.as_it_is, 'GPU')}")
    lines += [f"- {saving.change}: about {count(saving.gpus, 'GPU')}" for saving in found.saving]
    if lines:
        lines.append("These are estimates: make a new plan to confirm them.")
    elif found.tried:
        lines.append(f"{count(len(found.tried), 'change')} tried: by estimate, none saves a GPU.")
    if found.unknown:
        lines.append(f"{count(len(found.unknown), 'change')} without an estimate: make a new plan to find out.")
    if found.emptiest:
        lines.append(_emptiest_sentence(found.emptiest, noun))
    return lines


def _emptiest_sentence(emptiest: Emptiest, noun: str) -> str:
    gpu = f"The emptiest {noun} is {emptiest.server}, with {number(emptiest.request_rate)} requests/s."
    if emptiest.too_much is None:
        return gpu
    if emptiest.too_much >= NEARLY_ALL_TRAFFIC:
        return f"{gpu} It can be given up only if all its traffic is gone."
    gone = (
        f"{percent(emptiest.too_much)} of its traffic ({number(emptiest.too_much * emptiest.request_rate)} requests/s)"
    )
    return f"{gpu} It could be given up if about {gone} were gone."
