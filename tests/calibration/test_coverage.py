"""Coverage: a sentence for everything that was not measured, and none for what was."""

import polars as pl
import pytest
from tests.calibration.simulated_measurements import loads_of, plain_setup, planning_of, true_profile

from adaptwin import Adapter, Measurements, Server, Workload
from adaptwin.calibration.coverage import uncovered
from adaptwin.calibration.measurements import MeasuredRun

TRUE = true_profile()

NO_RUNS = (
    "no whole runs were measured: the profile has no error, its simulations have no intervals, and request latency and "
    "the cost of waiting requests are taken from the-start"
)


def run(slots, rank, adapters, *, starved=False):
    workload = Workload([Adapter(f"a{i}", 8, 1.0) for i in range(adapters)])
    server = Server(max_loras=slots, max_lora_rank=rank)
    return MeasuredRun(name="r", server=server, workload=workload, throughput=100.0, starved=starved, tpot_mean=0.02)


def steps(*rows):
    """Make steps of rows (slots, padded rank, tokens, adapters in the step)."""
    table = pl.DataFrame(rows, schema=["max_loras", "max_lora_rank", "tokens", "adapters"], orient="row")
    return table.with_columns(context=pl.lit(0.0), running=pl.lit(1.0), seconds=pl.lit(0.01))


MEMORY = pl.DataFrame({"max_loras": [1], "max_lora_rank": [8], "kv_cache_tokens": [800]})
STEPS = steps((0, 8, 100, 0), (4, 8, 3000, 2), (4, 64, 50, 1))
RUNS = (run(4, 64, 4), run(4, 8, 8), run(16, 8, 2, starved=True))
EVERYTHING = Measurements(
    plain_setup("the-start"),
    memory=MEMORY,
    loads=loads_of(TRUE),
    planning=planning_of(TRUE),
    steps=STEPS,
    runs=RUNS,
)
REACH = "runs had 4 to 16 slots and 2 to 8 adapters: nothing outside these ranges was checked"


def test_where_everything_was_measured_only_the_range_of_the_runs_is_stated():
    assert uncovered(EVERYTHING) == [REACH]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"memory": None}, "memory was not measured: the size of the KV cache is estimated from the model's shapes"),
        ({"planning": None}, "the scheduler was not measured: its cost is taken from the-start"),
        ({"loads": None}, "adapter loads were not measured: their cost is taken from the-start"),
        (
            {"loads": loads_of(TRUE).filter(pl.col("source") == "host")},
            "no adapter was loaded from disk: the cost of such loads is taken from the-start",
        ),
        (
            {"steps": STEPS.filter(pl.col("max_loras") > 0)},
            "no server without LoRA was measured: the costs of LoRA could not be separated from the base model's",
        ),
        (
            {"runs": (*RUNS[:2], run(16, 8, 2))},
            "no run was starved: throughput under overload was not checked",
        ),
        (
            {"runs": tuple(r.model_copy(update={"starved": True}) for r in RUNS)},
            "every run was starved: latency under light load was not checked",
        ),
    ],
    ids=["memory", "planning", "loads", "disk", "base model", "overload", "light load"],
)
def test_what_is_missing_is_stated(change, sentence):
    assert uncovered(EVERYTHING._replace(**change)) == [sentence, REACH]


def test_runs_with_as_many_slots_as_adapters_do_not_check_swapping():
    assert uncovered(EVERYTHING._replace(runs=(RUNS[0], RUNS[2]))) == [
        "no run had more adapters than slots: the swapping of adapters was not checked",
        "runs had 4 to 16 slots and 2 to 4 adapters: nothing outside these ranges was checked",
    ]


def test_without_runs_there_is_no_error():
    assert uncovered(EVERYTHING._replace(runs=())) == [NO_RUNS]


def test_without_steps_and_runs_step_costs_are_those_of_the_start():
    assert uncovered(EVERYTHING._replace(steps=None, runs=())) == [
        "neither steps nor runs were measured: step costs are taken from the-start",
        NO_RUNS,
    ]


def test_steps_alone_must_have_adapters_and_long_prompts_in_them():
    alone = EVERYTHING._replace(steps=steps((0, 8, 100, 0), (4, 8, 200, 0), (4, 64, 2047, 0)), runs=())
    no_runs = NO_RUNS
    assert uncovered(alone) == [
        "no step had an adapter in it: the costs of LoRA are taken from the-start",
        "no step had more than 2047 tokens: the cost of long prompts is extrapolated",
        no_runs,
    ]
    assert uncovered(alone._replace(steps=steps((0, 8, 2048, 0), (4, 8, 1, 1), (4, 64, 1, 0)))) == [no_runs]
    assert uncovered(alone._replace(runs=RUNS)) == [REACH]  # whole runs contain both


def test_ranks_above_the_highest_measured_are_extrapolated():
    low = EVERYTHING._replace(steps=STEPS.filter(pl.col("max_lora_rank") < 64), runs=(run(4, 32, 4), *RUNS[1:]))
    assert uncovered(low) == [
        "no step or run had max_lora_rank above 32: the cost of ranks 64, 128, 256, 320, 512 is extrapolated",
        REACH,
    ]


def test_from_one_rank_the_cost_of_another_is_unknown():
    one = EVERYTHING._replace(steps=STEPS.filter(pl.col("max_lora_rank") == 8), runs=(run(4, 8, 4), *RUNS[1:]))
    assert uncovered(one) == [
        "no step or run had max_lora_rank above 8: the cost of ranks 16, 32, 64, 128, 256, 320, 512 is extrapolated",
        "all steps and runs had max_lora_rank 8: how costs grow with the rank is taken from the-start",
        REACH,
    ]


def test_the_rank_of_a_server_without_lora_does_not_count():
    base = EVERYTHING._replace(steps=steps((0, 64, 3000, 0), (4, 8, 100, 1)), runs=(run(4, 8, 4), *RUNS[1:]))
    assert any("all steps and runs had max_lora_rank 8" in sentence for sentence in uncovered(base))
