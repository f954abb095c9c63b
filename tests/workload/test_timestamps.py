"""Timestamps: dealt to adapters, divided between servers, thinned out and added to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, Lengths, SpecError, Workload
from adaptwin.workload.drawing.requests import draw_requests
from adaptwin.workload.timestamps import copies, deal, repeated

TIMES = tuple(0.25 * i for i in range(400))


def fleet(*rates, **fields):
    adapters = [Adapter(f"a{i}", 8, rate) for i, rate in enumerate(rates)]
    return Workload(adapters, **{"arrivals": TIMES, "duration": 100.0, **fields})


def times_of(workload):
    return sorted(time for adapter in workload.adapters for time in adapter.arrivals or ())


def test_each_timestamp_is_dealt_to_one_adapter_in_proportion_to_its_rate():
    workload = fleet(3.0, 1.0, 0.0).dealt()
    assert times_of(workload) == list(TIMES)
    often, rare, never = (len(adapter.arrivals) for adapter in workload.adapters)
    assert never == 0
    assert often == pytest.approx(300, abs=4 * 75**0.5)  # binomial, 400 times 3/4
    assert often + rare == 400


def test_without_rates_each_adapter_gets_as_many():
    assert all(len(times) == pytest.approx(100, abs=40) for times in deal(len(TIMES), [0.0] * 4, seed=1))
    assert fleet(0.0, 0.0).rates == [2.0, 2.0]


def test_an_adapter_with_arrivals_of_its_own_gets_none_of_the_others():
    own = Adapter("own", 8, 1.0, arrivals="poisson")
    workload = fleet(1.0).model_copy(update={"adapters": (own, Adapter("a", 8, 1.0))})
    assert [adapter.arrivals for adapter in workload.dealt().adapters] == ["poisson", TIMES]


def test_what_is_dealt_is_what_is_drawn():
    workload = fleet(3.0, 1.0, seed=7)
    for seed in (None, 3):
        dealt, drawn = draw_requests(workload.dealt(seed), seed), draw_requests(workload, seed)
        assert all(np.array_equal(one, other) for one, other in zip(dealt, drawn, strict=True))


def test_rates_are_those_of_the_timestamps_in_the_window():
    workload = fleet(3.0, 1.0)
    assert workload.rates == [3.0, 1.0]
    assert workload.rate == workload.scaled(1.0).rate == 4.0
    assert fleet(3.0, 1.0, duration=200.0).rate == 2.0
    assert fleet(3.0, 1.0, duration=50.0).rate == 4.0


def test_servers_receive_every_timestamp_exactly_once():
    workload = fleet(3.0, 1.0)
    parts = workload.parts([{"a0": 0.5}, {"a0": 0.2, "a1": 1.0}, {"a0": 0.3}], seed=5)
    assert sorted(time for part in parts for time in times_of(part)) == list(TIMES)
    whole = len(workload.dealt(5).adapters[0].arrivals)
    for part, share in zip(parts, (0.5, 0.2, 0.3), strict=True):
        assert len(part.adapters[0].arrivals) == pytest.approx(share * whole, abs=3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6), st.integers(0, 500))
def test_servers_whose_shares_make_up_the_whole_divide_the_timestamps(weights, count):
    shares = [weight / sum(weights) for weight in weights]
    times = tuple(float(i) for i in range(count))
    workload = Workload([Adapter("a", 8, 1.0, arrivals=times)], duration=1000.0)
    parts = workload.parts([{"a": share} for share in shares])
    assert sorted(time for part in parts for time in times_of(part)) == list(times)
    for part, share in zip(parts, shares, strict=True):
        assert len(part.adapters[0].arrivals) == pytest.approx(share * count, abs=len(shares))
        assert part.adapters[0].rate == pytest.approx(share)


def test_servers_of_another_state_start_with_the_whole_again():
    """Of a failed server's adapter, the servers that take over receive all, whatever the servers before received."""
    workload = fleet(3.0, 1.0)
    before, one, other = workload.parts([{"a0": 0.6}, {"a0": 0.7}, {"a0": 0.3}], seed=1)
    assert sorted(times_of(one) + times_of(other)) == times_of(workload.parts([{"a0": 1.0}], seed=1)[0])
    assert len(times_of(before)) == pytest.approx(0.6 * 300, abs=40)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 8.0), st.integers(0, 2000))
def test_scaled_timestamps_are_as_many_as_asked_for(factor, count):
    assert abs(copies(count, factor, "a").sum() - factor * count) <= 1
    assert set(copies(count, factor, "a").tolist()) <= {int(factor), int(factor) + 1}


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 4.0), st.floats(0.0, 4.0), st.integers(0, 300))
def test_more_traffic_has_the_timestamps_of_less_and_further_ones(factor, other, count):
    less, more = sorted((factor, other))
    assert (copies(count, less, "a") <= copies(count, more, "a")).all()


def test_a_factor_counts_where_adapters_have_few_timestamps():
    """3 % more of 500 adapters with 4 timestamps each are 60 timestamps, drawn one by one: 60 +- 7.6."""
    adapters = [Adapter(f"a{i}", 8, 0.04, arrivals=TIMES[i % 90 : i % 90 + 4]) for i in range(500)]
    for factor in (0.9, 0.97, 1.03, 1.1, 2.05):
        scaled = Workload(adapters, duration=100.0).scaled(factor)
        expected, spread = 2000 * factor, (500 * (factor * 4 % 1) * (1 - factor * 4 % 1)) ** 0.5
        assert sum(len(a.arrivals) for a in scaled.adapters) == pytest.approx(expected, abs=4 * spread)


def test_half_of_random_arrivals_is_as_bursty_as_all():
    """Every second arrival of a Poisson process would come at gaps with a coefficient of variation of 0.71."""
    times = tuple(np.cumsum(np.random.default_rng(1).exponential(1.0, 20_000)).tolist())
    gaps = np.diff(Adapter("a", 8, 1.0, arrivals=times).scaled(0.5).arrivals)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.04)


def test_thinned_timestamps_are_some_of_the_recorded_ones():
    thinned = Adapter("a", 8, 4.0, arrivals=TIMES).scaled(0.3)
    assert set(thinned.arrivals) < set(TIMES)
    assert (len(thinned.arrivals), thinned.rate) == (pytest.approx(120, abs=3), pytest.approx(1.2))


def test_added_timestamps_lie_between_the_recorded_ones():
    assert repeated((1.0, 2.0, 4.0), np.array([1, 2, 1])) == (1.0, 2.0, 3.0, 4.0)
    assert repeated((1.0, 2.0), np.array([4, 2])) == (1.0, 1.25, 1.5, 1.75, 2.0, 2.0)
    raised = Adapter("a", 8, 4.0, arrivals=TIMES).scaled(1.5).arrivals
    assert set(TIMES) < set(raised)
    assert list(raised) == sorted(raised)
    assert len(set(raised)) == len(raised) - (raised[-1] == raised[-2])


def test_lengths_that_belong_to_the_timestamps_stay_with_them():
    pairs = [(i + 1, 2 * i + 1) for i in range(len(TIMES))]
    adapter = Adapter("a", 8, 4.0, arrivals=TIMES, lengths=Lengths.empirical(pairs))
    for factor in (0.4, 1.0, 2.5):
        requests = draw_requests(Workload([adapter.scaled(factor)], duration=100.0))
        recorded = (requests.arrival / 1e9 / 0.25 + 1e-6).astype(int)  # of an added request, the one before it
        assert requests.input.tolist() == [pairs[i][0] for i in recorded]
        assert requests.output.tolist() == [pairs[i][1] for i in recorded]


def test_a_scaled_workload_has_as_many_times_its_timestamps():
    for factor in (0.5, 1.2, 3.0):
        scaled = fleet(3.0, 1.0).scaled(factor)
        assert len(times_of(scaled)) == pytest.approx(400 * factor, abs=6)
        assert scaled.rate == pytest.approx(4.0 * factor, rel=0.02)


def test_lengths_of_the_workload_belong_to_no_adapter_by_chance():
    """ShareGPT has 8,192 joint entries: an adapter with as many timestamps draws from them as any other does."""
    times = tuple(i / 100 for i in range(8192))
    requests = draw_requests(Workload([Adapter("a", 8, 1.0, arrivals=times)], duration=100.0))
    assert np.abs(np.corrcoef(np.arange(8192), requests.input)[0, 1]) < 0.05


def test_a_workload_without_some_adapters_keeps_the_traffic_of_the_others():
    pairs = [(i + 1, 2 * i + 1) for i in range(len(TIMES))]
    whole = fleet(3.0, 1.0, lengths=Lengths.empirical(pairs))
    left = whole.without({"a1"})
    assert len(left.arrivals) == pytest.approx(300, abs=2)
    assert [pairs[TIMES.index(time)] for time in left.arrivals] == list(left.lengths.pairs)
    assert left.rate == pytest.approx(3.0, rel=0.02)
    assert whole.without(()) == whole
    assert whole.with_arrivals("gamma:cv=3").without({"a1"}).arrivals == "gamma:cv=3"


def test_a_wrong_timestamp_is_named():
    for times, place, value, known in (
        ((1.0, 5.0, 2.0), 2, "2", "from 5"),
        ((-1.0,), 0, "-1", "from 0"),
        ((0.0, 1e12), 1, "1e\\+12", "3.2e\\+08"),
        ((0.0, float("nan")), 1, "nan", "from 0"),
    ):
        with pytest.raises(SpecError, match=f"timestamp {place} is {value}; allowed: .*{known}"):
            Adapter("a", 8, 1.0, arrivals=times)


def test_lengths_go_with_the_timestamps_that_they_belong_to():
    pairs = [(i + 1, 2 * i + 1) for i in range(len(TIMES))]
    own = Adapter("own", 8, 2.0, lengths=Lengths.fixed(7, 7))
    workload = fleet(3.0, 1.0, lengths=Lengths.empirical(pairs))
    workload = workload.model_copy(update={"adapters": (*workload.adapters, own)})
    *given, kept = workload.dealt().adapters
    for adapter in given:
        assert [pairs[TIMES.index(time)] for time in adapter.arrivals] == list(adapter.lengths.pairs)
    assert kept.lengths == own.lengths
    drawn = draw_requests(workload)
    for arrival, adapter, prompt in zip(drawn.arrival, drawn.adapter, drawn.input, strict=True):
        assert prompt == (7 if adapter == 2 else 1 + round(arrival / 1e9 / 0.25))


def test_copies_of_rare_timestamps_lie_in_the_same_burst():
    rare = Adapter("a", 8, 0.02, arrivals=(0.0, 100.0, 104.0))
    assert rare.scaled(2.0).arrivals == (0.0, 5.0, 100.0, 102.0, 104.0, 104.0)
