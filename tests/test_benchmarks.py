"""The twin against real measurements: a smoke test of what ``make accuracy`` measures in full."""

import importlib.util
from pathlib import Path

import pytest

from adaptwin import load_profile
from adaptwin.calibration.compare import compare, profile_error

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
RUNS = 6  # runs per model
RATE = 60.0  # requests/s; runs at higher rates take long


@pytest.fixture(scope="module")
def h100_runs(shared_data):
    spec = importlib.util.spec_from_file_location("h100_runs", BENCHMARKS / "h100_runs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.DATA.is_dir():
        pytest.skip(f"needs the real measurements in {module.DATA}")
    return module


@pytest.mark.parametrize("model", ["llama-3.1-8b-instruct", "qwen-2.5-7b-instruct"])
def test_the_twin_is_near_real_runs_it_was_not_fitted_to(h100_runs, model):
    calm = [run for run in h100_runs.measured_runs(model, "validation") if run.workload.rate < RATE]
    spread = sorted(calm, key=lambda run: (run.server.max_loras, run.workload.rate, run.name))
    chosen = [spread[(2 * i + 1) * len(spread) // (2 * RUNS)] for i in range(RUNS)]
    assert len({run.server.max_loras for run in chosen}) >= 4
    error = profile_error(compare(load_profile(h100_runs.MODELS[model]), chosen))
    assert error.throughput < 5
    assert error.itl < 20


def test_measured_runs_are_read_as_they_were_made(h100_runs):
    runs = h100_runs.measured_runs("llama-3.1-8b-instruct", "all")
    parts = [h100_runs.measured_runs("llama-3.1-8b-instruct", split) for split in ("calibration", "validation")]
    assert len(runs) == sum(map(len, parts)) > 200
    assert {run.name for run in parts[0]}.isdisjoint(run.name for run in parts[1])
    assert all(run.server.max_cpu_loras >= run.server.max_loras for run in runs)
    assert all(run.throughput > 0 and run.itl_mean > 0 and run.ttft_p50 > 0 for run in runs)
    assert all(run.server.max_lora_rank >= run.workload.max_rank for run in runs)
