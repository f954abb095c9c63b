"""Traffic: sums over adapters, independent of their names and their order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, Lengths, Workload
from adaptwin.workload.demand.length_moments import LengthMoments
from adaptwin.workload.demand.traffic import (
    OCTAVE_ADAPTERS,
    OCTAVE_TOKENS,
    OCTAVES,
    SUMS,
    AdapterDemands,
    Demand,
    Traffic,
    add_sums,
    cumulative_sums,
    demand_in,
    demands_of,
    raw_sums,
    sum_demands,
)
from adaptwin.workload.templates import Template

SHORT, LONG = Lengths.fixed(10, 4), Lengths.fixed(100, 20)
MOSTS = ("hottest", "max_rank")
MEANS = ("dispersion", "swing")  # weighted by the rate, and by its square


def demands(workload, longest=1000):
    return demands_of(workload, early_stop_share=0.0, early_stop_reach=1.0, longest=longest)


def demand_of(workload, shares=None, *, longest=1000) -> Demand:
    return sum_demands(demands(workload, longest), None if shares is None else np.array(shares, np.float64))


def sums_of(*adapters):
    return raw_sums(demands(Workload(adapters)))


def traffic_of(*adapters, **fields) -> Traffic:
    return demand_of(Workload(adapters, lengths=SHORT, **fields)).traffic


@st.composite
def fleets(draw, prefix="a"):
    """Draw adapters of all kinds, some without traffic."""
    kinds = st.tuples(
        st.sampled_from([0, 8, 16, 64]),
        st.just(0.0) | st.floats(1e-6, 20),
        st.sampled_from([None, SHORT, LONG, Lengths.lognormal(input_mean=50, input_cv=1, output_mean=30, output_cv=1)]),
        st.sampled_from([None, "poisson", "gamma:cv=3", "regimes:period=60,factor=2"]),
    )
    drawn = draw(st.lists(kinds, max_size=8))
    return [
        Adapter(f"{prefix}{i}", rank, rate, lengths=lengths, arrivals=arrivals)
        for i, (rank, rate, lengths, arrivals) in enumerate(drawn)
    ]


def assert_same(one: Demand, other: Demand):
    assert one.traffic == pytest.approx(other.traffic)
    assert one.by_octave == pytest.approx(other.by_octave)


# By hand


def test_three_adapters_on_paper():
    adapters = [Adapter("a", 8, 2.0), Adapter("b", 16, 0.5, lengths=LONG), Adapter("base", 0, 1.0)]
    # A short request reads 33 cached tokens, a long one 100 + ... + 118 = 2071.
    assert demand_of(Workload(adapters, lengths=SHORT)).traffic == Traffic(
        rate=3.5,
        lora_rate=2.5,
        served_rate=3.5,
        prompt=3 * 10 + 0.5 * 100,
        answer=3 * 4 + 0.5 * 20,
        asked=3 * 4 + 0.5 * 20,
        context=3 * 33 + 0.5 * 2071,
        prompt_squares=3 * 100 + 0.5 * 10_000,
        answer_squares=3 * 16 + 0.5 * 400,
        shared=0.0,
        shared_squares=0.0,
        shared_focus=0.0,
        rank_rate=2 * 8 + 0.5 * 16,
        rate_squares=4 + 0.25 + 1,
        hottest=2.0,
        adapters=2.0,
        max_rank=16.0,
        dispersion=1.0,
        swing=0.0,
        unknown_rate=0.0,
    )


def test_shared_tokens_are_those_of_templates_in_longer_prompts():
    """LONG has prompts of 100 tokens and SHORT of 10: only the long ones can begin with 30 tokens of a template."""
    template = Template(tokens=30, share=0.5)
    traffic = demand_of(
        Workload([Adapter("a", 8, 2.0, lengths=LONG), Adapter("b", 8, 4.0, lengths=SHORT)], templates=[template])
    ).traffic
    assert traffic.shared == 2.0 * 0.5 * 30
    assert traffic.shared_squares == 2.0 * 0.5 * 900
    assert traffic.shared_focus == 2.0 * 0.5 * 30 * 0.5


def test_shared_tokens_of_recorded_prefixes_are_their_mean():
    adapter = Adapter("a", 8, 0.0, arrivals=(0.0, 1.0, 2.0, 3.0), prefixes=((-1, 0), (0, 8), (0, 4), (-1, 0)))
    traffic = demand_of(Workload([adapter], lengths=SHORT, duration=4.0)).traffic
    assert (traffic.shared, traffic.shared_squares) == (3.0, 20.0)


def test_without_adapters_there_is_no_traffic():
    assert traffic_of() == Traffic(*[0.0] * len(Traffic._fields))
    assert traffic_of(Adapter("silent", 64, 0.0)) == traffic_of()


def test_requests_that_are_too_long_count_as_arriving_but_not_as_served():
    adapters = [Adapter("a", 8, 2.0, lengths=SHORT), Adapter("b", 8, 1.0, lengths=LONG)]
    traffic = demand_of(Workload(adapters), longest=119).traffic
    assert (traffic.rate, traffic.served_rate, traffic.prompt) == (3.0, 2.0, 20.0)


def test_adapters_are_binned_by_octaves_of_tokens():
    # Bin 1 begins at 2^-15 tokens/s and each further bin at twice as many: bin 16 at 1, the last at 512.
    rates = {0.25: 16, 0.4999 / 4: 14, 0.5: 17, 127.0: 24, 128.0: 25, 1e6: 25, 2.0**-17: 1, 2.0**-17.1: 0, 1e-9: 0}
    for rate, place in rates.items():
        by_octave = demand_of(Workload([Adapter("a", 8, rate)], lengths=SHORT)).by_octave
        assert by_octave.shape == (OCTAVES, 2)
        assert np.flatnonzero(by_octave[:, 0]).tolist() == [place]
        assert by_octave[place].tolist() == [1.0, 4 * rate]


def test_the_base_model_is_in_no_octave():
    assert not demand_of(Workload([Adapter("base", 0, 3.0)], lengths=SHORT)).by_octave.any()


def test_an_adapter_whose_requests_are_all_rejected_is_in_the_first_bin():
    by_octave = demand_of(Workload([Adapter("a", 8, 3.0)], lengths=LONG), longest=50).by_octave
    assert by_octave[0].tolist() == [1.0, 0.0]


def test_dispersion_is_the_squared_variation_of_the_gaps_weighted_by_rate():
    assert traffic_of(Adapter("a", 8, 1.0), arrivals="gamma:cv=3").dispersion == 9.0
    steady, bursty = Adapter("a", 8, 3.0), Adapter("b", 8, 1.0, arrivals="gamma:cv=3")
    assert traffic_of(steady, bursty).dispersion == (3 * 1 + 1 * 9) / 4


def test_swing_is_the_relative_variance_of_the_total_rate():
    # The factor is 2 with probability 1/3, else 1/2: its mean is 1, the mean of its square 1.5.
    restless = [Adapter(f"a{i}", 8, 1.0, arrivals="regimes:period=60,factor=2") for i in range(2)]
    assert traffic_of(restless[0]).swing == pytest.approx(0.5)
    assert traffic_of(*restless).swing == pytest.approx(0.25)  # independent: two swing half as much as one
    assert traffic_of(*restless, Adapter("calm", 8, 2.0)).swing == pytest.approx(0.5 * 2 / 16)


def test_replays_and_files_are_unknown(tmp_path):
    (tmp_path / "day.csv").write_text("start,factor\n0,1\n", encoding="utf-8")
    replayed = Adapter("a", 8, 0.0, arrivals=(1.0, 2.0, 3.0))
    filed = Adapter("b", 8, 2.0, arrivals=f"rates:{tmp_path / 'day.csv'}")
    traffic = traffic_of(replayed, filed, Adapter("c", 8, 4.0), duration=10.0)
    assert traffic.unknown_rate == pytest.approx(0.3 + 2.0)
    assert traffic.rate == pytest.approx(6.3)
    assert traffic_of(Adapter("a", 8, 2.0), arrivals=(1.0, 2.0), duration=4.0).unknown_rate == 0.5


# Laws


@given(adapters=fleets(), data=st.data())
@settings(deadline=None)
def test_the_order_and_the_names_of_adapters_do_not_matter(adapters, data):
    mixed = data.draw(st.permutations(adapters))
    renamed = [adapter.model_copy(update={"name": f"other{i}"}) for i, adapter in enumerate(mixed)]
    assert_same(demand_of(Workload(renamed)), demand_of(Workload(adapters)))


@given(one=fleets("a"), other=fleets("b"))
@settings(deadline=None)
def test_the_traffic_of_two_fleets_is_that_of_both_together(one, other):
    parts = [demand_of(Workload(adapters)) for adapters in (one, other)]
    whole = demand_of(Workload([*one, *other]))
    assert whole.by_octave == pytest.approx(parts[0].by_octave + parts[1].by_octave)
    for name in Traffic._fields:
        first, second = (getattr(part.traffic, name) for part in parts)
        if name in MOSTS:
            assert getattr(whole.traffic, name) == max(first, second)
        elif name in MEANS:
            power = 1 + MEANS.index(name)
            weighed = sum(getattr(p.traffic, name) * p.traffic.rate**power for p in parts)
            assert getattr(whole.traffic, name) * whole.traffic.rate**power == pytest.approx(weighed)
        else:
            assert getattr(whole.traffic, name) == pytest.approx(first + second)


@given(adapters=fleets(), data=st.data())
@settings(deadline=None)
def test_a_share_of_an_adapter_is_an_adapter_with_less_traffic(adapters, data):
    shares = data.draw(st.lists(st.just(0.0) | st.floats(0.01, 1), min_size=len(adapters), max_size=len(adapters)))
    less = [adapter.scaled(share) for adapter, share in zip(adapters, shares, strict=True)]
    assert_same(demand_of(Workload(adapters), shares), demand_of(Workload(less)))


@given(adapters=fleets())
@settings(deadline=None)
def test_every_adapter_is_counted_once(adapters):
    traffic, by_octave = demand_of(Workload(adapters, lengths=SHORT))
    loras = [a for a in adapters if a.rank and a.rate]
    assert by_octave[:, 0].sum() == traffic.adapters == len(loras)
    assert traffic.rate == pytest.approx(sum(a.rate for a in adapters))
    assert traffic.lora_rate == pytest.approx(sum(a.rate for a in loras))
    tokens = sum(a.rate * (a.lengths or SHORT).mean_output for a in loras)
    assert by_octave[:, 1].sum() == pytest.approx(tokens, rel=1e-6)


# Raw sums, which add up


def test_each_raw_sum_stands_in_the_column_of_its_name():
    """A LoRA adapter and two shares of the base model's traffic make all sums different."""
    moments = LengthMoments(
        served=0.6, prompt=11.0, answer=7.0, asked=13.0, context=101.0, prompt_squares=211.0, answer_squares=59.0
    )
    three = AdapterDemands(
        rate=np.array([3.0, 5.0, 2.0]),
        rank=np.array([16.0, 0.0, 0.0]),
        per_request=np.array([moments] * 3),
        shared=np.array([[23.0, 31.0, 37.0]] * 3),
        dispersion=np.full(3, 4.0),
        swing=np.full(3, 0.25),
        period=np.full(3, 60.0),
        unknown=np.array([False, False, True]),
    )
    expected = {
        "rate": 10.0,
        "lora_rate": 3.0,
        "served_rate": 6.0,
        "prompt": 110.0,
        "shared": 230.0,
        "shared_squares": 310.0,
        "shared_focus": 370.0,
        "answer": 70.0,
        "asked": 130.0,
        "context": 1010.0,
        "prompt_squares": 2110.0,
        "answer_squares": 590.0,
        "rank_rate": 3.0 * 16,
        "rate_squares": 9.0 + 25.0 + 4.0,
        "hottest": 5.0,
        "adapters": 1.0,
        "max_rank": 16.0,
        "dispersion": 40.0,
        "swing": 38.0 / 4,
        "unknown_rate": 2.0,
    }
    assert len(set(expected.values())) == len(expected) == len(Traffic._fields)
    sums = raw_sums(three)
    assert dict(zip(Traffic._fields, sums, strict=False)) == pytest.approx(expected)
    by_octave = sums[len(Traffic._fields) :].reshape(OCTAVES, 2)
    assert by_octave[:, OCTAVE_ADAPTERS].sum() == 1.0
    assert by_octave[:, OCTAVE_TOKENS].sum() == pytest.approx(3.0 * 7.0)


def test_raw_sums_on_paper():
    """In raw sums, dispersion and swing are not divided by the rate, so that they can be added."""
    restless = Adapter("b", 16, 2.0, lengths=SHORT, arrivals="regimes:period=60,factor=2")
    raw = sums_of(Adapter("a", 8, 3.0, lengths=SHORT, arrivals="gamma:cv=2"), restless)
    fields = dict(zip(Traffic._fields, raw, strict=False))
    assert raw.shape == (SUMS,) == (len(Traffic._fields) + 2 * OCTAVES,)
    assert fields["dispersion"] == pytest.approx(3 * 4 + 2 * 1)
    assert fields["swing"] == pytest.approx(2 * 2 * 0.5)
    assert demand_in(raw).traffic.dispersion == pytest.approx((3 * 4 + 2 * 1) / 5)
    assert demand_in(raw).traffic.swing == pytest.approx(2 * 2 * 0.5 / 25)


@given(one=fleets("a"), other=fleets("b"))
@settings(deadline=None)
def test_raw_sums_of_two_fleets_are_those_of_both_together(one, other):
    parts = sums_of(*one), sums_of(*other)
    assert add_sums(*parts) == pytest.approx(sums_of(*one, *other))
    assert_same(demand_in(add_sums(*parts)), demand_of(Workload([*one, *other])))
    assert parts[0].tolist() == sums_of(*one).tolist()


@given(each=st.lists(fleets(), min_size=1, max_size=5))
@settings(deadline=None)
def test_cumulative_sums_are_those_of_adding_one_after_the_other(each):
    sums = [sums_of(*fleet) for fleet in each]
    added = sums[0]
    for row, one in enumerate(cumulative_sums(np.array(sums))):
        added = add_sums(added, sums[row]) if row else added
        assert one == pytest.approx(added)


@given(adapters=fleets(), factor=st.floats(0.01, 100))
@settings(deadline=None)
def test_a_factor_equals_a_share_of_every_adapter_except_in_the_octaves(adapters, factor):
    """Adapters stay in the bins of their original traffic, as a factor does not count them again."""
    raw = sums_of(*adapters)
    scaled, counted = demand_in(raw, factor), demand_of(Workload(adapters), [factor] * len(adapters))
    assert scaled.traffic == pytest.approx(counted.traffic)
    assert scaled.by_octave.sum(axis=0) == pytest.approx(counted.by_octave.sum(axis=0))
    assert scaled.by_octave[:, 0].tolist() == demand_in(raw).by_octave[:, 0].tolist()
    assert raw.tolist() == sums_of(*adapters).tolist()


@given(adapters=fleets())
@settings(deadline=None)
def test_a_factor_of_one_changes_nothing(adapters):
    assert_same(demand_in(sums_of(*adapters), 1.0), demand_of(Workload(adapters)))


@given(adapters=fleets(), data=st.data())
@settings(deadline=None)
def test_some_adapters_are_picked_by_their_position(adapters, data):
    chosen = data.draw(st.lists(st.sampled_from(range(len(adapters))), unique=True)) if adapters else []
    picked = demands(Workload(adapters)).of(np.array(chosen, dtype=np.int64))
    assert raw_sums(picked) == pytest.approx(sums_of(*(adapters[i] for i in chosen)))
