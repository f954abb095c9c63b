"""Results of vllm bench serve, latency and throughput."""

import json
import math

import pytest
from tests.calibration.own_files import bench_serve, written

from adaptwin import SpecError
from adaptwin.calibration.sources.registry import read_source
from adaptwin.calibration.sources.vllm_bench_latency import SentBatch


@pytest.fixture
def read(tmp_path):
    """Read data as a file."""
    return lambda data, **given: read_source(written(tmp_path / "result.json", data), **given)


def test_figures_are_in_seconds_and_lengths_per_request(read):
    source = read(bench_serve())
    [result] = source.found
    assert source.kind == "result of vllm bench serve"
    assert (result.ttft.mean, result.ttft.p50, result.ttft.p99) == (0.040, 0.038, 0.070)
    assert (result.tpot.mean, result.itl.mean, result.time_per_token) == (0.010, 0.0101, 0.010)
    assert (result.prompt_tokens, result.answer_tokens) == (200.0, 100.0)
    assert (result.request_rate, result.completed, result.failed, result.duration) == (1.0, 100, 0, 100.0)
    assert (result.model, result.gpu, result.date) == ("Qwen/Qwen2.5-7B-Instruct", "NVIDIA L40S", "20260502")


def test_what_the_older_script_leaves_out_is_not_known(read):
    old = bench_serve(best_of=1)
    for key in ("failed", "burstiness", "max_concurrency", "gpu_name", "median_itl_ms", "mean_itl_ms", "p99_itl_ms"):
        del old[key]
    [result] = read(old).found
    assert (result.failed, result.gpu, result.itl.mean, result.burstiness) == (0, None, None, 1.0)


def test_requests_that_were_not_answered_count_as_failed(read):
    old = bench_serve(num_prompts=120)
    del old["failed"]
    assert read(old).found[0].failed == 20


@pytest.mark.parametrize("rate", ["inf", math.inf])
def test_an_infinite_rate_sends_all_at_once(read, rate):
    [result] = read(bench_serve(request_rate=rate, max_concurrency=8)).found
    assert result.sends_all_at_once
    assert result.is_closed_loop
    assert result.max_concurrency == 8


def test_detailed_results_have_the_length_of_each_request(read):
    lists = {"input_lens": [200] * 100, "output_lens": [100] * 99 + [0], "ttfts": [0.04] * 100}
    [result] = read(bench_serve(**lists)).found
    assert result.pairs == ((200, 100),) * 99


def test_lists_that_were_cut_are_not_those_of_all_requests(read):
    assert read(bench_serve(input_lens=[200], output_lens=[100])).found[0].pairs == ()


def test_appended_results_are_several(read):
    text = "\n".join(json.dumps(bench_serve(request_rate=rate)) for rate in (1.0, 4.0))
    source = read(text)
    assert [(each.place, each.request_rate) for each in source.found] == [("line 1", 1.0), ("line 2", 4.0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": None}, "duration: is missing"),
        ({"duration": "long"}, "duration: 'long' must be a number from 0 to 1e\\+12"),
        ({"duration": 1e300}, "duration: 1e\\+300 must be a number from 0"),
        ({"input_lens": [1e300]}, "input_lens: must be a list of numbers of at least 0"),
        ({"completed": 1.5}, "completed: 1.5 must be a whole number"),
        ({"ramp_up_strategy": "linear"}, "ramp_up_strategy: the request rate was ramped up"),
        ({"spec_decode_acceptance_rate": 70.0}, "the server decodes speculatively"),
        ({"input_sequence_throughput": 10.0}, "is a benchmark of embeddings"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_field(read, changes, message):
    with pytest.raises(SpecError, match=message):
        read(bench_serve(**changes))


LATENCY = {"avg_latency": 1.5, "latencies": [1.5, 1.5], "percentiles": {"50": 1.5}}
THROUGHPUT = {
    "elapsed_time": 10.0, "num_requests": 100, "total_num_tokens": 30_000, "requests_per_second": 10.0,
    "tokens_per_second": 3000.0,
}  # fmt: skip


def test_a_latency_result_needs_what_was_sent(read):
    with pytest.raises(SpecError, match="give --input-len, --output-len and --batch-size"):
        read(LATENCY)
    [result] = read(LATENCY, sent=SentBatch(32, 128, 8)).found
    assert (result.tool, result.completed, result.duration) == ("vllm bench latency", 8, 1.5)
    assert (result.prompt_tokens, result.answer_tokens) == (32, 128)
    assert result.is_offline


def test_a_throughput_result_needs_lengths_that_make_its_sum(read):
    with pytest.raises(SpecError, match=r"in one sum \(300 for each request\): give --input-len and --output-len"):
        read(THROUGHPUT)
    with pytest.raises(SpecError, match="are 128 tokens for each request, but the file has 300"):
        read(THROUGHPUT, sent=SentBatch(64, 64))
    [result] = read(THROUGHPUT, sent=SentBatch(200, 100)).found
    assert (result.completed, result.duration, result.output_throughput) == (100, 10.0, 1000.0)
