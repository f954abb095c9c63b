"""The traffic of a server beside the one that was expected."""

import pytest
from tests.live.metrics_pages import metrics_page, pages_over_time, watched_by

from adaptwin import Adapter, Workload
from adaptwin.live.traffic_seen import traffic_seen
from adaptwin.workload.lengths import Lengths


def expecting(rate, prompt=250):
    return Workload([Adapter("a", 8, rate)], lengths=Lengths.fixed(prompt, 100))


def test_what_finished_and_what_piled_up_has_arrived():
    pages = [metrics_page(running=4 + 2 * k, capacity=k, finished=100 + 3 * k) for k in range(6)]
    found = traffic_seen(watched_by(pages), expecting(6.0))
    assert found.requests == pytest.approx(6.0)
    assert (found.factor, found.differences) == (1.0, ())


def test_a_rate_that_chance_does_not_explain_is_a_factor():
    found = traffic_seen(watched_by(pages_over_time(each=20.0)), expecting(10.0))
    assert found.factor == pytest.approx(2.0)
    assert found.differences == ("20.00 requests/s arrive, and 10.00 were expected",)


def test_few_requests_show_no_other_rate():
    assert traffic_seen(watched_by(pages_over_time(each=0.2)), expecting(0.1)).factor == 1.0


def test_without_counters_the_rates_are_those_expected():
    found = traffic_seen(watched_by(pages_over_time(without=("request_success",))), expecting(10.0))
    assert (found.requests, found.factor) == (None, 1.0)


def test_other_lengths_are_said():
    found = traffic_seen(watched_by(pages_over_time(each=20.0, prompt=900)), expecting(20.0, prompt=250))
    assert found.differences == (
        "prompts have 900 tokens on average, and 250 were expected; the twin simulates the latter",
    )
