"""Plausible measurements: other units, contradictory rows and swapped columns are refused, with row and value."""

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.calibration.simulated_measurements import loads_of, planning_of, running_in, seconds_of

from adaptwin import Adapter, Lengths, Measurements, Server, SpecError, Workload, fit, load_profile
from adaptwin.calibration.measurements import MeasuredRun, Setup
from adaptwin.calibration.plausible import located, require_plausible_measurements
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.profile import shipped_profiles

LLAMA = load_profile(shipped_profiles()[0])
H100 = Setup(
    name="h100", hardware="H100", gpu_gib=79.1, model=LLAMA.model, vllm_version="0.8.5", start=shipped_profiles()[0]
)
MEMORY_LAW = MemoryModel.from_shapes(LLAMA.model, 79.1 * GIB)
SIZES = ((8, 16), (8, 64), (32, 16), (32, 64), (96, 16), (96, 64))
SERVERS = ((0, 16), (8, 16), (64, 32))

same_every_time = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def memory(*rows) -> pl.DataFrame:
    """Return a memory table of rows (slots, rank, KV tokens)."""
    return pl.DataFrame(rows, schema=["max_loras", "max_lora_rank", "kv_cache_tokens"], orient="row")


def kv(slots: int, rank: int) -> int:
    return MEMORY_LAW.kv_cache_tokens(max_loras=slots, max_lora_rank=rank, **H100.memory_settings._asdict())


def steps() -> pl.DataFrame:
    """Return steps of the shipped profile, with 0 to 8 adapters and 1 to 2,048 tokens."""
    rows = [
        (
            *server,
            *(float(tokens), 100.0 * running_in(tokens), float(adapters), float(running_in(tokens))),
            seconds_of(LLAMA, server, tokens, 100 * running_in(tokens), adapters),
        )
        for server in SERVERS
        for tokens in (8, 64, 128, 512, 2048)
        for adapters in (0, 1, 8)
        if adapters <= server[0]
    ]
    names = ["max_loras", "max_lora_rank", "tokens", "context", "adapters", "running", "seconds"]
    return pl.DataFrame(rows, schema=names, orient="row")


def run(**fields) -> MeasuredRun:
    """Return a calm run of 10 requests/s with 300 tokens each."""
    workload = Workload([Adapter("a", 8, 10.0)], lengths=Lengths.fixed(200, 100), duration=600.0)
    given = {"throughput": 2990.0, "tpot_mean": 0.02, "itl_mean": 0.02, "itl_p99": 0.04, "ttft_p50": 0.05, **fields}
    return MeasuredRun(name="monday", server=Server(max_loras=1), workload=workload, **given)


TABLES = {
    "memory": memory(*((slots, rank, kv(slots, rank)) for slots, rank in SIZES)),
    "loads": loads_of(LLAMA),
    "planning": planning_of(LLAMA),
    "steps": steps(),
}
GOOD = Measurements(H100, **TABLES, runs=(run(),))
VALUE = {"memory": "kv_cache_tokens", "loads": "seconds", "planning": "seconds", "steps": "seconds"}


def refusal(**changes) -> str:
    """Return the error for measurements with these changes."""
    with pytest.raises(SpecError) as caught:
        require_plausible_measurements(GOOD._replace(**changes))
    return str(caught.value)


def test_good_measurements_raise_no_doubts():
    assert require_plausible_measurements(GOOD) == []


# Other units


@same_every_time
@given(
    name=st.sampled_from(list(TABLES)),
    factor=st.sampled_from([1e3, 1024.0, 1e6, 2**20, 2.0**30, 1e9]),
    up=st.booleans(),
)
def test_a_column_in_another_unit_is_refused(name, factor, up):
    factor = factor if up else 1 / factor
    column, table = VALUE[name], TABLES[name]
    values = pl.col(column) * factor
    scaled = table.with_columns((values.floor().clip(1).cast(pl.Int64) if name == "memory" else values).alias(column))
    message = refusal(**{name: scaled})
    assert re.match(rf"{name} row \d+: {column}: ", message)
    assert "expected" in message or "more than fit" in message


@pytest.mark.parametrize(
    ("gib", "hint"), [(80_995.0, "is it in MiB?"), (79.1 * GIB, "is it in bytes?"), (0.0791, "expected 2 to 4,608 GiB")]
)
def test_a_gpu_of_another_unit_is_refused(gib, hint):
    message = refusal(setup=H100.model_copy(update={"gpu_gib": gib}))
    assert message.startswith("setup.gpu_gib: ")
    assert hint in message


def test_weights_that_do_not_fit_are_refused():
    message = refusal(setup=H100.model_copy(update={"gpu_gib": 16.0}), memory=None)
    assert message.startswith("setup.gpu_gib: the weights of meta-llama/Llama-3.1-8B-Instruct take 15.0 GiB")


def test_a_step_in_milliseconds_is_named_with_its_row_and_its_unit():
    """A step of one token takes 2 ms at least: 16 GB of weights at 7.9 TB/s."""
    one = pl.DataFrame(
        {"max_loras": [0], "max_lora_rank": [16], "tokens": [1.0], "context": [100.0], "adapters": [0.0]}
    ).with_columns(running=pl.lit(1.0), seconds=pl.lit(7.0))
    assert refusal(steps=one) == (
        "steps row 1: seconds: 7 s is not plausible: expected 0.002 to 1.82 s (reading the weights and multiplying "
        "them with the tokens); is it in milliseconds?"
    )


def test_blocks_instead_of_tokens_are_refused():
    message = refusal(memory=memory((8, 16, kv(8, 16) // 16)))
    assert message.startswith("memory row 1: kv_cache_tokens: ")
    assert message.endswith("expected at most 75%: are these tokens, or blocks or GiB?")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"tpot_mean": 20.0},
            "runs[0].tpot_mean: 20 s is not plausible: expected 0.002 to 5 s; is it in milliseconds?",
        ),
        ({"itl_mean": 20.0}, "runs[0].itl_mean: 20 s is not plausible"),
        ({"itl_mean": 2e-5}, "runs[0].itl_mean: 2e-05 s is not plausible"),
        ({"ttft_p50": 150.0}, "runs[0].ttft_p50: 150 s is not plausible: expected at most 120 s"),
        ({"ttft_p50": 700.0, "starved": True}, "runs[0].ttft_p50: 700 s is not plausible: expected at most 600 s"),
        ({"throughput": 10.0}, "runs[0].throughput: 10 of the 3,000 tokens/s asked for are served"),
        ({"throughput": 179_000.0}, "runs[0].throughput: 1.79e+05 tokens/s are more than the 3,000"),
    ],
)
def test_a_run_in_another_unit_is_refused(fields, message):
    found = refusal(runs=(run(**fields),))
    assert found.startswith(message)
    assert found.endswith("(run 'monday')")


def test_few_stalls_in_a_long_log_are_a_doubt_and_not_an_error():
    long = pl.concat([TABLES["planning"].head(2)] * 300).with_columns(
        seconds=pl.when(pl.int_range(pl.len()) == 7).then(2.0).otherwise(pl.col("seconds"))
    )
    (doubt,) = require_plausible_measurements(GOOD._replace(planning=long))
    assert doubt.startswith("planning row 8: seconds: 2 s is not plausible: expected ")
    assert doubt.endswith("1 of 600 rows are like this")


# Rows that contradict each other


def test_servers_with_equal_settings_have_equal_memory():
    tokens = kv(8, 16)
    assert refusal(memory=memory((8, 16, tokens), (32, 16, kv(32, 16)), (8, 16, int(0.9 * tokens)))) == (
        f"memory row 3: kv_cache_tokens: rows 3 and 1 have the same max_loras 8 and max_lora_rank 16, but "
        f"{int(0.9 * tokens):,} and {tokens:,} KV tokens; expected at most 2% apart: other settings or GPUs belong "
        "into other folders"
    )
    (doubt,) = require_plausible_measurements(
        GOOD._replace(memory=memory((8, 16, tokens), (8, 16, int(0.99 * tokens))))
    )
    assert "have the same max_loras 8 and max_lora_rank 16" in doubt
    assert require_plausible_measurements(GOOD._replace(memory=memory((8, 16, tokens), (8, 16, tokens - 16)))) == []


@pytest.mark.parametrize(
    ("few", "many"), [((8, 16), (32, 16)), ((8, 16), (8, 64)), ((0, 16), (8, 16)), ((0, 64), (8, 16))]
)
def test_more_slots_or_ranks_leave_fewer_tokens(few, many):
    message = refusal(memory=memory((*few, 300_000), (*many, 310_000)))
    assert message.startswith("memory row 2: kv_cache_tokens: 310,000 KV tokens with ")
    assert message.endswith("in row 1; expected fewer, because slots take memory")


def test_a_server_that_did_not_start_cannot_be_smaller_than_one_that_did():
    assert refusal(memory=memory((8, 16, 0), (32, 16, 398_944))).startswith("memory row 2: kv_cache_tokens: 398,944")


def test_slots_that_take_no_memory_are_refused():
    message = refusal(memory=memory((8, 16, 400_000), (96, 16, 400_000)))
    assert message.startswith(
        "memory row 2: kv_cache_tokens: from 8 to 96 slots of rank 16 (rows 1 and 2) the KV cache"
    )
    assert "shrinks by 0.00 GiB" in message


def test_slots_that_take_half_their_matrices_are_doubtful():
    half = [(s, 16, int(420_000 - 0.4 * s * 16 * MEMORY_LAW.slot_bytes_per_rank / 131072)) for s in (8, 96)]
    (doubt,) = require_plausible_measurements(GOOD._replace(memory=memory(*half)))
    assert doubt.endswith("check the model's shapes")


@pytest.mark.parametrize("name", ["loads", "planning", "steps"])
def test_times_of_equal_rows_that_differ_by_a_factor_of_three_are_refused(name):
    table = TABLES[name]
    twice = pl.concat([table, table.with_columns(seconds=3 * pl.col("seconds"))])
    message = refusal(**{name: twice})
    assert re.match(rf"{name} row \d+: seconds: 2 rows have the same ", message)
    assert "expected quartiles within a factor of 1.5" in message


def test_one_stalled_row_among_many_equal_ones_is_no_contradiction():
    table = pl.concat([TABLES["loads"]] * 30)
    stalled = table.with_columns(
        seconds=pl.when(pl.int_range(pl.len()) == 0).then(9 * pl.col("seconds")).otherwise(pl.col("seconds"))
    )
    assert require_plausible_measurements(GOOD._replace(loads=stalled)) == []


# Columns that cannot be what they are called


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("memory", {"max_lora_rank": 24}, "memory row 1: max_lora_rank: 24 must be one of 1, 8, 16, 32,"),
        ("loads", {"max_lora_rank": 4}, "loads row 1: max_lora_rank: 4 must be at least the rank of the adapter"),
        ("loads", {"rank": 0}, "loads row 1: rank: 0 must be at least 1"),
        ("planning", {"running": 0}, "planning row 1: running: 0 must be at least 1"),
        ("steps", {"tokens": 0.0}, "steps row 1: tokens: 0 must be at least 1"),
        ("steps", {"running": 0.0}, "steps row 1: running: 0 must be at least 1"),
        ("steps", {"running": 300.0}, "steps row 1: tokens: 8 must be at least the number of running requests"),
        ("steps", {"adapters": 70.0}, "steps row 1: adapters: 70 must be at most max_loras"),
    ],
)
def test_a_value_that_cannot_be_is_refused(name, changes, message):
    table = TABLES[name].with_columns(**{column: pl.lit(value) for column, value in changes.items()})
    assert refusal(**{name: table}).startswith(message)


def test_swapped_columns_of_slots_and_adapters_are_refused():
    swapped = TABLES["steps"].rename({"max_loras": "adapters", "adapters": "max_loras"})
    assert "adapters" in refusal(steps=swapped.with_columns(pl.col("adapters").cast(pl.Float64)))


# The fit


def test_a_fit_that_misses_the_steps_is_refused():
    """Times that have nothing to do with the contents of the steps: 20 and 100 ms in turn."""
    noise = TABLES["steps"].with_columns(seconds=pl.when(pl.int_range(pl.len()) % 2 == 0).then(0.02).otherwise(0.1))
    pattern = r"^steps: seconds: single steps: the fit misses the median of \d+ rows by \d+%, and by \d+% in row \d+ "
    with pytest.raises(SpecError, match=pattern):
        fit(GOOD._replace(steps=noise, runs=()))


def test_a_fit_that_misses_the_memory_is_refused():
    """Memory that falls with the square of the slots cannot be fitted to 5 %."""
    table = memory(*((s, 16, int(440_000 - 30 * s**2)) for s in (1, 8, 32, 64, 80, 96, 100)))
    with pytest.raises(
        SpecError, match=r"^memory: kv_cache_tokens: KV cache tokens: the fit misses the median of 7 rows"
    ):
        fit(Measurements(H100, memory=table))


@same_every_time
@given(
    name=st.sampled_from(list(TABLES)),
    seed=st.integers(0, 10_000),
    how=st.sampled_from(["scale", "constant", "shuffle", "one row", "negative", "nan"]),
)
def test_spoilt_tables_are_refused_or_fitted_without_a_raw_error(name, seed, how, tmp_path_factory):
    """Whatever is wrong with a column, the folder is refused with its file, or fitted to finite positive costs."""
    folder = tmp_path_factory.mktemp("spoilt")
    table, rng = TABLES[name], pl.Series(range(100)).sample(1, seed=seed)[0]
    column = [each for each in table.columns if each != "source"][rng % (len(table.columns) - (name == "loads"))]
    spoilt = {
        "scale": pl.col(column) * [0.001, 0.5, 2, 16, 1000][rng % 5],
        "constant": pl.lit(table[column][rng % len(table)]).alias(column),
        "shuffle": pl.col(column).shuffle(seed),
        "one row": pl.col(column),
        "negative": -pl.col(column),
        "nan": pl.when(pl.int_range(pl.len()) == rng % len(table))
        .then(float("nan"))
        .otherwise(pl.col(column))
        .alias(column),
    }[how]
    rows = table.with_columns(spoilt)[[rng % len(table)] if how == "one row" else slice(None)]
    H100.write(folder / "setup.yaml")
    rows.write_csv(folder / f"{name}.csv")
    refused: SpecError | None = None
    try:
        costs = fit(Measurements.read(folder)).profile.model_dump()
    except SpecError as error:
        refused = located(error, folder)
    if refused:
        assert str(refused).startswith(f"{folder}/{name}.csv: ")
        return
    for part in ("memory", "step_cost", "load_cost", "scheduler_cost"):
        assert all(0 <= value < float("inf") for value in costs[part].values())


def test_an_error_is_located_in_the_file_that_holds_the_value(tmp_path):
    (tmp_path / "steps.csv").write_text("", encoding="utf-8")
    error = located(SpecError("7 s", "steps row 2: seconds"), tmp_path)
    assert str(error) == f"{tmp_path}/steps.csv: row 2: seconds: 7 s"
    assert str(located(SpecError("no", "loads row 1: seconds"), tmp_path)) == f"{tmp_path}: loads row 1: seconds: no"
