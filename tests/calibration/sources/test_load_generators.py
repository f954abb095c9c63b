"""Reports of guidellm and of inference-perf."""

import pytest
from tests.calibration.own_files import guidellm, inference_perf, written

from adaptwin import SpecError
from adaptwin.calibration.sources.registry import read_source


@pytest.fixture
def read(tmp_path):
    """Read data as a file."""
    return lambda data: read_source(written(tmp_path / "report.json", data))


def test_guidellm_counts_the_first_token_in_its_time_per_token_so_only_its_inter_token_latency_is_taken(read):
    source = read(guidellm())
    [result] = source.found
    assert source.kind == "report of guidellm"
    assert (result.tpot.mean, result.itl.mean, result.time_per_token) == (None, 0.012, 0.012)
    assert (result.request_rate, result.arrivals, result.max_concurrency) == (1.0, "constant", None)
    assert (result.completed, result.duration, result.prompt_tokens) == (30, 31.0, 200.0)
    assert result.model == "Qwen/Qwen2.5-7B-Instruct"


@pytest.mark.parametrize(
    ("strategy", "streams"),
    [({"type_": "synchronous"}, 1), ({"type_": "concurrent", "streams": 4}, 4), ({"type_": "throughput"}, None)],
)
def test_guidellm_strategies_say_how_many_requests_are_open(read, strategy, streams):
    [result] = read(guidellm(**strategy)).found
    assert result.sends_all_at_once
    assert result.max_concurrency == streams


def test_a_report_of_version_2_has_its_model_in_the_backend(read):
    report = guidellm()
    backend = {"model": "e2e-mock-model", "target": "http://127.0.0.1:8765"}
    report |= {"metadata": {"version": 2}, "args": None, "config": {"spec": {"backend": backend}}}
    [result] = read(report).found
    assert (result.model, result.is_mock) == ("e2e-mock-model", True)


def test_a_report_of_guidellm_0_3_has_its_strategy_and_totals_elsewhere(read):
    report = guidellm()
    [row] = report["benchmarks"]
    row["args"] = row.pop("config")
    row["request_totals"] = row["metrics"].pop("request_totals")
    row |= {"start_time": 1000.0, "end_time": 1030.0}
    del row["scheduler_metrics"]
    [result] = read(report).found
    assert (result.request_rate, result.completed, result.duration) == (1.0, 30, 30.0)


def test_a_strategy_that_is_not_known_is_refused(read):
    with pytest.raises(SpecError, match=r"benchmarks\[0\]: the strategy 'sweep' is not one of concurrent"):
        read(guidellm(type_="sweep"))


def test_inference_perf_has_seconds(read):
    source = read(inference_perf())
    [result] = source.found
    assert source.kind == "report of inference-perf"
    assert (result.tpot.mean, result.itl.mean, result.ttft.mean) == (0.01, 0.01, 0.03)
    assert (result.request_rate, result.completed, result.duration) == (1.0, 60, 60.0)
    assert not result.is_streamed_oddly


def test_gaps_between_events_that_are_not_tokens_give_way_to_the_latency_of_requests(read):
    """1.03 s less 30 ms for 100 tokens are 10 ms each; the report says 5, as each token came in two events."""
    report = inference_perf()
    report["successes"]["latency"]["time_per_output_token"]["mean"] = 0.005
    [result] = read(report).found
    assert result.is_streamed_oddly
    assert result.tpot.mean == pytest.approx(0.01)
    assert result.itl.mean is None


def test_a_summary_over_stages_is_refused(read):
    with pytest.raises(SpecError, match="is a summary over several stages"):
        read(inference_perf(load_summary={"count": 600, "schedule_delay": {"mean": 0.1}}))


def test_a_report_from_prometheus_is_refused_with_its_contradiction(read):
    report = {
        "load_summary": {},
        "successes": {"count": 100, "rate": 10.0, "prompt_len": {"mean": 1000, "rate": 500.0}},
        "failures": {},
    }
    with pytest.raises(SpecError, match="10 requests/s with prompts of 1,000 tokens are 10,000 tokens/s, not 500"):
        read(report)


def test_a_configuration_is_no_report(tmp_path):
    text = "load:\n  type: constant\napi:\n  type: completion\nserver:\n  type: vllm\n"
    with pytest.raises(SpecError, match="is a configuration of inference-perf: give the reports that it made"):
        read_source(written(tmp_path / "config.yml", text))


@pytest.mark.parametrize("end", [1000.0, 900.0])
def test_a_benchmark_that_ends_before_it_begins_is_refused(read, end):
    report = guidellm()
    report["benchmarks"][0]["scheduler_metrics"]["measure_end_time"] = end
    with pytest.raises(SpecError, match=r"scheduler_metrics\.measure_end_time: is not after measure_start_time"):
        read(report)


def test_requests_that_take_no_longer_than_their_first_token_are_refused(read):
    report = inference_perf()
    report["successes"]["latency"]["request_latency"]["mean"] = 0.03
    with pytest.raises(SpecError, match=r"request_latency: a mean of 0\.03 s is not above that of time_to_first_token"):
        read(report)
