"""An explanation of a plan for the terminal; of a large plan it shows the GPUs that matter most."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adaptwin.explanation.explanation import Advice, Emptiest, Explanation, Savings, ServerExplanation
from adaptwin.report.plan.why import what_binds, why_full
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.words import NOTHING, count, duration, headroom_share, number, percent

SHOWN_GPUS = 10  # GPUs, unless they are asked for by name
NEARLY_ALL_TRAFFIC = 0.95  # of a GPU's traffic


def explanation_table(explanation: Explanation, gpus: Sequence[str] = ()) -> RenderableType:
    """Why the GPUs are full, what they could still take, what one more adapter does, and what would save a GPU.

    Args:
        explanation: What is known.
        gpus: Names of those to show; by default all, or of many the fullest ones.
    """
    chosen = [each for each in explanation.servers if each.server in gpus] or list(explanation.servers)
    fullest = sorted(chosen, key=lambda each: each.forecast.headroom)[: max(SHOWN_GPUS, len(gpus))]
    shown = [each for each in chosen if each in fullest]
    some = len(shown) < len(chosen)
    newcomer = explanation.newcomer
    return Group(
        _headline(explanation),
        heading(f"Why they are full{_fullest(some)}"),
        _why_table(shown),
        heading(f"What they could still take{_fullest(some)}"),
        _room_table(shown),
        heading(f"One more adapter of rank {newcomer.rank} with {number(newcomer.rate)} requests/s"),
        _addition_table(sorted(chosen, key=_harm)[: len(shown)] if some else chosen),
        Text(advice_sentence(explanation.advice)),
        heading("What would save a GPU"),
        *(Text(line) for line in saving_lines(explanation.savings, explanation.gpus)),
    )


def _fullest(some: bool) -> str:
    return f", the fullest {SHOWN_GPUS} (the others: --gpu NAME)" if some else ""


def _harm(each: ServerExplanation) -> tuple[bool, bool, float]:
    return not each.addition.ok, each.addition.restart is not None, each.addition.harm


def _headline(explanation: Explanation) -> Text:
    gpus, bound = explanation.gpus, explanation.lower_bound
    above = (
        "this plan is optimal" if gpus <= bound else f"this plan is at most {count(gpus - bound, 'GPU')} above the best"
    )
    text = Text.assemble((count(gpus, "GPU"), "bold"), f". No plan can do with fewer than {bound:,}: {above}.")
    if gpus > SHOWN_GPUS:
        binds = Counter(what_binds(each.forecast, each.max_num_seqs) for each in explanation.servers)
        text.append(
            f"\nWhat gives way first: {', '.join(f'{what} on {many:,}' for what, many in binds.most_common())}."
        )
    return text


def _why_table(servers: Sequence[ServerExplanation]) -> Table:
    table = plain_table()
    table.add_column("GPU", overflow="fold")
    table.add_column("Bound by", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in servers:
        why = why_full(each.forecast, loras=each.loras, max_loras=each.max_loras, max_num_seqs=each.max_num_seqs)
        table.add_row(Text(each.server), what_binds(each.forecast, each.max_num_seqs), Text(why))
    return table


def _room_table(servers: Sequence[ServerExplanation]) -> Table:
    table = plain_table()
    table.add_column("GPU", overflow="fold")
    add_numbers(table, "Adapters", "More\ntraffic", "or more\nadapters", "of\nrank", "with\nreq/s")
    for each in servers:
        more = f"over {each.kin.more:,}" if each.kin.more_is_open else f"{each.kin.more:,}"
        kin = (more, str(each.kin.rank or "base"), number(each.kin.rate))
        table.add_row(Text(each.server), f"{each.adapters:,}", headroom_share(each.forecast.headroom), *kin)
    return table


def _addition_table(servers: Sequence[ServerExplanation]) -> Table:
    table = plain_table()
    table.add_column("GPU", overflow="fold")
    table.add_column("Verdict", no_wrap=True)
    add_numbers(table, "ITL p99\nbefore", "\nafter", "TTFT p99\nbefore", "\nafter")
    table.add_column("Restart with", overflow="fold")
    for each in servers:
        before, after = each.addition.before, each.addition.after
        itl, ttft = (duration(after.itl_p99), duration(after.ttft_p99)) if after else (NOTHING, NOTHING)
        table.add_row(
            Text(each.server),
            each.addition.verdict if after else "no start",
            duration(before.itl_p99),
            itl,
            duration(before.ttft_p99),
            ttft,
            _restart(each),
        )
    return table


def _restart(each: ServerExplanation) -> str:
    settings = each.addition.restart
    if settings is None:
        return ""
    rank = f"max_lora_rank {settings.max_lora_rank}" if settings.max_lora_rank != each.max_lora_rank else ""
    slots = f"max_loras {settings.max_loras}" if settings.max_loras != each.max_loras else ""
    return ", ".join(filter(None, (rank, slots))) or "more adapters in host memory"


def advice_sentence(advice: Advice) -> str:
    """Which server the new adapter should go to, or what it needs instead."""
    match advice.action:
        case "load":
            return f"It does least harm on {advice.server}."
        case "restart":
            settings = f"--max-lora-rank {advice.max_lora_rank} --max-loras {advice.max_loras}"
            return f"It needs a restart of {advice.server} with {settings}."
        case "new GPU":
            return "It needs a new GPU: none of these would serve everybody with it."
    return "No GPU of these kinds serves it, not even alone."


def saving_lines(found: Savings, gpus: int) -> list[str]:
    """Changes that save a GPU, those that do not, and how much traffic keeps the emptiest GPU from being given up."""
    if gpus == 1:
        return ["There is only one."]
    lines = []
    if found.as_it_is is not None and found.as_it_is < gpus:
        lines.append(f"- a new plan, with nothing changed: about {count(found.as_it_is, 'GPU')}")
    lines += [f"- {saving.change}: about {count(saving.gpus, 'GPU')}" for saving in found.saving]
    if lines:
        lines.append("These are estimates: make a plan to be sure.")
    elif found.tried:
        lines.append(f"None of {count(len(found.tried), 'change')} that were tried, by estimate.")
    if found.unknown:
        lines.append(f"{count(len(found.unknown), 'change')} not tried: the predictors do not know such traffic.")
    if found.emptiest:
        lines.append(_emptiest_sentence(found.emptiest))
    return lines


def _emptiest_sentence(emptiest: Emptiest) -> str:
    who = f"The emptiest GPU is {emptiest.server}, with {number(emptiest.request_rate)} requests/s"
    if emptiest.too_much is None:
        return f"{who}."
    if emptiest.too_much >= NEARLY_ALL_TRAFFIC:
        return f"{who}: it can only be given up if all its traffic goes."
    gone = (
        f"{percent(emptiest.too_much)} of its traffic ({number(emptiest.too_much * emptiest.request_rate)} requests/s)"
    )
    return f"{who}: without about {gone} it could be given up."
