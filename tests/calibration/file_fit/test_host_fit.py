"""The host's time and the GPU's speed from runs that the twin has made with known ones."""

import numpy as np
import pytest

from adaptwin import Server, SpecError, derive_profile
from adaptwin.calibration.file_fit.host_fit import fit_host, gpu_is_told, told_request_latency, with_host_and_gpu
from adaptwin.calibration.file_fit.replay import replay_of
from adaptwin.calibration.sources.bench_result import BenchResult, LatencyFigures

DERIVED = derive_profile(gpu="l40s", model="Qwen/Qwen2.5-3B", vllm_version="0.8.5")


def result(rate=1.0, **changes):
    """100 requests of 200 and 100 tokens at a rate, with no times yet."""
    lengths = {"prompt_tokens": 200.0, "answer_tokens": 100.0}
    return BenchResult(tool="t", request_rate=rate, completed=100, duration=100.0, **{**lengths, **changes})


def run_of(host, gpu=1.0, latency=DERIVED.request_latency, **traffic):
    """A run of a server with this time of the host and this factor of the GPU's times, as the twin plays it."""
    true = with_host_and_gpu(DERIVED, np.array([host, gpu])).model_copy(update={"request_latency": latency})
    replay = replay_of(result(**traffic), Server(max_loras=0), "run")
    run = replay.played(true)
    figures = {"seconds": replay.simulated(run)}
    return replay._replace(**figures, ttft=run.ttft.p50, ttft_is_median=True)


@pytest.mark.parametrize("host", [0.2e-3, 1.5e-3, 7e-3])
def test_one_idle_run_tells_the_hosts_time(host):
    found = fit_host(DERIVED, [run_of(host)])
    assert found.host_base == pytest.approx(host, rel=2e-3)
    assert found.gpu_factor is None
    assert found.after == pytest.approx(1.0, abs=1e-3)


def test_the_rest_of_the_profile_stays_as_it_was():
    found = fit_host(DERIVED, [run_of(4e-3)]).profile
    cost = DERIVED.step_cost.model_copy(update={"host_base": found.step_cost.host_base})
    assert found == DERIVED.model_copy(update={"step_cost": cost})


def test_runs_at_loads_that_differ_tell_the_speed_of_the_gpu_as_well():
    runs = [run_of(4e-3, 1.3, rate=rate, prompt_tokens=2000.0) for rate in (0.5, 8.0, 12.0)]
    found = fit_host(DERIVED, runs)
    assert found.host_base == pytest.approx(4e-3, rel=0.02)
    assert found.gpu_factor == pytest.approx(1.3, rel=0.01)


def test_runs_at_equal_loads_do_not_tell_them_apart():
    assert fit_host(DERIVED, [run_of(3e-3, rate=rate) for rate in (0.5, 0.6)]).gpu_factor is None


def test_slopes_that_are_parallel_tell_nothing_and_those_that_differ_do():
    assert not gpu_is_told(np.array([[100.0, 0.8], [100.0, 0.8]]))
    assert gpu_is_told(np.array([[200.0, 0.3], [20.0, 1.2]]))


def test_a_run_of_which_the_gpu_alone_takes_longer_is_refused():
    run = run_of(0.0)
    with pytest.raises(SpecError, match="without any time of the host: check --gpu, --model, --quantization"):
        fit_host(DERIVED, [run._replace(seconds=0.8 * run.seconds)])


def test_a_host_that_would_take_long_is_refused():
    run = run_of(0.0)
    with pytest.raises(SpecError, match=r"would need 24\.9 ms of the host for each step; 1 to 7 ms were seen"):
        fit_host(DERIVED, [run._replace(seconds=run.seconds + 25e-3)])


def test_runs_that_contradict_each_other_are_refused():
    runs = [run_of(host) for host in (0.5e-3, 12e-3)]
    with pytest.raises(SpecError, match="the runs contradict each other"):
        fit_host(DERIVED, runs)


def test_a_run_in_which_requests_queue_is_left_out_beside_others():
    idle, overloaded = run_of(3e-3), run_of(3e-3, rate=5000.0, answer_tokens=1000.0, prompt_tokens=4000.0)
    found = fit_host(DERIVED, [idle, overloaded._replace(seconds=2 * overloaded.seconds)])
    assert found.used.tolist() == [True, False]
    assert found.host_base == pytest.approx(3e-3, rel=2e-3)


def test_ttft_tells_the_latency_of_a_request():
    latency, why = told_request_latency(DERIVED, [run_of(1.5e-3, latency=12e-3)])
    assert latency == pytest.approx(12e-3, rel=0.01)
    assert why == ""


@pytest.mark.parametrize(
    ("more", "message"),
    [(-20e-3, "did the prompts lie in the prefix cache"), (0.2, "which is no latency of an API server")],
)
def test_a_ttft_that_is_none_of_a_latency_tells_nothing(more, message):
    run = run_of(1.5e-3)
    latency, why = told_request_latency(DERIVED, [run._replace(ttft=run.ttft + more)])
    assert latency is None
    assert message in why


def test_a_closed_loop_tells_no_latency():
    closed = replay_of(result(None, max_concurrency=4, ttft=LatencyFigures(0.1, 0.1)), Server(max_loras=0), "run")
    assert closed.ttft is None
    assert told_request_latency(DERIVED, [closed])[0] is None


def test_a_batch_without_a_server_is_compared_by_its_duration():
    lengths = {"prompt_tokens": 32.0, "answer_tokens": 128.0, "most_prompt_tokens": 32.0, "most_answer_tokens": 128.0}
    batch = result(None, is_offline=True, **lengths)
    replay = replay_of(batch, Server(max_loras=0), "latency")
    assert replay.figure == "duration"
    true = with_host_and_gpu(DERIVED, np.array([5e-3, 1.0]))
    run = replay._replace(seconds=replay.played(true).simulated)
    assert fit_host(DERIVED, [run]).host_base == pytest.approx(5e-3, rel=2e-3)
