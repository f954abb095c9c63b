"""Played: its figures, worked out by hand, and their equality with those of `Run`."""

from math import inf, isnan

import pytest
from tests.twin.scenarios import MS, by_hand, plain_profile

from adaptwin import Adapter, Run, Server, Workload, simulate
from adaptwin.twin.played import Played, play_scenario
from adaptwin.twin.scenario import make_scenario

WORKLOAD = Workload([Adapter("a0", 8, 0.0)], duration=0.01)
TEN_STEPS = {"drain": False, "end": 10 * MS}


def played(rows, **options) -> Played:
    return play_scenario(plain_profile(), WORKLOAD, by_hand(rows, **{"window": TEN_STEPS, **options}))


def test_the_figures_of_one_request_of_three_steps_in_a_window_of_ten():
    run = played([(0, 0, 4, 3)], kv_blocks=100)
    assert run.seconds == run.arriving_seconds == 0.01
    assert run.throughput == run.offered_throughput == pytest.approx(700.0)
    assert run.request_rate == run.offered_request_rate == pytest.approx(100.0)
    assert run.served_share == 1.0
    assert run.mean_running == run.mean_adapters == run.busy == pytest.approx(0.3)
    assert run.mean_waiting == run.metrics_stall == 0.0
    assert run.kv_usage == pytest.approx(0.3 / 100)
    assert run.kv_cache_tokens == 16 * 101
    assert run.ttft.mean == pytest.approx(0.001 + 0.005)  # with the time that API server and client add
    assert run.itl.mean == run.tpot.mean == pytest.approx(0.001)
    assert run.e2e.mean == run.e2e_mean == pytest.approx(0.003 + 0.005)


def test_when_nothing_finishes_nothing_is_served():
    run = played([(0, 0, 4, 20), (0, 0, 4, 20)], max_num_seqs=1)
    assert run.throughput == 0.0
    assert run.offered_throughput == pytest.approx(4800.0)
    assert (run.running_at_end, run.waiting_at_end, run.never_admitted, run.rejected) == (1, 1, 0, 0)
    assert isnan(run.e2e.mean)
    assert run.e2e_mean == inf


def test_a_drained_run_lasts_until_its_last_token_but_arrivals_stop_with_the_window():
    run = played([(0, 0, 4, 20)], window={"drain": True, "end": 10 * MS})
    assert run.seconds == 0.02
    assert run.arriving_seconds == 0.01
    assert run.throughput == pytest.approx(run.offered_throughput / 2)


def test_a_client_out_of_connections_keeps_the_rest():
    run = played([(0, 0, 4, 20)] * 3, window={**TEN_STEPS, "max_in_flight": 1})
    assert (run.running_at_end, run.waiting_at_end, run.never_admitted) == (1, 0, 2)


def test_a_run_has_the_figures_of_the_played_scenario():
    workload = Workload([Adapter("a", 8, 3.0), Adapter("b", 16, 1.0)], duration=30.0)
    server = Server(max_loras=1, max_lora_rank=16)
    run = simulate(plain_profile(), server, workload)
    of_played = play_scenario(plain_profile(), workload, make_scenario(plain_profile(), server, workload, seed=0))
    common = [name for name in Run.model_fields if isinstance(getattr(Played, name, None), property)]
    assert {"throughput", "kv_usage", "waiting_at_end"} <= set(common)
    assert all(getattr(run, name) == getattr(of_played, name) for name in common)
