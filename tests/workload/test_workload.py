"""Workload: valid adapters, and how traffic is split and scaled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin import Adapter, Lengths, SpecError, Workload
from adaptwin.workload.drawing.requests import draw_requests
from adaptwin.workload.lora_ranks import SERVED_RANKS

SHARES = st.floats(0.01, 0.99)


def test_rate_and_max_rank_are_over_all_adapters():
    workload = Workload([Adapter("a", 8, 0.5), Adapter("b", 64, 0.25), Adapter("base", 0, 0.25)])
    assert workload.rate == 1.0
    assert workload.max_rank == 64
    assert len(workload) == 3


def test_a_workload_of_base_traffic_has_max_rank_0():
    assert Workload([Adapter("base", 0, 1.0)]).max_rank == 0
    assert Workload([]).max_rank == 0


@given(rates=st.lists(st.floats(0, 10), min_size=1, max_size=5), share=SHARES)
def test_parts_of_a_workload_sum_to_it(rates, share):
    workload = Workload([Adapter(f"a{i}", 8, rate) for i, rate in enumerate(rates)])
    names = [adapter.name for adapter in workload.adapters]
    parts = [workload.part(dict.fromkeys(names, part)) for part in (share, 1.0 - share)]
    assert sum(part.rate for part in parts) == pytest.approx(workload.rate)
    for i, rate in enumerate(rates):
        assert sum(part.adapters[i].rate for part in parts) == pytest.approx(rate)


def test_a_part_holds_the_named_adapters_only():
    workload = Workload([Adapter("a", 8, 1.0), Adapter("b", 8, 2.0), Adapter("c", 8, 3.0)], seed=4)
    part = workload.part({"c": 1.0, "a": 0.5})
    assert [(adapter.name, adapter.rate) for adapter in part.adapters] == [("a", 0.5), ("c", 3.0)]
    assert part.seed == 4
    assert workload.part({"a": 1.0}, seed=9).seed == 9


def test_parts_are_the_traffic_of_each_server():
    """Each server gets its adapters in the order of the workload, with their shares; unknown names are ignored."""
    workload = Workload([Adapter("a", 8, 2.0), Adapter("b", 16, 1.0), Adapter("c", 8, 3.0)], duration=60.0, seed=7)
    parts = workload.parts([{"c": 1.0, "a": 0.25}, {}, {"a": 0.75, "stranger": 1.0, "b": 1.0}])
    assert [[(a.name, a.rate) for a in part.adapters] for part in parts] == [
        [("a", 0.5), ("c", 3.0)],
        [],
        [("a", 1.5), ("b", 1.0)],
    ]
    assert {(part.duration, part.seed) for part in parts} == {(60.0, 7)}


def test_parts_equal_the_part_of_each_server():
    workload = Workload([Adapter(f"a{i}", 8, float(i)) for i in range(4)])
    hands = [{"a0": 1.0, "a1": 0.5}, {"a1": 0.5, "a3": 1.0}, {"a2": 1.0}]
    assert workload.parts(hands) == [workload.part(hand) for hand in hands]
    assert workload.parts([]) == []


def test_a_whole_adapter_sends_the_same_requests_in_a_part():
    workload = Workload([Adapter("a", 8, 1.0), Adapter("b", 8, 2.0)], duration=200.0)
    all_requests = draw_requests(workload)
    alone = draw_requests(workload.part({"b": 1.0}))
    assert alone.arrival.tolist() == all_requests.arrival[all_requests.adapter == 1].tolist()


@given(count=st.integers(0, 200), share=SHARES)
def test_a_share_of_replayed_timestamps_is_a_selection_of_that_size(count, share):
    times = tuple(float(i) for i in range(count))
    workload = Workload([Adapter("a", 8, 1.0, arrivals=times)])
    kept = workload.part({"a": share}).adapters[0].arrivals
    assert set(kept) <= set(times)
    assert abs(len(kept) - count * share) < 1


def test_scaled_multiplies_every_rate_and_repeats_replayed_requests():
    workload = Workload([Adapter("a", 8, 1.0), Adapter("b", 8, 0.25, arrivals=(1.0, 2.0))], duration=4.0)
    scaled = workload.scaled(2.0)
    assert [adapter.rate for adapter in scaled.adapters] == [2.0, 0.5]
    assert scaled.adapters[1].arrivals == (1.0, 1.5, 2.0, 2.0)
    assert workload.rate == 1.0 + 2 / 4  # the timestamps count, not the given rate
    assert scaled.rate == 2 * workload.rate


@pytest.mark.parametrize("rank", [0, *SERVED_RANKS, 2, 4, 10, 12, 14, 500])
def test_ranks_up_to_the_highest_that_vllm_serves_are_accepted(rank):
    assert Adapter("a", rank, 1.0).rank == rank


@pytest.mark.parametrize("rank", [513, 1024, 10**30])
def test_ranks_that_vllm_cannot_pad_are_refused_with_those_that_it_serves(rank):
    with pytest.raises(
        SpecError, match=rf"Adapter.rank: {rank} is above 512, the highest that vLLM serves \(1, 8, 16,"
    ):
        Adapter("a", rank, 1.0)


def test_a_negative_rank_is_refused():
    with pytest.raises(SpecError, match=r"Adapter\.rank: -1 must be at least 1, or 0 for traffic to the base model"):
        Adapter("a", -1, 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": -0.1}, "rate: -0.1 must be at least 0"),
        ({"rate": float("inf")}, "rate: inf"),
        ({"rate": float("nan")}, "rate: nan"),
        ({"name": ""}, "name: ''"),
        ({"slo_ttft": 0.0}, "slo_ttft: 0.0 must be above 0"),
        ({"slo_itl": -1.0}, "slo_itl: -1.0 must be above 0"),
        ({"speed": 1}, "speed: unknown key"),
    ],
)
def test_a_wrong_adapter_names_field_and_value(fields, message):
    with pytest.raises(SpecError, match=message):
        Adapter(**{"name": "a", "rank": 8, "rate": 1.0, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"duration": 0.0}, "duration: 0.0 must be above 0"),
        ({"duration": float("inf")}, "duration: inf"),
        ({"seed": -1}, "seed: -1 must be at least 0"),
    ],
)
def test_a_wrong_workload_names_field_and_value(fields, message):
    with pytest.raises(SpecError, match=message):
        Workload([Adapter("a", 8, 1.0)], **fields)


def test_a_duplicate_name_is_refused_with_both_places():
    with pytest.raises(SpecError, match="duplicate name 'a': entries 0 and 2"):
        Workload([Adapter("a", 8, 1.0), Adapter("b", 8, 1.0), Adapter("a", 8, 1.0)])


def test_a_workload_is_the_same_after_writing_and_reading(tmp_path):
    adapters = [
        Adapter("a", 8, 0.1, lengths=Lengths.fixed(10, 20), artifact="s3://here", slo_ttft=1.5),
        Adapter("b", 16, 1e-7, arrivals=(0.5, 1.25), target_modules=("q_proj", "v_proj")),
    ]
    workload = Workload(adapters, lengths=Lengths.empirical([(1, 2), (3, 4)]), arrivals="gamma:cv=3", seed=5)
    workload.write(tmp_path / "w.yaml")
    assert Workload.read(tmp_path / "w.yaml") == workload


def test_the_rate_of_an_adapter_is_its_mean_over_the_window(tmp_path):
    file = tmp_path / "day.csv"
    file.write_text("start,factor\n30,3\n50,0\n", encoding="utf-8")
    a, b = Adapter("a", 8, 2.0), Adapter("b", 8, 1.0, arrivals="poisson")
    workload = Workload([a, b], arrivals=f"rates:{file}", duration=60.0)
    assert workload.rates == [2.0 * (30 * 1 + 20 * 3 + 10 * 0) / 60, 1.0]
    assert workload.scaled(2.0).rate == 2 * workload.rate
