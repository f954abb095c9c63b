"""Why a number of slots is not the chosen one."""

from adaptwin.plan.forecast import TriedSlots
from adaptwin.report.plan.slot_rows import slot_rows


def tried(slots, verdict="ok", **figures):
    usual = {"throughput": 8000.0, "itl_mean": 0.04, "ttft_p50": 0.1, "kv_cache_tokens": 300_000}
    return TriedSlots(max_loras=slots, starts=True, verdict=verdict, **{**usual, **figures})


def rows_with(plan, *choices, chosen=16):
    server = plan.servers[0]
    placed = server.model_copy(
        update={"server": server.server.model_copy(update={"max_loras": chosen}), "choices": choices}
    )
    return {int(row.max_loras): row for row in slot_rows(placed)}


def test_each_value_says_what_speaks_against_it(plan):
    rows = rows_with(
        plan,
        tried(64, itl_mean=0.05, kv_cache_tokens=200_000),
        tried(4, "starved", throughput=6000.0, ttft_p50=30.0),
        tried(16),
        tried(24),
        tried(96, "starved", throughput=7000.0),
        TriedSlots(max_loras=128, starts=False),
    )
    assert list(rows) == [4, 16, 24, 64, 96, 128]
    assert rows[4].why == "requests wait for a slot, throughput 25 % lower, TTFT p50 300 times as long"
    assert rows[16].why == "chosen"
    assert rows[16].is_chosen
    assert rows[24].why == "much the same"
    assert rows[64].why == "ITL 25 % longer, KV cache 33 % smaller"
    assert rows[96].why.startswith("longer steps and a smaller KV cache, throughput 12 % lower")
    assert rows[128].verdict == "does not start"
    assert rows[128].why == "the slots leave too little memory for the KV cache"


def test_without_the_chosen_value_nothing_is_compared(plan):
    assert {row.why for row in rows_with(plan, tried(4), tried(8)).values()} == {""}
    assert rows_with(plan) == {}
