"""Logged adapters: each request goes to the adapter that it names."""

import json

import pytest

from adaptwin import Adapter, SpecError
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.sources.logged_adapters import AdapterRanks, log_window
from adaptwin.workload.sources.request_log.request_log import read_request_log


@pytest.fixture
def log(tmp_path):
    """A request every 10 s for an hour, two of three for `hot`, one for `cold`; 20 for `old` before, 5 for the base."""
    rows = [(10 * k, "cold" if k % 3 == 0 else "hot") for k in range(60, 420)]
    rows += [(k, "old") for k in range(20)] + [(1000 + k, "Llama-3.1-8B") for k in range(5)]
    path = tmp_path / "log.jsonl"
    lines = (
        {"ts": 1767225600 + t, "model": name, "prompt_tokens": 100 if name == "hot" else 50, "completion_tokens": 9}
        for t, name in rows
    )
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return read_request_log([path])


def test_each_request_keeps_its_adapter_time_and_lengths(log):
    workload = log_window(log, AdapterRanks(rank=16), busiest=600.0).workload()
    by_name = {adapter.name: adapter for adapter in workload.adapters}
    assert {name: adapter.rank for name, adapter in by_name.items()} == dict.fromkeys(log.names, 16)
    assert len(by_name["hot"].arrivals) == pytest.approx(40, abs=1)
    assert (len(by_name["cold"].arrivals), by_name["cold"].lengths.pairs[0]) == (pytest.approx(20, abs=1), (50, 9))
    assert by_name["hot"].lengths.mean_input == 100
    assert by_name["hot"].rate == pytest.approx(40 / 600, rel=0.05)


def test_adapters_without_requests_in_the_window_are_kept(log):
    window = log_window(log, AdapterRanks(rank=8))
    assert window.figures.start > 20
    old = next(adapter for adapter in window.workload().adapters if adapter.name == "old")
    assert (old.rate, old.arrivals) == (0.0, ())
    assert [(total.name, total.requests, total.in_window) for total in window.totals][-2:] == [
        ("old", 20, 0), ("Llama-3.1-8B", 5, 5),
    ]  # fmt: skip


def test_the_base_model_has_rank_0_by_any_of_its_names(log):
    ranks = AdapterRanks(rank=8, base_models=("meta-llama/Llama-3.1-8B-Instruct",))
    window = log_window(log, ranks)
    assert {adapter.name: adapter.rank for adapter in window.adapters}["Llama-3.1-8B"] == 0


def test_ranks_are_joined_by_name_and_others_are_left_out_and_counted(log):
    known = {name: Adapter(name, rank, 7.0, artifact="/w") for name, rank in {"hot": 32, "cold": 8, "new": 8}.items()}
    window = log_window(log, AdapterRanks(known=known))
    assert [(a.name, a.rank, a.artifact) for a in window.adapters] == [("cold", 8, "/w"), ("hot", 32, "/w")]
    assert window.left_out == {"for an unknown model: old": 20, "for an unknown model: Llama-3.1-8B": 5}
    assert len(window.unused) == 1
    assert window.figures.requests == 360


def test_a_rank_for_all_others_joins_them(log):
    window = log_window(log, AdapterRanks(rank=64, known={"hot": Adapter("hot", 32, 0.0)}))
    assert {a.name: a.rank for a in window.adapters} == {"Llama-3.1-8B": 64, "cold": 64, "hot": 32, "old": 64}


def test_names_after_a_slash_are_known_as_well(log):
    renamed = log._replace(names=tuple(f"openai/{name}" for name in log.names))
    window = log_window(renamed, AdapterRanks(known={"hot": Adapter("hot", 32, 0.0)}))
    assert [(a.name, a.rank) for a in window.adapters] == [("openai/hot", 32)]


def test_lengths_may_be_given_instead(log, tmp_path):
    lengths = Lengths.fixed(300, 30)
    without = log._replace(input=None, output=None)
    window = log_window(without, AdapterRanks(rank=8), lengths=lengths)
    for kept in (window.workload(), window.workload(keep="rates", rates_file=tmp_path / "rates.csv")):
        assert kept.lengths == lengths
        assert {adapter.lengths for adapter in kept.adapters} == {None}
    with pytest.raises(SpecError, match="the log has no tokens"):
        log_window(without, AdapterRanks(rank=8))


def test_a_log_without_known_names_is_refused(log):
    with pytest.raises(
        SpecError, match=r"none of the models in the log \(Llama-3.1-8B, cold, hot, old\) is known \(known: x\)"
    ):
        log_window(log, AdapterRanks(known={"x": Adapter("x", 8, 0.0)}))


def test_wrong_factors_are_refused(log):
    with pytest.raises(SpecError, match="rate_scale: 0 must be above 0"):
        log_window(log, AdapterRanks(rank=8)).workload(rate_scale=0.0)
