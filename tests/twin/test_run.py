"""Run and simulate: the results of a simulation, and what its figures mean."""

import json
import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from tests.twin.scenarios import plain_profile

from adaptwin import Adapter, Lengths, Run, Server, SpecError, Workload, load_profile, simulate, simulate_many
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.run import ADAPTER_COLUMNS, SERIES_COLUMNS
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.token_gaps import GAP_BINS, gap_bin, gap_value

SERVER = Server(max_loras=2, max_lora_rank=16, max_cpu_loras=3)


def fleet(rates=(2.0, 1.0, 0.5, 0.5), **fields):
    fields = {"lengths": Lengths.fixed(60, 20), "duration": 60.0, **fields}
    return Workload([Adapter(f"a{i}", (8, 16)[i % 2], rate) for i, rate in enumerate(rates)], **fields)


# What a request of 100 tokens in and 3 out takes alone, on the plain profile with the two slots of SERVER. Its prompt:
# As in test_numbers.py, but with three slots in the grid: 16.51505 ms + 3 x (80 us + 256 + 2 blocks of 280 ns); the
# scheduler takes 100 + 10 us.
FIRST_TOKEN = 16.51505e-3 + 3 * (80e-6 + 258 * 280e-9) + 110e-6
# Two decodes: 15.015104 ms + 3 x (80 us + 64 + 1 blocks) + 110 us, and 100 or 101 tokens of context x 10 ns.
ALONE = FIRST_TOKEN + 2 * (15.015104e-3 + 3 * (80e-6 + 65 * 280e-9) + 110e-6) + 2.01e-6


def replayed(*times, **fields):
    """Make a workload of base-model requests of 100 tokens in and 3 out that arrive at the given seconds."""
    fields = {"lengths": Lengths.fixed(100, 3), "duration": 10.0, **fields}
    return Workload([Adapter("base", 0, 0.0, arrivals=times)], **fields)


def test_a_run_reads_back_as_it_was_written(tmp_path):
    run = simulate(plain_profile(), SERVER, fleet(), record=True, repeats=2)
    run.write(tmp_path / "run.json")
    back = Run.read(tmp_path / "run.json")
    assert back.to_json() == run.to_json()
    assert back.adapters.equals(run.adapters, null_equal=True)
    assert back.adapters.schema == ADAPTER_COLUMNS
    assert back.series.columns == list(SERIES_COLUMNS)
    assert back.confidence == run.confidence


def test_a_run_without_requests_reads_back_with_its_nan(tmp_path):
    run = simulate(plain_profile(), SERVER, fleet(rates=(0.0, 0.0)), record=True)
    run.write(tmp_path / "run.json")
    assert "NaN" not in (tmp_path / "run.json").read_text()
    back = Run.read(tmp_path / "run.json")
    assert back.to_json() == run.to_json()
    assert math.isnan(back.ttft.p99)
    assert back.adapters.schema == ADAPTER_COLUMNS


def test_the_file_of_a_run_is_plain_json(tmp_path):
    simulate(plain_profile(), SERVER, fleet()).write(tmp_path / "run.json")
    fields = json.loads((tmp_path / "run.json").read_text())
    assert fields["server"]["max_loras"] == 2
    assert fields["adapters"]["name"] == ["a0", "a1", "a2", "a3"]


def test_a_run_with_a_misspelt_verdict_is_refused(tmp_path):
    fields = json.loads(simulate(plain_profile(), SERVER, fleet()).to_json())
    (tmp_path / "run.json").write_text(json.dumps({**fields, "verdict": "fine"}))
    with pytest.raises(SpecError, match=r"run\.json: verdict: 'fine' is not one of"):
        Run.read(tmp_path / "run.json")


@pytest.mark.parametrize("window", ["cut", "drain"])
@pytest.mark.parametrize("workload", [Workload([]), fleet(rates=(0.0, 0.0))], ids=["no adapters", "no requests"])
def test_a_workload_without_requests_can_be_simulated(workload, window):
    run = simulate(plain_profile(), SERVER, workload, window=window)
    assert run.throughput == run.offered_throughput == run.arrived == run.steps == 0
    assert all(math.isnan(value) for _, value in (*run.ttft, *run.itl, *run.tpot, *run.e2e))
    assert not run.starved
    assert run.worst == "ok"
    assert run.adapters.height == len(workload)


def test_arrived_requests_are_finished_running_waiting_never_admitted_or_rejected():
    overload = fleet(rates=(40.0, 40.0, 40.0), lengths=Lengths.empirical([(60, 20), (4000, 200)]))
    for options in ({}, {"max_in_flight": 40}, {"window": "drain"}):
        run = simulate(plain_profile(), SERVER, overload, **options)
        states = (run.running_at_end, run.waiting_at_end, run.never_admitted, run.rejected)
        assert run.arrived == run.finished + sum(states)
        assert run.rejected > 0
        assert bool(run.never_admitted) == ("max_in_flight" in options)
        assert bool(run.waiting_at_end) == (run.window == "cut")


def test_requests_longer_than_max_model_len_are_counted_as_rejected_and_not_as_offered():
    workload = fleet(lengths=Lengths.empirical([(60, 20), (4000, 97)]))  # 4,097 tokens are one too many
    run = simulate(plain_profile(), SERVER, workload, window="drain")
    assert run.finished + run.rejected == run.arrived
    assert 0 < run.rejected == run.adapters["rejected"].sum() < run.arrived
    assert run.offered_throughput == pytest.approx(80 * run.finished / 60.0)
    assert simulate(plain_profile(), SERVER, fleet(lengths=Lengths.fixed(4000, 96))).rejected == 0


def test_requests_that_wait_in_the_client_count_as_offered_and_their_wait_counts():
    """Three requests arrive at once and are served one at a time, so the last is done after three times as long."""
    free, limited = (
        simulate(plain_profile(), SERVER, replayed(1.0, 1.0, 1.0), max_in_flight=limit) for limit in (None, 1)
    )
    assert limited.offered_throughput == free.offered_throughput == 3 * 103 / 10.0
    assert limited.e2e.mean == pytest.approx(0.005 + ALONE * (1 + 2 + 3) / 3)
    assert limited.mean_waiting == 0.0


def test_a_cut_window_counts_only_what_finished_inside_it():
    """A request takes 48 ms; the second arrives 20 ms before the window closes."""
    workload = replayed(1.0, 9.98)
    cut, drained = (simulate(plain_profile(), SERVER, workload, window=window) for window in ("cut", "drain"))
    assert (cut.finished, cut.running_at_end, drained.finished) == (1, 1, 2)
    assert cut.throughput == pytest.approx(103 / 10.0)
    assert (cut.simulated, drained.simulated) == (10.0, pytest.approx(9.98 + ALONE))
    assert drained.throughput == pytest.approx(2 * 103 / (9.98 + ALONE))
    assert cut.offered_throughput == drained.offered_throughput == pytest.approx(2 * 103 / 10.0)


def test_the_warm_up_is_left_out_of_every_figure():
    """Of requests at 1, 4 and 7 s, the first is done before the warm-up of 2 s ends."""
    run = simulate(plain_profile(), SERVER, replayed(1.0, 4.0, 7.0), warmup=2.0)
    assert run.throughput == run.offered_throughput == pytest.approx(2 * 103 / 8.0)
    assert run.request_rate == run.offered_request_rate == pytest.approx(2 / 8.0)
    assert run.busy == pytest.approx(2 * ALONE / 8.0)
    assert run.adapters["arrivals"].to_list() == run.adapters["finished"].to_list() == [2]


def test_a_request_that_ends_just_after_the_warm_up_counts_as_finished_but_not_as_offered():
    run = simulate(plain_profile(), SERVER, replayed(1.99), warmup=2.0)
    assert (run.throughput, run.offered_throughput) == (pytest.approx(103 / 8.0), 0.0)


def test_busy_running_and_memory_are_shares_of_the_window():
    run = simulate(plain_profile(), SERVER, replayed(1.0))
    assert run.busy == run.mean_running == pytest.approx(ALONE / 10.0)
    assert run.mean_adapters == 0.0
    blocks = (10e9 * 0.9 - 5e9 - 1e9 - 2 * 17e6) // 1.6e6 - 1  # seven blocks hold 100 tokens, and also 102
    assert run.kv_usage == pytest.approx(run.busy * 7 / blocks)


@pytest.mark.parametrize("server", [SERVER, Server(max_loras=4, max_lora_rank=16, kv_cache_tokens=4096)])
def test_percentiles_lie_within_one_percent_of_the_exact_ones(server):
    workload = fleet(rates=(3.0, 2.0, 1.0, 1.0), lengths=Lengths.named("sharegpt"), duration=100.0)
    run = simulate(plain_profile(), server, workload, window="drain")
    twin = ReferenceTwin(make_scenario(plain_profile(), server, workload, seed=0, drain=True))
    twin.run()
    arrival, output = twin.scenario.requests.arrival, twin.scenario.requests.output
    times = [(arrival[index], answer.token_times) for index, answer in twin.ledger.answers.items()]
    exact = {
        "ttft": [(tokens[0] - start) / 1e9 + 0.005 for start, tokens in times],
        "e2e": [(tokens[-1] - start) / 1e9 + 0.005 for start, tokens in times],
        "itl": [(after - before) / 1e9 for _, tokens in times for before, after in pairwise(tokens)],
        "tpot": [(tokens[-1] - tokens[0]) / (len(tokens) - 1) / 1e9 for _, tokens in times],
    }
    assert min(output) > 1
    for name, values in exact.items():
        latency = getattr(run, name)
        assert latency.mean == pytest.approx(np.mean(values), rel=1e-6)
        for percent, value in ((50, latency.p50), (90, latency.p90), (99, latency.p99)):
            assert value == pytest.approx(np.percentile(values, percent, method="inverted_cdf"), rel=0.01)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 257, 1000, 999_999, 10**9, 3_600 * 10**9, 2**62 - 1])
def test_a_gap_lies_within_half_a_percent_of_the_middle_of_its_bin(number):
    assert gap_bin(number) < GAP_BINS
    assert gap_value(gap_bin(number)) == pytest.approx(number, rel=0.005)


def test_bins_of_gaps_follow_one_another():
    bins = [gap_bin(gap) for gap in range(100_000)]
    assert all(after - before in (0, 1) for before, after in pairwise(bins))


def test_offered_tokens_are_those_asked_for_and_served_tokens_those_of_the_answers():
    """A fifth of the answers end after half of their 40 tokens on average: 60 + 36 tokens are served of 60 + 40."""
    plain = plain_profile()
    model = plain.model.model_copy(update={"early_stop_share": 0.2, "early_stop_reach": 0.5})
    profile = plain.model_copy(update={"model": model})
    workload = fleet(rates=(8.0, 4.0), lengths=Lengths.empirical([(60, 40)], are_limits=True), duration=300.0)
    run = simulate(profile, SERVER, workload, window="drain")
    assert run.finished == run.arrived > 3000
    assert run.offered_throughput == pytest.approx(100 * run.arrived / 300.0)
    assert run.throughput * run.simulated == pytest.approx(96 * run.finished, rel=0.005)
    assert not run.starved
    assert run.worst == "ok"
    assert run.adapters["offered_throughput"].sum() == pytest.approx(run.offered_throughput)
    assert run.adapters["throughput"].sum() == pytest.approx(run.throughput)


def test_a_model_that_ends_answers_early_leaves_lengths_alone_that_are_answers():
    plain = plain_profile()
    model = plain.model.model_copy(update={"early_stop_share": 0.5})
    runs = [simulate(profile, SERVER, fleet()) for profile in (plain, plain.model_copy(update={"model": model}))]
    assert runs[0].to_json() == runs[1].to_json()


def test_the_table_of_adapters_adds_up_to_the_server():
    run = simulate(plain_profile(), SERVER, fleet(rates=(20.0, 20.0, 1.0)))
    assert run.adapters.schema == ADAPTER_COLUMNS
    assert run.adapters["arrivals"].sum() == run.arrived
    assert run.adapters["finished"].sum() == run.finished
    assert run.adapters["throughput"].sum() == pytest.approx(run.throughput)
    assert run.adapters["offered_throughput"].sum() == pytest.approx(run.offered_throughput)
    assert run.adapters["rank"].to_list() == [8, 16, 8]


def test_the_percentiles_of_an_adapter_are_exact():
    run = simulate(plain_profile(), SERVER, replayed(1.0, 2.0, 2.0, 3.0))
    # Two prompts together: 3 ms + 12 ms x sqrt(1 + (200 / 240)^2) + 200 x 5 us + 10,100 pairs x 1 ns + 2 x 10 us + 3 x
    # (80 us + 8 x 7 + 4 blocks of 280 ns) + 100 us + 2 x 10 us = 20.061 ms.
    assert run.adapters["ttft_p50"][0] == pytest.approx(0.005 + FIRST_TOKEN)
    assert run.adapters["ttft_p99"][0] == pytest.approx(0.005 + 20.060999e-3)


def test_an_adapter_without_finished_requests_has_no_latencies():
    run = simulate(plain_profile(), SERVER, fleet(rates=(1.0, 0.0)))
    assert run.adapters["ttft_p50"].is_nan().to_list() == [False, True]
    assert run.adapters["itl_mean"].is_nan().to_list() == [False, True]


# The recorder.


def test_without_record_there_is_no_series():
    assert simulate(plain_profile(), SERVER, fleet()).series is None


@pytest.mark.parametrize("window", ["cut", "drain"])
def test_the_series_has_one_row_for_every_second_of_the_window(window):
    run = simulate(plain_profile(), SERVER, fleet(rates=(9.0, 9.0, 9.0)), record=True, window=window)
    series = run.series
    assert series.columns == list(SERIES_COLUMNS)
    assert series["time"].to_list() == pytest.approx(range(60))
    assert series["kv_usage"].is_between(0, 1).all()
    assert series["adapters"].max() == 2
    for column in ("finished_tokens", "preemptions"):
        assert (series[column].diff().drop_nulls() >= 0).all()
    assert series["waiting"].max() > 0


def test_the_series_shows_what_happened_in_its_second():
    """A request that arrives at 0.99 s is running at 1 s and done at 2 s; another arrives at 3.5 s."""
    series = simulate(plain_profile(), SERVER, replayed(0.99, 3.5, duration=4.0), record=True).series
    assert series.select("running", "adapters", "finished_tokens").rows() == [
        (0, 0, 0),
        (1, 0, 0),
        (0, 0, 103),
        (0, 0, 103),
    ]
    blocks = (10e9 * 0.9 - 5e9 - 1e9 - 2 * 17e6) // 1.6e6 - 1
    assert series["kv_usage"].to_list() == pytest.approx([0, 7 / blocks, 0, 0])


def test_recording_changes_nothing_else():
    plain, recorded = (simulate(plain_profile(), SERVER, fleet(), record=record) for record in (False, True))
    assert recorded.model_copy(update={"series": None}).to_json() == plain.to_json()


# Repeats.


def test_means_over_repeats_are_means_of_single_runs():
    workload = fleet(rates=(8.0, 8.0, 8.0), seed=7)
    together = simulate(plain_profile(), SERVER, workload, repeats=4)
    single = [simulate(plain_profile(), SERVER, workload, seed=seed) for seed in (7, 8, 9, 10)]
    assert (together.repeats, together.seed) == (4, 7)
    for name in ("throughput", "offered_throughput", "kv_usage", "mean_running", "busy"):
        assert getattr(together, name) == pytest.approx(np.mean([getattr(run, name) for run in single]))
    for name in ("mean", "p50", "p99"):
        assert getattr(together.ttft, name) == pytest.approx(np.mean([getattr(run.ttft, name) for run in single]))
    for name in ("arrived", "finished", "preemptions", "adapter_loads", "steps"):
        assert getattr(together, name) == round(np.mean([getattr(run, name) for run in single]))
    assert together.adapters.equals(single[0].adapters, null_equal=True)


def test_the_interval_over_repeats_is_two_standard_errors_wide_on_either_side():
    workload = fleet(seed=7)
    low, high = simulate(plain_profile(), SERVER, workload, repeats=4).confidence["throughput"]
    values = [simulate(plain_profile(), SERVER, workload, seed=seed).throughput for seed in (7, 8, 9, 10)]
    assert (low + high) / 2 == pytest.approx(np.mean(values))
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(values, ddof=1) / 2)


def test_a_single_run_has_no_intervals():
    assert simulate(plain_profile(), SERVER, fleet()).confidence == {}


# Many at once.


def test_simulate_many_equals_simulate_and_keeps_the_order():
    profiles = plain_profile(), load_profile("h100-64gb-llama-3.1-8b-instruct")
    cases = [
        (profiles[i % 2], Server(max_loras=1 + i % 3, max_lora_rank=16), fleet(duration=5.0 + i, seed=i))
        for i in range(12)
    ]
    expected = [simulate(*case).to_json() for case in cases]
    assert [run.to_json() for run in simulate_many(iter(cases), jobs=4)] == expected
    assert [run.to_json() for run in simulate_many(cases, jobs=1)] == expected
    assert simulate_many([]) == []


def test_simulate_many_takes_a_seed_for_every_case():
    seeds = [simulate_many([(plain_profile(), SERVER, fleet(), seed)])[0] for seed in (3, 4)]
    assert [run.to_json() for run in seeds] == [
        simulate(plain_profile(), SERVER, fleet(), seed=seed).to_json() for seed in (3, 4)
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": "drian"},
        {"warmup": -1.0},
        {"warmup": 60.0},
        {"repeats": 0},
        {"max_in_flight": 0},
        {"max_in_flight": -1},
        {"seed": -1},
    ],
    ids=str,
)
def test_an_argument_out_of_range_is_refused(wrong):
    with pytest.raises(SpecError):
        simulate(plain_profile(), SERVER, fleet(), **wrong)


def test_the_flag_of_the_paper_is_nine_tenths_of_the_offered_tokens():
    run = simulate(plain_profile(), SERVER, fleet())
    assert isinstance(run.adapters, pl.DataFrame)
    assert run.model_copy(update={"throughput": 89.0, "offered_throughput": 100.0}).starved
    assert not run.model_copy(update={"throughput": 90.0, "offered_throughput": 100.0}).starved
