"""What binds a server, judged by pages of its metrics that were written by hand."""

import pytest
from tests.live.metrics_pages import metrics_page, pages_over_time, watched_by

from adaptwin.live.binding_seen import Expected, diagnosis_of

STARVING = {"deferred": 7, "busy": ("a", "b", "c", "d"), "waiting": ("e", "f"), "running": 40}


def found(pages, **expected):
    return diagnosis_of(watched_by(pages), Expected(**expected))


def test_requests_that_wait_for_a_slot_while_all_are_in_use_mean_slots():
    diagnosis = found(pages_over_time(**STARVING))
    assert (diagnosis.binding, diagnosis.is_probable, diagnosis.is_trouble) == ("slots", False, True)
    assert diagnosis.evidence == (
        "requests wait for a slot (deferred) in 11 of 11 readings",
        "all 4 slots (max_loras) are in use in 11 of 11 readings",
    )
    assert [adapter.name for adapter in diagnosis.waiting_adapters] == ["e", "f"]


def test_where_vllm_lists_running_adapters_only_those_that_may_wait_are_named():
    """vLLM 0.32.0 lists adapters with a running request, as running and as waiting, and none that only wait."""
    pages = pages_over_time(deferred=3, running=6, busy="ab", waiting="ab", max_loras=2)
    seen = watched_by(pages, adapter_paths={name: f"/adapters/{name}" for name in "abcde"})
    diagnosis = diagnosis_of(seen, Expected())
    assert (diagnosis.binding, diagnosis.waiting_adapters) == ("slots", ())
    assert diagnosis.evidence[-1].endswith("loaded without a running request in any reading: c, d, e")


def test_requests_that_are_deferred_with_free_slots_wait_for_something_else():
    diagnosis = found(pages_over_time(deferred=3, busy=("a",)))
    assert diagnosis.binding == "unknown"
    assert "for a transfer of KV blocks or the grammar" in diagnosis.evidence[-1]


def test_an_arrival_now_and_then_is_no_shortage_of_slots():
    quiet = pages_over_time(count=10, busy=("a", "b", "c", "d"))
    assert found([*quiet, metrics_page(**STARVING, finished=130)]).binding == "nothing"


def test_a_full_kv_cache_with_waiting_requests_means_memory():
    diagnosis = found(pages_over_time(kv_usage=0.99, capacity=5), max_num_seqs=256)
    assert (diagnosis.binding, diagnosis.is_probable) == ("memory", False)
    assert diagnosis.evidence[0] == "99 % of the KV cache is in use"


def test_preemptions_while_requests_wait_mean_memory():
    pages = [metrics_page(kv_usage=0.9, capacity=5, preemptions=k, finished=100 + k) for k in range(6)]
    diagnosis = found(pages, max_num_seqs=256)
    assert diagnosis.binding == "memory"
    assert "5 preemptions since the first reading" in diagnosis.evidence


def test_as_many_running_requests_as_max_num_seqs_mean_seats():
    diagnosis = found(pages_over_time(running=64, capacity=20), max_num_seqs=64)
    assert (diagnosis.binding, diagnosis.is_probable) == ("max_num_seqs", False)


def test_a_plateau_of_running_requests_suggests_seats_where_they_are_not_known():
    diagnosis = found(pages_over_time(running=64, capacity=20))
    assert (diagnosis.binding, diagnosis.is_probable) == ("max_num_seqs", True)
    assert "as if max_num_seqs were 64" in diagnosis.evidence[0]


def test_a_cache_with_little_room_suggests_memory_where_seats_are_free():
    diagnosis = found(pages_over_time(running=64, capacity=20, kv_usage=0.88), max_num_seqs=256)
    assert (diagnosis.binding, diagnosis.is_probable) == ("memory", True)


def test_requests_that_wait_while_everything_has_room_mean_compute():
    diagnosis = found(pages_over_time(running=64, capacity=20), max_num_seqs=256)
    assert (diagnosis.binding, diagnosis.is_probable) == ("compute", False)


def test_without_max_num_seqs_and_plateau_it_is_said_that_seats_cannot_be_judged():
    pages = [metrics_page(running=40 + 9 * k, capacity=20, finished=100 + k) for k in range(8)]
    diagnosis = found(pages)
    assert (diagnosis.binding, diagnosis.is_probable) == ("compute", True)
    assert "give --max-num-seqs" in diagnosis.unknown[0]


def test_a_growing_queue_means_compute():
    pages = [metrics_page(capacity=max(0, 5 * (k - 6)), finished=100 + k) for k in range(10)]
    diagnosis = found(pages, max_num_seqs=256)
    assert diagnosis.binding == "compute"
    assert "the queue grows, from 0.0 to 10.0 waiting requests" in diagnosis.evidence


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"itl_mean": 0.012}, "ITL is 20 ms on average, and by the twin 12 ms"),
        ({"itl_limit": 0.015}, "ITL is 20 ms on average, above the limit of 15 ms"),
        ({"ttft_limit": 0.05}, "TTFT is 100 ms on average, above the limit of 50 ms"),
    ],
)
def test_latency_above_what_is_expected_means_compute_although_nothing_waits(expected, said):
    diagnosis = found(pages_over_time(), **expected)
    assert diagnosis.binding == "compute"
    assert said in diagnosis.evidence
    assert found(pages_over_time(), **{name: 10 * value for name, value in expected.items()}).binding == "nothing"


def test_a_server_without_requests_is_idle():
    diagnosis = found(pages_over_time(each=0.0, steps=1000, running=0, waiting=("e",)))
    assert (diagnosis.binding, diagnosis.is_trouble, diagnosis.waiting_adapters) == ("idle", False, ())


def test_without_reasons_adapters_that_wait_suggest_slots():
    pages = pages_over_time(**STARVING, without=("waiting_by_reason",))
    diagnosis = found(pages)
    assert (diagnosis.binding, diagnosis.is_probable) == ("slots", True)
    assert diagnosis.missing == ("num_requests_waiting_by_reason",)


def test_without_the_queue_nothing_is_claimed():
    pages = pages_over_time(without=("num_requests_waiting",))
    diagnosis = found(pages)
    assert (diagnosis.binding, diagnosis.is_trouble) == ("unknown", False)
    assert diagnosis.missing == ("num_requests_waiting", "num_requests_waiting_by_reason")
    assert diagnosis.unknown


def test_without_the_kv_cache_it_cannot_be_judged():
    diagnosis = found(pages_over_time(running=64, capacity=9, without=("kv_cache", "preemptions")), max_num_seqs=256)
    assert diagnosis.binding == "compute"
    assert diagnosis.is_probable
    assert diagnosis.unknown[0].startswith("the KV cache")


def test_figures_are_means_and_rates_of_the_time_that_was_watched():
    figures = found(pages_over_time(count=11, each=2.0)).figures
    assert (figures.readings, figures.seconds, figures.running, figures.running_adapters) == (11, 10.0, 8.0, 2.0)
    assert (figures.requests, figures.answer_tokens, figures.prompt_tokens, figures.steps) == (2.0, 200.0, 500.0, 40.0)
    assert figures.itl_mean == pytest.approx(0.02)
    assert figures.ttft_mean == pytest.approx(0.1)


def test_after_a_restart_rates_are_unknown():
    figures = found([metrics_page(finished=500, steps=900), metrics_page(finished=3, steps=8)]).figures
    assert (figures.requests, figures.answer_tokens, figures.steps, figures.itl_mean) == (None, None, None, None)
