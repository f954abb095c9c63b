"""Memory, loads and planning: known laws are recovered from tables made with them."""

import polars as pl
import pytest
from tests.calibration.simulated_measurements import loads_of, plain_setup, planning_of, true_profile

from adaptwin.calibration.hardware import fit_loads, fit_memory, fit_planning, memory_from_shapes
from adaptwin.calibration.residuals import residual
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.scheduler_cost import SchedulerCost

TRUE = true_profile()
SETUP = plain_setup()
SIZES = ((1, 8), (8, 8), (32, 8), (100, 8), (8, 64), (32, 64), (100, 64))
MIB = 2**20
SHAPES = memory_from_shapes(SETUP)
STEP = SHAPES.profiling_bytes(max_num_seqs=256, max_num_batched_tokens=2048)  # of the profiling step
LAW = MemoryModel(
    gpu_bytes=10 * GIB,
    weights_bytes=SETUP.model.weights_bytes,
    activation_bytes=1 * GIB,
    kv_bytes_per_token=SETUP.model.kv_bytes_per_token,
    activation_bytes_per_token=SHAPES.activation_bytes_per_token,
    activation_bytes_per_seq=SHAPES.activation_bytes_per_seq,
    slot_bytes=2 * MIB,
    slot_bytes_per_rank=1 * MIB,
)


def memory_of(law: MemoryModel, sizes=SIZES) -> pl.DataFrame:
    rows = [
        (s, r, law.kv_cache_tokens(max_loras=s, max_lora_rank=r, **SETUP.memory_settings._asdict())) for s, r in sizes
    ]
    return pl.DataFrame(rows, schema=["max_loras", "max_lora_rank", "kv_cache_tokens"], orient="row")


def test_the_memory_law_is_recovered():
    memory, (part,), unknown, doubts = fit_memory(memory_of(LAW), SETUP)
    assert memory.slot_bytes == pytest.approx(2 * MIB, rel=1e-3)  # tokens are whole blocks
    assert memory.slot_bytes_per_rank == pytest.approx(MIB, rel=1e-4)
    assert memory.activation_bytes == pytest.approx(GIB, rel=1e-4)
    assert memory.gpu_bytes == 10 * GIB
    assert memory.weights_bytes == SETUP.model.weights_bytes
    assert memory.estimated is False
    assert (part.part, part.points) == ("KV cache tokens", 7)
    assert part.worst < 0.01
    # 2 MiB for each of 100 slots are 2.5 % of the 8 GiB: with an error of 0.3 % per server they are known to 12 %
    assert [each.constant for each in unknown] == ["memory.slot_bytes"]
    assert doubts == []


def test_a_memory_law_of_one_rank_worked_out_by_hand():
    """9 GiB less the weights, 1 GiB and the profiling step: without slots 8 GiB - these; a slot of rank 8, 10 MiB.

    With one rank, the rank keeps its cost from the shapes, and the slot takes the rest.
    """
    free = 8 * GIB - SETUP.model.weights_bytes - STEP
    tokens = [int((free - slots * 10 * MIB) / SETUP.model.kv_bytes_per_token) for slots in (0, 100, 200)]
    table = pl.DataFrame({"max_loras": [0, 100, 200], "max_lora_rank": [8, 8, 8], "kv_cache_tokens": tokens})
    memory, _, unknown, _ = fit_memory(table, SETUP)
    assert memory.activation_bytes == pytest.approx(GIB, rel=1e-4)
    assert memory.slot_bytes_per_rank == SHAPES.slot_bytes_per_rank
    assert memory.slot_bytes + 8 * memory.slot_bytes_per_rank == pytest.approx(10 * MIB, rel=1e-3)
    assert {each.constant: each.kept for each in unknown}["memory.slot_bytes_per_rank"] is True


def test_servers_that_did_not_start_are_left_out():
    started = fit_memory(memory_of(LAW), SETUP)
    more = memory_of(LAW, (*SIZES, (400, 64), (2000, 8), (2000, 512)))
    assert more["kv_cache_tokens"].to_list()[-3:] == [0, 0, 0]
    assert fit_memory(more, SETUP) == started


@pytest.fixture
def loads():
    return loads_of(TRUE)


START = LoadCost(gpu_base=1.0, gpu_per_rank=2.0, gpu_per_padding=3.0, disk_base=4.0, disk_per_rank=5.0)


def test_loads_are_recovered(loads):
    cost, parts, unknown, _ = fit_loads(loads, START)
    assert cost.model_dump() == pytest.approx(TRUE.load_cost.model_dump())
    assert [part.part for part in parts] == ["adapter loads from host", "adapter loads from disk"]
    assert [part.points for part in parts] == [4, 4]
    assert all(part.worst < 1e-6 for part in parts)
    assert unknown == []


@pytest.mark.parametrize(("source", "unmeasured"), [("host", "disk_"), ("disk", "gpu_")])
def test_a_source_that_was_not_measured_is_taken_from_the_start(loads, source, unmeasured):
    cost, parts, unknown, _ = fit_loads(loads.filter(pl.col("source") == source), START)
    assert [part.part for part in parts] == [f"adapter loads from {source}"]
    for name, value in cost.model_dump().items():
        assert value == pytest.approx(getattr(START if name.startswith(unmeasured) else TRUE.load_cost, name))
    names = [f"load_cost.{name}" for name in LoadCost.model_fields if name.startswith(unmeasured)]
    assert [each.constant for each in unknown if each.kept] == names


def test_of_loads_that_are_alike_the_median_counts(loads):
    stalled = loads.with_columns(seconds=pl.col("seconds") * 40)
    assert fit_loads(pl.concat([loads, loads, stalled]), START).costs == fit_loads(loads, START).costs


def test_planning_is_recovered_and_waiting_is_left_to_the_runs():
    start = SchedulerCost(base=1.0, per_running=1.0, per_waiting=7e-6)
    cost, (part,), unknown, _ = fit_planning(planning_of(TRUE), start)
    assert (cost.base, cost.per_running) == pytest.approx((100e-6, 10e-6))
    assert cost.per_waiting == 7e-6
    assert (part.part, part.points) == ("planning a step", 4)
    assert part.worst < 1e-6
    assert unknown == []


def test_a_residual_is_in_percent_of_what_was_measured():
    """Fitted values of 11, 10 and 30 for 10, 20 and 30 are off by 10, 50 and 0 %."""
    part = residual("x", [11.0, 10.0, 30.0], [10.0, 20.0, 30.0])
    assert part == ("x", 3, pytest.approx(20.0), pytest.approx(50.0))
