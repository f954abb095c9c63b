"""Benchmark results as the twin plays them."""

import numpy as np
import pytest

from adaptwin import Server, SpecError
from adaptwin.calibration.file_fit.plausible_result import require_usable
from adaptwin.calibration.file_fit.replay import MOST_PLAYED, replay_of, sharegpt_with_means
from adaptwin.calibration.sources.bench_result import BenchResult, LatencyFigures


def result(**changes):
    """100 requests of 200 and 100 tokens at 2 requests/s, 10 ms per token."""
    usual = {"request_rate": 2.0, "completed": 100, "duration": 50.0, "prompt_tokens": 200.0, "answer_tokens": 100.0}
    return BenchResult(tool="vllm bench serve", **{**usual, "tpot": LatencyFigures(0.01), **changes})


def replayed(**changes):
    return replay_of(result(**changes), Server(max_loras=0), "run")


def test_random_arrivals_have_the_rate_of_the_client():
    arrivals = np.array(replayed().workload.arrivals)
    assert len(arrivals) == 100
    assert arrivals[0] == 0.0
    assert arrivals[-1] == pytest.approx(49.5)
    assert np.diff(arrivals).std() > 0.2


def test_constant_arrivals_are_evenly_spaced():
    assert np.diff(replayed(arrivals="constant").workload.arrivals) == pytest.approx(0.5)


def test_without_a_rate_all_requests_are_there_at_once():
    replay = replayed(request_rate=None, max_concurrency=4)
    assert set(replay.workload.arrivals) == {0.0}
    assert replay.max_in_flight == 4


def test_whole_means_are_those_of_equal_requests():
    replay = replayed()
    assert set(replay.workload.lengths.pairs) == {(200, 100)}
    assert replay.assumed == ()


def test_other_means_are_spread_as_those_of_sharegpt_and_it_is_said():
    replay = replayed(prompt_tokens=205.8, answer_tokens=211.6)
    pairs = np.array(replay.workload.lengths.pairs)
    assert pairs.mean(axis=0) == pytest.approx([205.8, 211.6], rel=0.01)
    assert replay.assumed == ("lengths spread as ShareGPT's around 206 and 212 tokens",)


def test_lengths_that_are_nearly_equal_are_taken_as_equal():
    known = {"most_prompt_tokens": 208.0, "most_answer_tokens": 66.0}
    replay = replayed(prompt_tokens=200.7, answer_tokens=62.4, **known)
    assert set(replay.workload.lengths.pairs) == {(201, 62)}


def test_known_lengths_stay_with_their_requests():
    pairs = tuple((100 + i, 50 + i) for i in range(100))
    assert replayed(pairs=pairs).workload.lengths.pairs == pairs


def test_the_server_takes_the_longest_request_and_no_longer_ones():
    assert replayed().server.max_model_len == 300


def test_of_many_requests_the_first_are_played():
    assert len(replayed(completed=50_000).workload.arrivals) == MOST_PLAYED


def test_all_requests_of_a_batch_are_played_as_its_duration_is_compared():
    replay = replayed(completed=5000, is_offline=True)
    assert len(replay.workload.arrivals) == 5000
    with pytest.raises(SpecError, match="50,000 requests in one batch are too many to simulate"):
        require_usable(result(completed=50_000, is_offline=True))


def test_the_means_of_scaled_lengths_are_kept():
    prompts, answers = sharegpt_with_means(500, 150.0, 300.0)
    assert (prompts.mean(), answers.mean()) == pytest.approx((150.0, 300.0), rel=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_mock": True, "model": "mock"}, "the server was a stand-in"),
        ({"date": "20241109"}, "is of 20241109, before vLLM 0.8"),
        ({"failed": 10}, "10 of 110 requests failed"),
        ({"completed": 3}, "3 answered requests are too few: at least 5"),
        ({"prompt_tokens": None}, "does not say how long prompts and answers were"),
        ({"duration": 0.0}, "the duration of the run is 0, and must be above 0"),
        ({"duration": -5.0}, "the duration of the run is -5, and must be above 0"),
        ({"prompt_tokens": 0.0, "most_prompt_tokens": 0.0}, "the mean of the prompt tokens is 0, and must be above 0"),
        ({"answer_tokens": 0.0, "pairs": ((10, 10),) * 100}, "the mean of the answer tokens is 0, and must be above 0"),
        ({"pairs": ((10, 1),) * 100}, "answers of 1 tokens have no time between tokens"),
        ({"answer_tokens": 1.0}, "answers of 1 tokens have no time between tokens"),
        ({"tpot": LatencyFigures()}, "has neither a time per output token"),
        ({"tpot": LatencyFigures(10e-6)}, r"a mean TPOT of 0.01 ms is not plausible: .* is it in seconds\?"),
        ({"tpot": LatencyFigures(10.0)}, r"a mean TPOT of 1e\+04 ms is not plausible: .* is it in milliseconds\?"),
        ({"output_throughput": 500.0}, "10,000 answer tokens in 50 s are 200 tokens/s, not 500"),
        ({"duration": 10.0}, "100 requests at 2 per second take longer than the 10 s of the run"),
        (
            {"request_rate": None, "max_concurrency": 16, "ttft": LatencyFigures(0.01)},
            "100 answers of 1 s each in 50 s are 2 requests at a time, but the client had 16 open",
        ),
    ],
)
def test_results_that_cannot_be_used_are_refused_with_the_reason(changes, message):
    require_usable(result())
    with pytest.raises(SpecError, match=message):
        require_usable(result(**changes))
