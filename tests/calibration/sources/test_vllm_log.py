"""Start-up logs of vLLM: the facts of one start, and logs that are refused."""

import pytest
from tests.calibration.own_files import LOG, written

from adaptwin import SpecError
from adaptwin.calibration.sources.not_modelled import NotModelledError
from adaptwin.calibration.sources.registry import read_source

GIB = 1024**3
ONE_LINE = (
    "INFO 10-08 16:50:30 [kv_cache_utils.py:2464] GPU KV cache size: 651,504 tokens, Maximum concurrency for 4,096 "
    "tokens per request: 159.06x"
)
DEBUG_TOTAL = (
    "INFO 05-05 15:25:32 [worker.py:267] the current vLLM instance can use total_gpu_memory (79.15GiB) x "
    "gpu_memory_utilization (0.90) = 71.23GiB"
)
DEBUG_PARTS = (
    "DEBUG Memory profiling takes 31.20 seconds. Total non KV cache memory: 63.53GiB; torch peak memory increase: "
    "2.04GiB; non-torch forward increase memory: 0.25GiB; weights memory: 55.87GiB."
)


@pytest.fixture
def read(tmp_path):
    """Read text as a file, and return the facts in it."""
    return lambda text: read_source(written(tmp_path / "vllm.log", text)).found[0]


def test_a_log_says_memory_settings_and_version(read):
    facts = read(LOG)
    assert (facts.vllm_version, facts.model) == ("0.24.0", "Qwen/Qwen2.5-7B-Instruct")
    assert (facts.max_model_len, facts.max_num_seqs, facts.max_num_batched_tokens) == (8192, 256, 2048)
    assert (facts.gpu_memory_utilization, facts.tensor_parallel_size, facts.enforce_eager) == (0.9, 1, False)
    assert (facts.quantization, facts.kv_cache_dtype, facts.block_size) == (None, None, None)
    assert facts.weights_bytes == pytest.approx(14.37 * GIB)
    assert facts.graph_bytes == pytest.approx(0.60 * GIB)
    assert facts.kv_cache_bytes == pytest.approx(23.36 * GIB)
    assert (facts.kv_cache_tokens, facts.slots, facts.starts) == (437_392, 0, 1)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("INFO 01-30 03:18:12 x.py:848] Loading model weights took 67.72 GB", "weights_bytes", 67.72 * GIB),
        ("INFO 06-16 13:24:55 [x.py:1] Model loading took 14.43 GiB and 2.57 s", "weights_bytes", 14.43 * GIB),
        ("INFO 01-30 03:19:14 kv_cache_utils.py:395] # GPU blocks: 1381", "kv_blocks", 1381),
        (ONE_LINE, "max_model_len", 4096),
        (DEBUG_TOTAL, "total_gpu_bytes", 79.15 * GIB),
        (DEBUG_PARTS, "weights_bytes", 55.87 * GIB),
        ("$ vllm serve org/model --max-loras 4 --enable-lora --max-lora-rank=32", "max_lora_rank", 32),
        ("$ vllm serve org/model -tp 2 --max_model_len 4096", "tensor_parallel_size", 2),
        ("$ vllm serve org/model --enable-lora -tp=2", "enable_lora", True),
        ("$ vllm serve org/model -q awq --enforce-eager \\", "enforce_eager", True),
        ("$ vllm serve org/model -q awq", "quantization", "awq"),
        ("$ vllm serve org/model --max_model_len 4096 --no-enable-lora", "max_model_len", 4096),
        ("$ vllm serve org/model --max_model_len 4096 --no-enable-lora", "enable_lora", False),
        ("$ vllm serve org/model --no_enforce_eager", "enforce_eager", False),
        ("$ vllm serve org/model --block-size 32", "block_size", 32),
        ("$ vllm serve --max-loras 4 --model org/model", "model", "org/model"),
        ("$ vllm serve --max-loras 4 org/model", "max_loras", 4),
        ("INFO args: Namespace(model='org/m', block_size=64)", "block_size", 64),
        ("INFO non-default args: {'model': 'org/m', 'max_model_len': -1}", "max_model_len", None),
        ("INFO 06-16 13:24:55 [punica_selector.py:19] Using PunicaWrapperGPU.", "enable_lora", True),
        (
            "x.py] Using configuration from E=8,N=14336,device_name=NVIDIA_H100_80GB_HBM3.json",
            "gpu",
            "NVIDIA H100 80GB HBM3",
        ),
        ("GPU 0: NVIDIA L40S (UUID: GPU-1)", "gpu", "NVIDIA L40S"),
        ("\x1b[1;36m(EngineCore pid=1)\x1b[0;0m INFO 05-02 10:00:00 [x.py:1] # GPU blocks: 7", "kv_blocks", 7),
        ("INFO args: Namespace(model='org/m', max_num_seqs=128, max_loras=3, port=8000)", "max_num_seqs", 128),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_single_lines_of_all_versions_are_read(read, line, field, value):
    found = getattr(read(f"{line}\nINFO Initializing a V1 LLM engine (v0.9.0)\n"), field)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


def test_the_last_start_of_a_log_counts(read):
    again = LOG.replace("05-02 10", "05-02 11").replace("437,392", "437,000").replace("pid=22", "pid=33")
    facts = read(LOG + again.replace("pid=11", "pid=12"))
    assert (facts.kv_cache_tokens, facts.starts) == (437_000, 2)


def test_workers_may_differ_a_little_and_the_smallest_cache_counts(read):
    line = "(Worker pid=23) INFO 05-02 10:02:01 [kv_cache_utils.py:2146] GPU KV cache size: 437,000 tokens\n"
    assert read(LOG + line).kv_cache_tokens == 437_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("INFO 05-02 10:03:00 [x.py:1] GPU KV cache size: 100,000 tokens", "kv_cache_tokens is 437392 in line 7"),
        ("INFO 05-02 10:03:00 [x.py:1] Model loading took 51.75 GiB", "weights_bytes is 14.37 GiB in line 4"),
        ("INFO 05-02 18:03:00 [x.py:1] GPU KV cache size: 437,392 tokens", "8 hours after line 8"),
        ("INFO 05-02 08:03:00 [x.py:1] GPU KV cache size: 437,392 tokens", "2 hours before line 8"),
        ("(EngineCore pid=99) INFO 05-02 10:03:00 [x.py:1] # GPU blocks: 27337", "is of EngineCore 99, and others"),
        ("INFO 05-02 10:03:00 Maximum concurrency for 2,048 tokens per request: 3x", "max_model_len is 8192 in line 2"),
    ],
)
def test_lines_of_different_servers_are_refused(read, line, message):
    with pytest.raises(SpecError, match=message):
        read(f"{LOG}{line}\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("INFO 05-02 10:00:00 [llm_engine.py:234] Initializing a V0 LLM engine (v0.8.5) with config: model='x'", "V0"),
        ("INFO 05-02 10:01:01 [executor_base.py:112] # GPU blocks: 28123, # CPU blocks: 2048", "V0 engine"),
        ("(Worker pid=90) INFO 09-23 07:05:04 [cpu_worker.py:271] Explicitly set (0.25/15.84) GiB for KV", "on a CPU"),
    ],
)
def test_servers_that_are_not_modelled_are_refused(read, line, message):
    with pytest.raises(SpecError, match=message):
        read(line)


@pytest.mark.parametrize(
    "words",
    [
        "--speculative-config '{}'",
        "--speculative_config={}",
        "--speculative-model m",
        '--kv-transfer-config \'{"kv_connector": "NixlConnector"}\'',
        "-pp 2",
        "--data-parallel-size=2",
    ],
)
def test_flags_of_servers_that_are_not_modelled_are_read(read, words):
    with pytest.raises(NotModelledError, match="is not modelled"):
        read(f"$ vllm serve org/model {words}\n{LOG}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tensor_parallel_size=1", "tensor_parallel_size=0", "line 3: tensor_parallel_size 0 must be at least 1"),
        ("'max_num_seqs': 256", "'max_num_seqs': -4", "line 2: max_num_seqs -4 must be at least 1"),
        ("_utilization': 0.9", "_utilization': 0", "line 2: gpu_memory_utilization 0 must be above 0 and at most 1"),
    ],
)
def test_settings_with_which_no_server_starts_are_refused(read, old, new, message):
    with pytest.raises(SpecError, match=message):
        read(LOG.replace(old, new))
