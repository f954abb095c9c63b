"""Dumps of vLLM's /metrics page, and files of other kinds."""

import pytest
from tests.calibration.own_files import PAGE, bench_serve, written

from adaptwin import SpecError
from adaptwin.calibration.sources.registry import read_source


@pytest.fixture
def read(tmp_path):
    """Read text as a file."""
    return lambda text: read_source(written(tmp_path / "file.txt", text))


def test_a_page_says_the_size_of_the_cache_and_means_since_the_start(read):
    source = read(PAGE)
    [page] = source.found
    assert source.kind == "page of /metrics"
    assert (page.model, page.gpu_memory_utilization, page.max_loras) == ("Qwen/Qwen2.5-7B-Instruct", 0.9, 4)
    assert (page.kv_cache_tokens, page.tokens_per_step, page.tpot_mean) == (400_000, 64.0, 0.02)
    assert (page.ttft_mean, page.requests) == (None, 50.0)


def test_a_number_that_is_too_large_is_not_known(read):
    [page] = read(PAGE.replace('num_gpu_blocks="25000"', 'num_gpu_blocks="1e999"')).found
    assert page.kv_cache_tokens is None


def test_a_page_of_the_old_engine_is_refused(read):
    old = 'vllm:num_requests_swapped{model_name="m"} 0.0\nvllm:cpu_cache_usage_perc{model_name="m"} 0.0\n'
    with pytest.raises(SpecError, match="is a metric of the V0 engine"):
        read(old)


def test_a_page_of_two_models_is_refused(read):
    other = 'vllm:num_requests_running{engine="0",model_name="other"} 1.0\n'
    with pytest.raises(SpecError, match=r"expected one model_name, found Qwen/Qwen2\.5-7B-Instruct, other"):
        read(PAGE + other)


def test_a_page_of_two_engines_is_refused(read):
    other = 'vllm:num_requests_running{engine="1",model_name="Qwen/Qwen2.5-7B-Instruct"} 1.0\n'
    with pytest.raises(SpecError, match="several engines"):
        read(PAGE + other)


def test_files_of_other_kinds_are_named(tmp_path):
    profile = written(tmp_path / "profile.yaml", "memory: {}\nstep_cost: {}\n")
    with pytest.raises(
        SpecError, match="this is a profile, not a log, a benchmark result or a page of metrics of a server"
    ):
        read_source(profile)
    with pytest.raises(SpecError, match="this is nothing that fit reads"):
        read_source(written(tmp_path / "x.json", {"a": 1}))
    with pytest.raises(SpecError, match="line 1: not valid JSON"):
        read_source(written(tmp_path / "y.json", "{"))


def test_the_name_of_a_file_does_not_matter(tmp_path):
    assert read_source(written(tmp_path / "notes.log", bench_serve())).kind == "result of vllm bench serve"
