"""Requests: drawn from the seed, independently for each adapter, in order of time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, Lengths, Workload
from adaptwin.workload.drawing.requests import draw_requests
from adaptwin.workload.drawing.seeds import stream_seed

RATES = st.lists(st.floats(0, 2), min_size=1, max_size=6)
FAMILIES = st.sampled_from(["poisson", "gamma:cv=0.5", "gamma:cv=3", "regimes:period=20,factor=2"])


def fleet(rates, **fields):
    return Workload([Adapter(f"a{i}", 8, rate) for i, rate in enumerate(rates)], **fields)


def of_adapter(workload, name):
    """Return arrivals, inputs and outputs of the requests of one adapter."""
    requests = draw_requests(workload)
    index = [adapter.name for adapter in workload.adapters].index(name)
    mine = requests.adapter == index
    return [column[mine].tolist() for column in (requests.arrival, requests.input, requests.output)]


@given(rates=RATES, arrivals=FAMILIES, seed=st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_requests_come_sorted_and_inside_the_window(rates, arrivals, seed):
    requests = draw_requests(fleet(rates, arrivals=arrivals, seed=seed, duration=100.0))
    assert np.all(np.diff(requests.arrival) >= 0)
    assert np.all((requests.arrival >= 0) & (requests.arrival < 100 * 10**9))
    assert np.all((requests.adapter >= 0) & (requests.adapter < len(rates)))
    assert len({len(column) for column in requests[:5]}) == 1


@given(rates=RATES, extra=st.floats(0, 5), arrivals=FAMILIES, place=st.integers(0, 6))
@settings(max_examples=50, deadline=None)
def test_another_adapter_leaves_the_requests_of_the_others_unchanged(rates, extra, arrivals, place):
    before = fleet(rates, arrivals=arrivals, duration=100.0)
    adapters = list(before.adapters)
    adapters.insert(place, Adapter("newcomer", 16, extra))
    after = before.model_copy(update={"adapters": tuple(adapters)})
    for adapter in before.adapters:
        assert of_adapter(after, adapter.name) == of_adapter(before, adapter.name)


def test_the_same_seed_draws_the_same_requests():
    first, second = (draw_requests(fleet([0.5, 1.0], seed=3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_seed_draws_other_requests():
    workload = fleet([1.0])
    assert draw_requests(workload, seed=1).arrival.tolist() != draw_requests(workload).arrival.tolist()
    assert draw_requests(workload, seed=workload.seed).arrival.tolist() == draw_requests(workload).arrival.tolist()


def test_streams_of_different_names_have_different_seeds():
    assert len({stream_seed(0, "a"), stream_seed(1, "a"), stream_seed(0, "b"), stream_seed(0, "a", "b")}) == 4


def test_an_adapter_without_traffic_sends_nothing():
    assert set(draw_requests(fleet([0.0, 1.0])).adapter) == {1}


def test_without_adapters_there_are_no_requests():
    assert [len(column) for column in draw_requests(Workload([]))[:5]] == [0, 0, 0, 0, 0]


def test_timestamps_replay_exactly():
    times = (0.0, 0.25, 0.25, 7.5, 99.0)
    workload = Workload([Adapter("a", 8, 1.0, arrivals=times), Adapter("b", 8, 1.0)], duration=100.0)
    assert of_adapter(workload, "a")[0] == [int(time * 10**9) for time in times]


def test_many_requests_at_one_moment_are_sorted_correctly():
    """Thousands of requests arrive within one second of an hour: too many in one bucket for insertion sort."""
    generator = np.random.default_rng(0)
    own = [tuple(sorted(1800 + generator.random(700))) for _ in range(8)]
    workload = Workload([Adapter(f"a{i}", 8, 1.0, arrivals=times) for i, times in enumerate(own)])
    requests = draw_requests(workload)
    expected = sorted((int(time * 1e9), a) for a, times in enumerate(own) for time in times)
    assert list(zip(requests.arrival.tolist(), requests.adapter.tolist(), strict=True)) == expected


def test_timestamps_after_the_window_are_left_out():
    workload = Workload([Adapter("a", 8, 1.0, arrivals=(1.0, 9.5, 10.0, 11.0))], duration=10.0)
    assert of_adapter(workload, "a")[0] == [10**9, 9_500_000_000]


def test_timestamps_of_the_workload_replay_exactly():
    times = tuple(float(i) for i in range(1000))
    workload = fleet([3.0, 1.0, 0.0], arrivals=times, duration=1000.0)
    requests = draw_requests(workload)
    assert requests.arrival.tolist() == [int(time * 10**9) for time in times]
    assert np.bincount(requests.adapter, minlength=3) == pytest.approx([750, 250, 0], abs=60)


def test_an_adapter_with_arrivals_of_its_own_takes_no_timestamp_of_the_workload():
    adapters = [Adapter("a", 8, 1.0, arrivals=(5.0,)), Adapter("b", 8, 1.0)]
    workload = Workload(adapters, arrivals=(1.0, 2.0, 3.0), duration=10.0)
    assert of_adapter(workload, "a")[0] == [5 * 10**9]
    assert of_adapter(workload, "b")[0] == [10**9, 2 * 10**9, 3 * 10**9]


def test_as_many_pairs_as_timestamps_are_taken_in_order():
    pairs = [(10, 1), (20, 2), (30, 3), (40, 4)]
    adapter = Adapter("a", 8, 1.0, arrivals=(1.0, 2.0, 3.0, 4.0), lengths=Lengths.empirical(pairs))
    _, inputs, outputs = of_adapter(Workload([adapter], duration=10.0), "a")
    assert list(zip(inputs, outputs, strict=True)) == pairs


def test_empirical_pairs_stay_together_and_are_drawn_equally_often():
    pairs = [(10, 1), (20, 2), (30, 3), (40, 4)]
    requests = draw_requests(fleet([5.0], lengths=Lengths.empirical(pairs), duration=2000.0))
    drawn = list(zip(requests.input.tolist(), requests.output.tolist(), strict=True))
    assert set(drawn) == set(pairs)
    assert [drawn.count(pair) / len(drawn) for pair in pairs] == pytest.approx([0.25] * 4, abs=0.02)


def test_an_adapter_with_lengths_of_its_own_uses_them():
    adapters = [Adapter("a", 8, 1.0, lengths=Lengths.fixed(7, 9)), Adapter("b", 8, 1.0)]
    workload = Workload(adapters, lengths=Lengths.fixed(3, 4), duration=100.0)
    assert {*of_adapter(workload, "a")[1]} == {7}
    assert {*of_adapter(workload, "b")[2]} == {4}


def test_drawn_sharegpt_lengths_have_the_means_of_sharegpt():
    requests = draw_requests(fleet([10.0], duration=5000.0))
    assert requests.input.mean() == pytest.approx(222, rel=0.03)
    assert requests.output.mean() == pytest.approx(196, rel=0.03)
