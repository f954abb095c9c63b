"""fit_to_files: profiles from logs and benchmark results, what is taken from each, and the evidence."""

import json

import pytest
from tests.calibration.own_files import LOG, PAGE, bench_serve, guidellm, inference_perf, written

from adaptwin import Profile, Server, SpecError, derive_profile, simulate
from adaptwin.calibration.file_fit.file_fit import fit_to_files
from adaptwin.calibration.file_fit.replay import replay_of
from adaptwin.calibration.sources.registry import read_source
from adaptwin.profile.evidence import CORRECTED, DATA_SHEET, NOT_CLAIMED

QWEN = "Qwen/Qwen2.5-7B-Instruct"
SERVER = {"gpu": "l40s", "model": QWEN, "vllm_version": "0.24.0"}
DERIVED = derive_profile(**SERVER)


@pytest.fixture
def file(tmp_path):
    """Write a file into the folder."""
    return lambda name, data: written(tmp_path / name, data)


def idle(**changes):
    """An idle run at 27 ms per token, which is plausible for the L40S."""
    return bench_serve(**{"mean_tpot_ms": 27.0, "mean_itl_ms": 27.0, "median_ttft_ms": 80.0, **changes})


def test_a_log_and_an_idle_run_correct_memory_and_host(file):
    fitted = fit_to_files([file("vllm.log", LOG), file("idle.json", idle())])
    profile = fitted.profile
    assert {*fitted.corrected} == {
        "memory.weights_bytes", "memory.graph_bytes", "memory.activation_bytes", "step_cost.host_base",
        "request_latency",
    }  # fmt: skip
    assert Server(max_loras=0, gpu_memory_utilization=0.9, max_num_seqs=256, max_num_batched_tokens=2048).kv_tokens_on(
        profile
    ) == pytest.approx(437_392, abs=16)
    assert [use.refused for use in fitted.files] == ["", ""]
    tokens, tpot = fitted.compared
    assert (tokens.figure, tokens.measured) == ("vllm.log: KV tokens", 437_392)
    assert (tpot.figure, tpot.measured) == ("idle.json: TPOT", 0.027)
    assert tpot.corrected == pytest.approx(0.027, rel=1e-3)
    assert tpot.derived != pytest.approx(0.027, rel=1e-3)


def test_the_profile_says_that_it_was_corrected_and_what_stays_derived(file):
    profile = fit_to_files([file("idle.json", idle())], **SERVER).profile
    evidence = profile.evidence
    assert (DERIVED.grade, profile.grade) == (DATA_SHEET, CORRECTED)
    assert profile.is_derived
    assert (profile.error, profile.spread) == (DERIVED.error, DERIVED.spread)
    assert evidence.origins["step_cost.host_base"] == "1 run of this server"
    assert evidence.origins["step_cost.weights"] == DERIVED.evidence.origins["step_cost.weights"]
    assert evidence.compared[0].startswith("idle.json: TPOT: ")
    assert evidence.unchecked == ()
    [version] = DERIVED.evidence.unchecked
    assert version.startswith("vLLM 0.24.0 (compared: ")
    assert evidence.unchecked_with_adapters == (version, "adapters on NVIDIA L40S")
    assert "step_cost.host_base" not in profile.undetermined
    assert {"step_cost.weights", "step_cost.lora_launch", "load_cost.gpu_base"} <= {*profile.undetermined}
    assert profile.source.endswith("; corrected with idle.json")


def test_a_log_alone_leaves_the_grade(file):
    profile = fit_to_files([file("vllm.log", LOG)], gpu="l40s").profile
    assert profile.grade == DATA_SHEET
    assert profile.step_cost == DERIVED.step_cost
    assert profile.evidence.unchecked == DERIVED.evidence.unchecked
    assert profile.evidence.origins["memory.weights_bytes"] == "start of the server (vllm.log)"
    assert profile.evidence.origins["memory.slot_bytes_per_rank"] == DERIVED.evidence.origins["memory"]
    assert "memory" not in profile.evidence.origins


def test_a_corrected_profile_reads_back_and_simulates(file, tmp_path):
    profile = fit_to_files([file("vllm.log", LOG), file("idle.json", idle())]).profile
    profile.write(tmp_path / "profile.yaml")
    again = Profile.read(tmp_path / "profile.yaml")
    assert again == profile
    assert again.grade == CORRECTED


def test_a_profile_changed_by_hand_afterwards_claims_nothing(file):
    profile = fit_to_files([file("idle.json", idle())], **SERVER).profile
    assert profile.model_copy(update={"request_latency": 0.1}).grade == NOT_CLAIMED


def test_a_model_that_the_laws_do_not_describe_stays_unclaimed(file):
    run = file("idle.json", bench_serve(mean_tpot_ms=34.0, model_id="google/gemma-2-9b-it"))
    assert fit_to_files([run], gpu="l40s", vllm_version="0.24.0").profile.grade == NOT_CLAIMED


def test_a_run_under_load_leaves_the_host_known_only_together_with_the_gpu(file):
    busy = idle(request_rate=8.0, duration=15.0, request_throughput=6.6, output_throughput=666.0)
    fitted = fit_to_files([file("busy.json", busy)], **SERVER)
    assert "step_cost.host_base" in fitted.corrected
    assert "step_cost.host_base" in fitted.profile.undetermined
    assert any(sentence.startswith("no run was idle") for sentence in fitted.said)


def test_runs_at_several_loads_tell_the_speed_of_the_gpu(file):
    """The runs are those of a server whose GPU takes 1.2 times as long as the derived one."""
    cost = DERIVED.step_cost
    slow = {
        name: 1.2 * getattr(cost, name) for name in ("gpu_base", "weights", "per_token", "per_sequence", "per_pair")
    }
    server = DERIVED.model_copy(update={"step_cost": cost.model_copy(update=slow)})
    results = []
    for rate in (0.5, 2.0, 3.0):
        empty = bench_serve(request_rate=rate, total_input_tokens=200_000, duration=100 / rate, output_throughput=None)
        path = file(f"at-{rate}.json", empty)
        run = replay_of(read_source(path).found[0], Server(max_loras=0), "x").played(server)
        results.append(file(f"at-{rate}.json", {**empty, "mean_tpot_ms": 1e3 * run.tpot.mean}))
    fitted = fit_to_files(results, **SERVER)
    assert fitted.corrected["step_cost.weights"][1] / cost.weights == pytest.approx(1.2, rel=0.03)
    assert fitted.profile.evidence.origins["step_cost.weights"] == "3 runs of this server"


def test_without_a_version_the_newest_is_assumed_and_it_is_said(file):
    fitted = fit_to_files([file("idle.json", idle())])
    assert fitted.profile.vllm_version == "0.33.0"
    assert "vLLM 0.33.0 is assumed: no file says its version (--vllm-version)" in fitted.said


def test_files_that_cannot_be_used_are_listed_with_the_reason(file):
    failed = bench_serve(failed=50)
    fitted = fit_to_files([file("idle.json", idle()), file("failed.json", failed), file("x.txt", "hello")], **SERVER)
    assert fitted.files[0].refused == ""
    assert fitted.files[1].refused.startswith("50 of 150 requests failed")
    assert fitted.files[2].refused.startswith("this is nothing that fit reads")


def test_a_file_alone_that_cannot_be_used_is_an_error_with_its_name(file):
    path = file("failed.json", bench_serve(failed=50))
    with pytest.raises(SpecError) as refused:
        fit_to_files([path], **SERVER)
    assert str(refused.value).startswith(f"{path}: 50 of 150 requests failed")


def test_files_none_of_which_can_be_used_are_an_error_with_all_reasons(file):
    paths = [file("a.json", bench_serve(failed=50)), file("b.json", bench_serve(completed=2, num_prompts=2))]
    with pytest.raises(SpecError, match=r"none of the files can be used: .*a\.json: 50 of .*b\.json: 2 answered"):
        fit_to_files(paths, **SERVER)


def test_one_of_several_results_in_a_file_may_be_left_out(file):
    lines = "\n".join(json.dumps(each) for each in (idle(), idle(failed=50)))
    fitted = fit_to_files([file("runs.jsonl", lines)], **SERVER)
    [use] = fitted.files
    assert use.left[0].startswith("line 2: 50 of 150 requests failed")
    assert use.taken[0].startswith("TPOT of 27 ms with ")


@pytest.mark.parametrize(
    ("name", "data"),
    [("guidellm.json", guidellm()), ("stage_0.json", inference_perf())],
)
def test_reports_of_load_generators_correct_the_host_too(file, name, data):
    fitted = fit_to_files([file(name, data)], gpu="h100-sxm", model=QWEN, vllm_version="0.24.0")
    assert "step_cost.host_base" in fitted.corrected


def test_a_metrics_page_corrects_the_size_of_the_cache_and_no_time(file):
    fitted = fit_to_files([file("metrics.txt", PAGE)], gpu="l40s", vllm_version="0.24.0")
    assert {*fitted.corrected} == {"memory.activation_bytes"}
    [use] = fitted.files
    assert "say nothing of a step" in use.left[0]
    assert use.assumed == ["4 slots of max_lora_rank 16, max_num_seqs 256 (vLLM's defaults)"]


def test_settings_of_a_log_are_those_of_the_runs(file):
    """A server for one request at a time makes two wait for each other; without the log they would run at once."""
    alone = LOG.replace("'max_num_seqs': 256", "'max_num_seqs': 1")
    run = idle(request_rate=None, max_concurrency=4, duration=280.0, output_throughput=None, mean_ttft_ms=8000.0)
    fitted = fit_to_files([file("vllm.log", alone), file("run.json", run)])
    assert fitted.uncovered[0].startswith("runs had 1.0 requests at a time")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("tensor_parallel_size=1", "tensor_parallel_size=2"), "are 57,346 bytes a token; .* 28,672"),
        (("pipeline_parallel_size=1", "pipeline_parallel_size=2"), "line 3: pipeline_parallel_size 2 is not modelled"),
        (("data_parallel_size=1", "data_parallel_size=4"), "line 3: data_parallel_size 4 is not modelled"),
        (("speculative_config=None", "speculative_config=x"), "speculative decoding is not modelled"),
        (
            ("'max_num_seqs'", "'speculative_config': {'method': 'ngram', 'model': 'draft'}, 'max_num_seqs'"),
            "line 2: speculative decoding is not modelled",
        ),
        (("device_config=cuda", "device_config=cpu"), "the server runs on a CPU"),
        (("Initializing a V1 LLM engine", "Initializing a V0 LLM engine"), "the log is of a V0 engine"),
        (("14.37 GiB", "51.75 GiB"), "the model took 51.75 GiB"),
    ],
)
@pytest.mark.parametrize("has_run", [False, True], ids=["log", "log and run"])
def test_servers_that_are_not_modelled_or_not_those_that_are_named_are_refused_with_their_runs(
    file, changed, message, has_run
):
    files = [file("vllm.log", LOG.replace(*changed)), *([file("idle.json", idle())] if has_run else [])]
    with pytest.raises(SpecError, match=message) as refused:
        fit_to_files(files, gpu="l40s")
    assert refused.value.file == files[0]


def test_a_run_that_decodes_speculatively_takes_other_runs_along(file):
    files = [file("idle.json", idle()), file("fast.json", idle(spec_decode_acceptance_rate=60.0))]
    with pytest.raises(SpecError, match="the server decodes speculatively, which is not modelled"):
        fit_to_files(files, **SERVER)


def test_a_page_that_contradicts_the_server_leaves_its_runs(file):
    """Of a page, most settings are assumed: here it has 100 times the cache that the GPU holds."""
    page = PAGE.replace("25000", "2500000")
    fitted = fit_to_files([file("metrics.txt", page), file("idle.json", idle())], **SERVER)
    assert fitted.files[0].refused.startswith("KV cache: 40,000,000 KV tokens leave")
    assert "step_cost.host_base" in fitted.corrected


def test_slots_that_are_fully_sharded_take_less_of_each_gpu(file):
    """The start of a 70B model on four GPUs, in which each holds a quarter of all matrices of 16 slots."""
    model = {"gpu": "h100-sxm", "model": "Llama-3.1-70B-Instruct", "vllm_version": "0.24.0"}
    derived = derive_profile(**model, tensor_parallel_size=4)
    settings = {"max_loras": 16, "max_lora_rank": 64, "max_num_seqs": 256, "max_num_batched_tokens": 2048}
    server = Server(**settings, gpu_memory_utilization=0.9, fully_sharded_loras=True)
    tokens = server.kv_tokens_on(derived)
    arguments = {**settings, "tensor_parallel_size": 4, "gpu_memory_utilization": 0.9, "enable_lora": True}
    log = (
        "INFO 05-02 10:00:01 [api_utils.py:273] non-default args: "
        f"{ {'model': 'meta-llama/Llama-3.1-70B-Instruct', **arguments, 'fully_sharded_loras': True} }\n"
        f"INFO 05-02 10:02:01 [kv_cache_utils.py:2146] GPU KV cache size: {tokens:,} tokens\n"
    )
    memory = fit_to_files([file("vllm.log", log)], gpu="h100-sxm", vllm_version="0.24.0").profile.memory
    assert memory.activation_bytes == pytest.approx(derived.memory.activation_bytes, rel=0.01)
    with pytest.raises(SpecError, match=r"KV tokens leave -\d+\.\d+ GiB"):
        fit_to_files(
            [file("vllm.log", log.replace("'fully_sharded_loras': True", "'fully_sharded_loras': False"))],
            gpu="h100-sxm",
            vllm_version="0.24.0",
        )


def test_files_with_one_name_are_told_apart(file, tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
    one = file("a/idle.json", idle())
    with pytest.raises(SpecError, match=r"a/idle\.json is of gpu l40s, and b/idle\.json of h100-sxm"):
        fit_to_files([one, file("b/idle.json", idle(gpu_name="NVIDIA H100 80GB HBM3"))])
    fitted = fit_to_files([one, file("b/idle.json", idle())])
    assert [use.file for use in fitted.files] == ["a/idle.json", "b/idle.json"]
    assert [row.figure for row in fitted.compared] == ["a/idle.json: TPOT", "b/idle.json: TPOT"]


def test_results_of_two_servers_in_one_file_are_refused(file):
    rows = "\n".join(json.dumps(idle(gpu_name=gpu)) for gpu in ("NVIDIA L40S", "NVIDIA H100 80GB HBM3"))
    with pytest.raises(SpecError, match=r"runs.jsonl line 1 is of gpu l40s, and runs.jsonl line 2 of h100-sxm"):
        fit_to_files([file("runs.jsonl", rows)])


def test_an_idle_run_does_not_check_kernels_and_cache(file):
    """One run tells the host's time, so it says nothing of AWQ kernels and of a KV cache in FP8."""
    run = file("idle.json", idle(mean_tpot_ms=20.0, mean_itl_ms=20.0, model_id="Qwen/Qwen2.5-7B-Instruct-AWQ"))
    fitted = fit_to_files([run], gpu="l40s", vllm_version="0.24.0", kv_cache_dtype="fp8")
    assert "step_cost.weights" not in fitted.corrected
    evidence = fitted.profile.evidence
    kernels, cache = evidence.unchecked
    assert "a rough estimate, as no such kernels were compared" in kernels
    assert cache == "a KV cache in FP8"
    assert evidence.unchecked_with_adapters[0].startswith("vLLM 0.24.0 (compared: ")


def test_runs_that_tell_the_speed_of_the_gpu_check_its_kernels(file):
    options = {"gpu": "l40s", "model": "Qwen/Qwen2.5-7B-Instruct-AWQ", "vllm_version": "0.24.0"}
    derived = derive_profile(**options)
    results = []
    for rate in (0.5, 2.0, 3.0):
        path = file(f"at-{rate}.json", {})
        data = bench_serve(
            request_rate=rate, total_input_tokens=200_000, duration=100 / rate, output_throughput=None,
            model_id=options["model"],
        )  # fmt: skip
        run = replay_of(read_source(written(path, data)).found[0], Server(max_loras=0), "x").played(derived)
        results.append(written(path, {**data, "mean_tpot_ms": 1e3 * run.tpot.mean}))
    fitted = fit_to_files(results, **options)
    assert "step_cost.weights" in fitted.corrected
    assert fitted.profile.evidence.unchecked == ()


@pytest.mark.parametrize("gpus", [0, -1])
def test_a_group_without_gpus_is_refused(file, gpus):
    with pytest.raises(SpecError, match=f"tensor_parallel_size: {gpus} is not a whole number of 1 or more"):
        fit_to_files([file("idle.json", idle())], **SERVER, tensor_parallel_size=gpus)


def test_a_file_that_says_0_gpus_is_refused(file):
    with pytest.raises(SpecError, match="tensor_parallel_size: 0 is not a whole number of 1 or more"):
        fit_to_files([file("idle.json", idle(tensor_parallel_size=0))], **SERVER)


def test_a_cache_in_blocks_is_sized_by_the_size_of_a_block(file):
    """27,337 blocks of 16 tokens are the 437,392 of the example, 13,668 of 32 nearly so."""
    lines = [line for line in LOG.splitlines() if "KV cache" not in line]
    log = "\n".join([*lines, "INFO 05-02 10:02:01 [kv_cache_utils.py:395] # GPU blocks: 27337"])
    fitted = fit_to_files([file("vllm.log", log)], gpu="l40s")
    assert fitted.compared[0].measured == 437_392
    assert fitted.files[0].assumed == ["block_size 16 (vLLM's defaults)"]
    wide = log.replace("27337", "13668").replace("'max_num_seqs'", "'block_size': 32, 'max_num_seqs'")
    fitted = fit_to_files([file("vllm.log", wide)], gpu="l40s")
    assert fitted.compared[0].measured == 437_376
    assert fitted.files[0].assumed == []


def test_a_log_of_a_group_of_gpus_is_that_of_each_of_them(file):
    """Two GPUs hold half of the weights each, and a token takes 28 KiB on each."""
    changes = {"tensor_parallel_size=1": "tensor_parallel_size=2", "14.37 GiB": "7.20 GiB", "23.36 GiB": "30.50 GiB"}
    log = LOG.replace("437,392", "1,142,000")
    for old, new in changes.items():
        log = log.replace(old, new)
    profile = fit_to_files([file("vllm.log", log)], gpu="l40s").profile
    assert profile.tensor_parallel_size == 2
    assert profile.memory.weights_bytes == pytest.approx(7.2 * 1024**3)


def test_simulations_with_a_corrected_profile_have_intervals(file):
    from adaptwin import Adapter, Workload

    profile = fit_to_files([file("idle.json", idle())], **SERVER).profile
    run = simulate(profile, Server(max_loras=0), Workload([Adapter("base", 0, 1.0)], duration=300.0))
    assert "itl.mean" in run.intervals
    assert run.assumptions[0].count("derived, base model corrected with runs of this server") == 1
