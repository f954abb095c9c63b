"""How scrapes of /metrics delay requests, on an API server that keeps every combination of adapters."""

import pytest
from tests.twin.scenarios import MS, by_hand

from adaptwin import Adapter, Server, Workload, load_profile, simulate
from adaptwin.profile.scheduler_cost import SchedulerCoefficients
from adaptwin.twin.kernel.play import play
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.token_gaps import gap_bin

IMPLEMENTATIONS = pytest.mark.parametrize("run", [play, lambda scenario: ReferenceTwin(scenario).run()])


@IMPLEMENTATIONS
def test_tokens_made_while_the_server_is_blocked_arrive_together(run) -> None:
    # Steps of 1 ms end at 1, 2, ... One combination is seen, so the scrape at 3 ms takes 4 ms: until 7 ms.
    outcome = run(by_hand([(0, 0, 4, 10)], window={"scrape_every": 3 * MS}, scrape_ms=4))
    assert outcome.first_token[0] == 1 * MS
    assert outcome.finish[0] == 14 * MS  # the token of step 10 falls into the scrape from 10 to 14 ms
    assert outcome.end == 10 * MS  # the engine did not wait
    # Chunks reach the client at 1, 2, 7 (tokens of 3 to 6 ms), 7 (of 7 ms), 8, 9 and 14 ms: gaps of 1, 5, 1, 1 and 5.
    assert outcome.gaps.sum() == 5
    assert outcome.gap_sum == 13 * MS


@IMPLEMENTATIONS
def test_tokens_of_large_steps_are_chunks_of_their_own_even_when_they_arrive_together(run) -> None:
    # Two requests, and an output handler that takes one token at once. Every token is a chunk of its own, although the
    # tokens of steps 3 to 7 all arrive at 7 ms: gaps of 1, 5, 0, 0, 0, 0, 1, 1 and 5 ms.
    rows, window = [(0, 0, 4, 10), (0, 0, 4, 10)], {"scrape_every": 3 * MS}
    outcome = run(by_hand(rows, window=window, scrape_ms=4, output_chunk=1))
    assert outcome.finish.tolist() == [14 * MS, 14 * MS]
    assert outcome.gaps[gap_bin(0)] == 2 * 4
    assert outcome.gaps.sum() == 2 * 9
    assert outcome.gap_sum == 2 * 13 * MS
    # An output handler that takes both tokens at once merges them.
    merged = run(by_hand(rows, window=window, scrape_ms=4, output_chunk=2))
    assert (merged.gaps[gap_bin(0)], merged.gaps.sum(), merged.gap_sum) == (0, 2 * 5, 2 * 13 * MS)


@IMPLEMENTATIONS
def test_whether_tokens_are_chunks_of_their_own_is_decided_step_by_step(run) -> None:
    # The second request ends in step 5. Steps 4 and 5 yield two tokens, more than the output handler takes at once;
    # steps 6 and 7 yield one, which joins the chunk at 7 ms. Gaps of 1, 5, 0, 0, 1, 1 and 5 ms, and 1, 5, 0 and 0 ms.
    rows = [(0, 0, 4, 10), (0, 0, 4, 5)]
    outcome = run(by_hand(rows, window={"scrape_every": 3 * MS}, scrape_ms=4, output_chunk=1))
    assert outcome.gaps[gap_bin(0)] == 2 + 2
    assert outcome.gaps.sum() == 7 + 4
    assert outcome.gap_sum == (13 + 6) * MS


@IMPLEMENTATIONS
def test_a_request_that_arrives_during_a_scrape_waits_until_it_is_done(run) -> None:
    outcome = run(by_hand([(0, 0, 4, 1), (4, 0, 4, 1)], window={"scrape_every": 3 * MS}, scrape_ms=5))
    # Request 0 leaves before the engine reports its step, so the scrape knows only the empty combination: 5 ms.
    assert outcome.first_token[1] == 9 * MS  # the scrape takes 5 ms from 3 ms on; then its own step


@IMPLEMENTATIONS
def test_the_page_grows_with_the_combinations_of_adapters_seen(run) -> None:
    rows = [(0, 0, 4, 30), (5, 1, 4, 20), (10, 2, 4, 3)]
    outcome = run(by_hand(rows, adapters=3, window={"scrape_every": 100 * MS}, scrape_ms=1))
    # Running | waiting: {0|}, {0|1}, {0 1|}, {0 1|2}, {0 1 2|} and {|}; {0 1|} and {0|} are seen again.
    assert outcome.label_sets == 6
    assert outcome.labels == 1 + 2 + 2 + 3 + 3 + 0


@IMPLEMENTATIONS
def test_a_request_that_arrives_during_a_step_is_seen_waiting_after_it(run) -> None:
    window = {"scrape_every": 100 * MS}
    # Running | waiting: {0|} after two steps, {0|1} after the third, {0 1|} after the fourth, {0|} and {|} at the end.
    during = run(by_hand([(0, 0, 4, 10), (2.5, 1, 4, 2)], adapters=2, window=window))
    assert (during.label_sets, during.labels) == (4, 1 + 2 + 2 + 0)
    # A request that finds the server idle is in a step before anything is reported: {0|}, {|}, {1|} and {|} again.
    idle = run(by_hand([(0, 0, 4, 2), (4.5, 1, 4, 2)], adapters=2, window=window))
    assert (idle.label_sets, idle.labels) == (3, 1 + 0 + 1)


def test_without_scrapes_the_server_never_stalls() -> None:
    outcome = play(by_hand([(0, 0, 4, 10)], scrape_ms=5))
    assert (outcome.stalled, outcome.label_sets) == (0, 0)


def test_scraping_merges_chunks_but_takes_no_throughput() -> None:
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    workload = Workload([Adapter(f"a{i}", 8, 0.06) for i in range(64)], duration=1200.0)
    server = Server(max_loras=64, max_lora_rank=8)
    alone, scraped = (simulate(profile, server, workload, scrape_every=every) for every in (None, 2.0))
    assert scraped.throughput == pytest.approx(alone.throughput, rel=0.01)
    assert scraped.itl.mean > 1.01 * alone.itl.mean
    assert scraped.metrics_stall > 0.01
    assert alone.metrics_stall == 0


@IMPLEMENTATIONS
def test_a_scrape_that_begins_while_a_step_is_planned_delays_requests_that_arrive_after_it(run) -> None:
    # With asynchronous scheduling the clock stops between planning and step: at 10 + 1.5 ms, after request 2 arrived.
    rows = [(0, 0, 4, 1), (10, 0, 4, 3), (11, 0, 4, 3)]
    scenario = by_hand(rows, window={"scrape_every": 10 * MS + MS // 2}, scrape_ms=4, async_scheduling=True)
    outcome = run(scenario._replace(scheduler_cost=SchedulerCoefficients(1.5e-3, 0.0, 0.0)))
    assert outcome.first_token.tolist() == [3 * MS, 14.5 * MS, 17.5 * MS]
