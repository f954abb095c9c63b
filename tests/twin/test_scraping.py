"""What scraping /metrics does to the requests of an API server that remembers every combination of adapters."""

import pytest
from tests.twin.scenarios import MS, by_hand

from adaptwin import Adapter, Server, Workload, load_profile, simulate
from adaptwin.twin.kernel import play
from adaptwin.twin.reference import ReferenceTwin

IMPLEMENTATIONS = pytest.mark.parametrize("run", [play, lambda scenario: ReferenceTwin(scenario).run()])


@IMPLEMENTATIONS
def test_tokens_made_while_the_server_stands_still_arrive_together(run) -> None:
    # Steps of 1 ms end at 1, 2, ... One combination is seen, so the scrape at 3 ms takes 4 ms: until 7 ms.
    outcome = run(by_hand([(0, 0, 4, 10)], window={"scrape_every": 3 * MS}, scrape_ms=4))
    assert outcome.first_token[0] == 1 * MS
    assert outcome.finish[0] == 14 * MS  # the token of step 10 falls into the scrape from 10 to 14 ms
    assert outcome.end == 10 * MS  # the engine did not wait
    # Chunks reach the client at 1, 2, 7 (tokens of 3 to 6 ms), 7 (of 7 ms), 8, 9 and 14 ms: gaps of 1, 5, 1, 1 and 5.
    assert outcome.gaps.sum() == 5
    assert outcome.gap_sum == 13 * MS


@IMPLEMENTATIONS
def test_a_request_that_comes_while_the_server_stands_still_waits_until_it_is_done(run) -> None:
    outcome = run(by_hand([(0, 0, 4, 1), (4, 0, 4, 1)], window={"scrape_every": 3 * MS}, scrape_ms=5))
    # Two combinations by then: somebody ran, and nobody - but the first is gone before the engine reports it.
    assert outcome.first_token[1] == 9 * MS  # 3 + 5 ms of scrape, and its own step


@IMPLEMENTATIONS
def test_the_page_grows_with_the_combinations_of_adapters_seen(run) -> None:
    rows = [(0, 0, 4, 30), (5, 1, 4, 20), (10, 2, 4, 3)]
    outcome = run(by_hand(rows, adapters=3, window={"scrape_every": 100 * MS}, scrape_ms=1))
    # Running | waiting: {0|}, {0|1}, {0 1|}, {0 1|2}, {0 1 2|} and {|}; {0 1|} and {0|} come again and are known.
    assert outcome.label_sets == 6
    assert outcome.labels == 1 + 2 + 2 + 3 + 3 + 0


def test_nobody_stands_still_when_nobody_scrapes() -> None:
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
