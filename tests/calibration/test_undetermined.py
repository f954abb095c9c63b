"""Undetermined constants: whatever part of the measurements is given, a constant is near the truth, or named."""

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.calibration.simulated_measurements import (
    loads_of,
    plain_setup,
    planning_of,
    slower,
    steps_of,
    true_profile,
)
from tests.effort import examples

from adaptwin import Measurements, Server, fit, load_profile
from adaptwin.calibration.hardware import LOAD_CONSTANTS, MEMORY_CONSTANTS, PLANNING_CONSTANTS, fit_memory
from adaptwin.calibration.measurements import Setup
from adaptwin.calibration.step_terms import INSEPARABLE, STEP_TERMS
from adaptwin.profile.memory import GIB, USUAL_ACTIVATION, MemoryModel
from adaptwin.profile.profile import shipped_profiles
from adaptwin.profile.step_cost import step_seconds
from adaptwin.twin.step_coefficients import step_coefficients

TRUE = true_profile()
STEPS, LOADS, PLANNING = steps_of(TRUE), loads_of(TRUE), planning_of(TRUE)
FITTED = {
    "step_cost": tuple(name for name in STEP_TERMS if name not in (*INSEPARABLE, "expert_weights")),
    "load_cost": tuple(name for names in LOAD_CONSTANTS.values() for name in names),
    "scheduler_cost": PLANNING_CONSTANTS,
}
START = shipped_profiles()[0]
LLAMA = load_profile(START)
H100 = Setup(
    name="h100-80gb", hardware="NVIDIA H100 80 GB", gpu_gib=79.1, model=LLAMA.model, vllm_version="0.8.5", start=START
)
SETTINGS = H100.memory_settings._asdict()
SHAPES = MemoryModel.from_shapes(LLAMA.model, 79.1 * GIB)
MEMORY = SHAPES.model_copy(
    update={
        "activation_bytes": 1.5e9,
        "slot_bytes": 6.3e6,
        "slot_bytes_per_rank": 1.02 * SHAPES.slot_bytes_per_rank,
        "estimated": False,
    }
)
SIZES = [(slots, rank) for slots in (1, 8, 16, 32, 64, 96) for rank in (8, 16, 32, 64) if slots * rank <= 3072]

same_every_time = settings(
    max_examples=examples(60), deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    """Return profiles to start from, all costs of which are too high or too low by the same factor, by this factor."""
    folder, files = tmp_path_factory.mktemp("starts"), {}
    for factor in (1 / 3, 2.0, 3.0):
        profile = slower(TRUE, factor)
        update = {
            part: getattr(TRUE, part).model_copy(
                update={name: factor * getattr(getattr(TRUE, part), name) for name in FITTED[part]}
            )
            for part in ("load_cost", "scheduler_cost")
        }
        files[factor] = folder / f"{factor:.2f}.yaml"
        profile.model_copy(update=update).write(files[factor])
    return files


def memory_rows(sizes) -> pl.DataFrame:
    rows = [(s, r, MEMORY.kv_cache_tokens(max_loras=s, max_lora_rank=r, **SETTINGS)) for s, r in sizes]
    return pl.DataFrame(rows, schema=["max_loras", "max_lora_rank", "kv_cache_tokens"], orient="row")


def some_rows(table: pl.DataFrame):
    """Return a strategy for tables of some of the rows, from one to all."""
    return st.lists(st.integers(0, len(table) - 1), min_size=1, unique=True).map(lambda rows: table[sorted(rows)])


@same_every_time
@given(
    factor=st.sampled_from([1 / 3, 2.0, 3.0]),
    steps=st.sampled_from(
        [
            STEPS,
            STEPS.filter(pl.col("max_loras") == 0),
            STEPS.filter(pl.col("max_lora_rank") == 32),
            STEPS.filter(pl.col("tokens") == 400),
            STEPS.filter(pl.col("context") == 0),
        ]
    ).flatmap(some_rows),
    loads=some_rows(LOADS),
    planning=some_rows(PLANNING.filter(pl.col("waiting") == 0)),
)
def test_any_rows_give_constants_that_are_near_the_truth_or_named(starts, factor, steps, loads, planning):
    setup = plain_setup(starts[factor])
    fitted = fit(Measurements(setup, steps=steps, loads=loads, planning=planning))
    named = {each.constant: each for each in fitted.undetermined}
    assert fitted.profile.undetermined == tuple(named)
    for part, names in FITTED.items():
        for name in names:
            value, truth = (getattr(getattr(profile, part), name) for profile in (fitted.profile, TRUE))
            start = getattr(getattr(load_profile(starts[factor]), part), name)
            unknown = named.get(f"{part}.{name}")
            assert value > 0
            if unknown is None:
                assert value == pytest.approx(truth, rel=0.2)
            elif unknown.kept:
                assert value == start


@same_every_time
@given(table=some_rows(memory_rows(SIZES)))
def test_any_servers_give_memory_that_is_near_the_truth_or_named(table):
    memory, (part,), unknown, _ = fit_memory(table, H100)
    named = {each.constant: each for each in unknown}
    for name in MEMORY_CONSTANTS:
        value, truth, of_shapes = (getattr(model, name) for model in (memory, MEMORY, SHAPES))
        if f"memory.{name}" not in named:
            assert value == pytest.approx(truth, rel=0.2)
        elif named[f"memory.{name}"].kept:
            assert value == pytest.approx(of_shapes)
    slot = memory.slot_bytes + 64 * memory.slot_bytes_per_rank
    assert slot == pytest.approx(MEMORY.slot_bytes + 64 * MEMORY.slot_bytes_per_rank, rel=0.1)
    assert part.worst < 1.0


# Measurements of a single kind, as people bring them


def test_one_server_does_not_make_slots_free():
    """192 slots of rank 64 take 71 GB on any GPU, so they do not fit on one of 80 GB."""
    profile = fit(Measurements(H100, memory=memory_rows([(8, 16)]))).profile
    assert profile.memory.kv_cache_tokens(max_loras=8, max_lora_rank=16, **SETTINGS) == pytest.approx(
        MEMORY.kv_cache_tokens(max_loras=8, max_lora_rank=16, **SETTINGS), rel=0.005
    )
    assert 192 * 64 * profile.memory.slot_bytes_per_rank > 65e9
    assert profile.memory.kv_cache_tokens(max_loras=192, max_lora_rank=64, **SETTINGS) == 0
    assert {"memory.slot_bytes", "memory.slot_bytes_per_rank"} <= set(profile.undetermined)


@pytest.mark.parametrize("rank", [8, 16, 64])
def test_servers_of_one_rank_leave_the_cost_of_a_rank_to_the_shapes(rank):
    fitted = fit(Measurements(H100, memory=memory_rows([(8, rank), (32, rank), (48, rank)])))
    memory = fitted.profile.memory
    assert memory.slot_bytes_per_rank == pytest.approx(SHAPES.slot_bytes_per_rank, rel=0.03)
    assert memory.kv_cache_tokens(max_loras=40, max_lora_rank=rank, **SETTINGS) == pytest.approx(
        MEMORY.kv_cache_tokens(max_loras=40, max_lora_rank=rank, **SETTINGS), rel=0.005
    )
    assert "memory.slot_bytes_per_rank" in fitted.profile.undetermined


def base_steps(*batches: int) -> pl.DataFrame:
    """Return decode steps of the base model, 7 ms and 58 us per request of 1,024 tokens."""
    names = ["max_loras", "max_lora_rank", "tokens", "context", "adapters", "running", "seconds"]
    rows = [(0, 16, float(n), 1024.0 * n, 0.0, float(n), 7e-3 + 58e-6 * n) for n in batches]
    return pl.DataFrame(rows, schema=names, orient="row")


@pytest.mark.parametrize("batches", [(1,), (1, 8, 32, 64, 128)])
def test_steps_of_the_base_model_leave_the_costs_of_lora_and_long_steps_to_the_start(batches):
    fitted = fit(Measurements(H100, steps=base_steps(*batches)))
    cost, start = fitted.profile.step_cost, LLAMA.step_cost
    for name in STEP_TERMS:
        if name not in ("host_base", "weights", "per_token", "per_context_token", "per_sequence"):
            assert getattr(cost, name) == getattr(start, name)
            assert f"step_cost.{name}" in fitted.profile.undetermined or getattr(cost, name) == 0.0
    assert cost.host_base + cost.gpu_base + cost.weights == pytest.approx(7e-3, rel=0.02)
    assert min(cost.host_base, cost.weights, cost.per_token, cost.per_context_token, cost.per_sequence) > 0
    model = step_coefficients(fitted.profile, Server(max_loras=0))
    for n in batches:
        seconds = step_seconds(model, tokens=n, sequences=n, adapters=0, context=1024 * n)
        planning = LLAMA.scheduler_cost.base + LLAMA.scheduler_cost.per_running * n
        assert seconds + planning == pytest.approx(7e-3 + 58e-6 * n, rel=0.02)


def test_decodes_of_one_length_cannot_tell_a_token_from_its_context():
    fitted = fit(Measurements(H100, steps=base_steps(1, 8, 32, 64, 128)))
    together = {"step_cost.per_token", "step_cost.per_context_token", "step_cost.per_sequence"}
    assert together <= set(fitted.profile.undetermined)


def test_loads_of_one_rank_leave_the_cost_of_a_rank_to_the_start():
    loads = pl.DataFrame(
        {"source": ["host", "disk"], "rank": [16, 16], "max_lora_rank": [16, 16], "seconds": [0.0075, 0.1]}
    )
    fitted = fit(Measurements(H100, loads=loads))
    cost = fitted.profile.load_cost
    assert cost.to_gpu(16, 16) == pytest.approx(0.0075, rel=0.02)
    assert cost.from_disk(16) == pytest.approx(0.1, rel=0.02)
    assert cost.disk_per_rank == pytest.approx(LLAMA.load_cost.disk_per_rank, rel=0.5)
    assert cost.gpu_per_padding == LLAMA.load_cost.gpu_per_padding
    assert {"load_cost.disk_per_rank", "load_cost.gpu_per_padding"} <= set(fitted.profile.undetermined)


def test_planning_of_one_batch_size_leaves_the_cost_of_a_request_above_zero():
    planning = pl.DataFrame({"running": [64, 64], "waiting": [0, 0], "seconds": [200e-6, 202e-6]})
    fitted = fit(Measurements(H100, planning=planning))
    cost = fitted.profile.scheduler_cost
    assert cost.base + 64 * cost.per_running == pytest.approx(201e-6, rel=0.05)
    assert min(cost.base, cost.per_running) > 0
    assert {"scheduler_cost.base", "scheduler_cost.per_running"} & set(fitted.profile.undetermined)


def test_a_start_of_another_server_is_said():
    (sentence,) = [each for each in fit(Measurements(H100, steps=base_steps(1))).warnings if "another server" in each]
    assert sentence == (
        f"what is taken from {START} is of another server (NVIDIA H100 64 GB (MareNostrum 5) instead of "
        "NVIDIA H100 80 GB) and may be far off"
    )


def test_the_constants_that_were_kept_are_those_of_the_start():
    fitted = fit(Measurements(H100, steps=base_steps(1)))
    kept = {each.constant: each for each in fitted.undetermined if each.kept}
    assert all(each.value == each.start for each in kept.values())
    assert kept["step_cost.expand_block"].start == LLAMA.step_cost.expand_block
    assert kept["request_latency"].value == LLAMA.request_latency
    assert kept["scheduler_cost.per_waiting"].value == LLAMA.scheduler_cost.per_waiting
    assert kept["scrape_cost.per_label"].value == LLAMA.scrape_cost.per_label
    assert np.isclose(kept["memory.activation_bytes"].value, USUAL_ACTIVATION)
