"""Files that other people published: each is fitted, or refused with a reason that says what is wrong with it."""

from pathlib import Path

import pytest

from adaptwin import SpecError
from adaptwin.calibration.file_fit.file_fit import fit_to_files

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "schemas" / "samples"
LLAMA = {"model": "meta-llama/Llama-3.1-8B", "vllm_version": "0.8.5"}
FITTED = {  # options that the file leaves open, and constants that it corrects
    "bench/vllm_bench_serve_2025-06.json": (LLAMA, {"step_cost.host_base", "request_latency"}),
    "bench/inference-perf_stage_0_lifecycle_metrics.json": (
        {**LLAMA, "gpu": "h100-sxm"},
        {"step_cost.host_base", "request_latency"},
    ),
    "vllm/lora_effect_v0.27_excerpt.txt": (
        {"gpu": "rtx-4090", "vllm_version": "0.27.0"},
        {"memory.weights_bytes", "memory.activation_bytes", "memory.graph_bytes"},
    ),
    "vllm/startup_v0.31.txt": (
        {"gpu": "l40s"},
        {"memory.weights_bytes", "memory.activation_bytes", "memory.graph_bytes"},
    ),
    "vllm/metrics_lora_server_2026-09.txt": (
        {"gpu": "l4", "vllm_version": "0.29.0"},
        {"memory.activation_bytes", "memory.graph_bytes"},
    ),
}
REFUSED = {
    "bench/guidellm_report_v1_sample.json": "3 answered requests are too few",
    "bench/guidellm_report_v2_trimmed.json": "the server was a stand-in",
    "bench/inference-perf_multilora_config.yml": "is a configuration of inference-perf",
    "bench/inference-perf_stage_0_prometheus_metrics.json": "and contradicts itself",
    "bench/inference-perf_summary_lifecycle_metrics.json": "is a summary over several stages",
    "bench/vllm_benchmark_serving_2024-11_detailed.json": "before vLLM 0.8: the V0 engine",
    "vllm/metrics_old_0.6.txt": "is a metric of the V0 engine",
    "vllm/startup_v0.7-0.8_v1.txt": "these lines are not of one start",
    "vllm/startup_v0.8.txt": "the log is of a V0 engine",
    "vllm/startup_v0.9_lora.txt": "6 hours after line 3: these lines are not of one start",
    "vllm/startup_v0.11_lora.txt": "is of EngineCore_DP0 7050, and others are of EngineCore_DP0 424717",
    "vllm/startup_v0.19_lora.txt": "are 65,553 bytes a token; a token of",
    "vllm/startup_v0.24.txt": "434 hours after line 1: these lines are not of one start",
    "vllm/startup_v0.29_debug_memory.txt": "the model took 55.87 GiB, and the weights of",
    "vllm/startup_v0.30_cpu.txt": "the server runs on a CPU",
}


def names():
    """Samples in the folder, or one that says that it is absent."""
    found = [path for folder in ("bench", "vllm") for path in sorted((SAMPLES / folder).glob("*"))]
    return [str(path.relative_to(SAMPLES)) for path in found] or ["absent"]


@pytest.mark.parametrize("name", names())
def test_a_sample_is_fitted_or_refused_with_a_reason(name):
    if name == "absent":
        pytest.skip(f"{SAMPLES} is not there")
    if name in FITTED:
        options, corrected = FITTED[name]
        assert {*fit_to_files([SAMPLES / name], **options).corrected} == corrected
        return
    options = {"gpu": "l40s", **LLAMA}
    with pytest.raises(SpecError) as refused:
        fit_to_files([SAMPLES / name], **options)
    assert REFUSED[name] in str(refused.value)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"{SAMPLES} is not there")
def test_the_lines_of_one_start_in_a_log_of_several_are_fitted(tmp_path):
    """What the reason for the refusal asks for: the lines of one start only, here of a GPU with 32 GB."""
    lines = (SAMPLES / "vllm" / "startup_v0.24.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "one.log").write_text("".join(line for line in lines if "07-09 21:" in line), encoding="utf-8")
    with pytest.raises(SpecError, match="check --gpu"):  # no data sheet is of this GPU
        fit_to_files([tmp_path / "one.log"], gpu="l40s", model="Qwen/Qwen2.5-7B-Instruct")
