"""The values of max_loras that were tried for a server, as rows of a table that say why each is not chosen."""

from typing import NamedTuple

from adaptwin.plan.forecast import TriedSlots
from adaptwin.plan.plan import PlacedServer
from adaptwin.report.style.words import NOTHING, duration, number, percent

_ALIKE = 0.005  # of the throughput: what differs by less is as much


class SlotRow(NamedTuple):
    """A value of max_loras, its figures, and what speaks for or against it."""

    max_loras: str
    throughput: str
    itl: str
    ttft: str
    kv_cache: str
    verdict: str
    why: str
    is_chosen: bool


def slot_rows(server: PlacedServer) -> list[SlotRow]:
    """Return a row for each value of max_loras that was tried, in rising order."""
    chosen = next((each for each in server.choices if each.max_loras == server.server.max_loras), None)
    return [_slot_row(each, chosen) for each in sorted(server.choices, key=lambda each: each.max_loras)]


def _slot_row(each: TriedSlots, chosen: TriedSlots | None) -> SlotRow:
    is_chosen = chosen is not None and each.max_loras == chosen.max_loras
    if not each.starts:
        why = "the slots leave too little memory for the KV cache"
        slots = f"{each.max_loras}"
        return SlotRow(slots, NOTHING, NOTHING, NOTHING, NOTHING, "does not start", why, is_chosen)
    return SlotRow(
        f"{each.max_loras}",
        number(each.throughput),
        duration(each.itl_mean),
        duration(each.ttft_p50),
        f"{each.kv_cache_tokens:,}",
        each.verdict or NOTHING,
        "chosen" if is_chosen else _against(each, chosen) if chosen and chosen.starts else "",
        is_chosen,
    )


def _against(each: TriedSlots, chosen: TriedSlots) -> str:
    """Say what speaks against a value, compared with the chosen one."""
    facts = []
    if each.verdict not in (None, "ok"):
        few = each.max_loras < chosen.max_loras
        facts.append("requests wait for a slot" if few else "longer steps and a smaller KV cache")
    if chosen.throughput > 0 and each.throughput < (1.0 - _ALIKE) * chosen.throughput:
        facts.append(f"throughput {percent(1.0 - each.throughput / chosen.throughput)} lower")
    if chosen.itl_mean > 0 and each.itl_mean > 1.02 * chosen.itl_mean:
        facts.append(f"ITL {_longer(each.itl_mean / chosen.itl_mean)}")
    if chosen.ttft_p50 > 0 and each.ttft_p50 > 1.1 * chosen.ttft_p50:
        facts.append(f"TTFT p50 {_longer(each.ttft_p50 / chosen.ttft_p50)}")
    if chosen.kv_cache_tokens > 0 and each.kv_cache_tokens < 0.95 * chosen.kv_cache_tokens:
        facts.append(f"KV cache {percent(1.0 - each.kv_cache_tokens / chosen.kv_cache_tokens)} smaller")
    return ", ".join(facts) or "much the same"


def _longer(ratio: float) -> str:
    return f"{percent(ratio - 1.0)} longer" if ratio < 2.0 else f"{number(ratio)} times as long"
