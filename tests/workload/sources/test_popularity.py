"""Popularity: how the traffic is distributed to adapters."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import SpecError
from adaptwin.workload.sources.popularity import DECADES, parse_popularity, popularity_shares

FAMILIES = ("uniform", "dirichlet", "zipf", "hot", "levels", "lognormal")


@st.composite
def popularities(draw) -> str:
    family = draw(st.sampled_from(FAMILIES))
    numbers = {
        "dirichlet": st.floats(0.01, 100),
        "zipf": st.floats(0.01, 10),
        "hot": st.floats(0.01, 0.99),
        "levels": st.integers(1, 10**12),
        "lognormal": st.floats(0.01, 1000),
    }
    return family if family == "uniform" else f"{family}:{draw(numbers[family])}"


@given(popularity=popularities(), adapters=st.integers(1, 100), seed=st.integers(0, 1000))
@settings(max_examples=200)
def test_shares_sum_to_one_and_none_is_negative(popularity, adapters, seed):
    shares = popularity_shares(popularity, adapters, seed)
    assert shares.shape == (adapters,)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)


def test_uniform_shares_are_equal():
    assert popularity_shares("uniform", 4).tolist() == [0.25] * 4


def test_zipf_shares_fall_with_the_power_of_the_place():
    assert popularity_shares("zipf:1", 3) == pytest.approx(np.array([6, 3, 2]) / 11)
    assert popularity_shares("zipf:2", 2) == pytest.approx([0.8, 0.2])


def test_the_hot_adapter_has_its_share_and_the_others_share_the_rest_equally():
    assert popularity_shares("hot:0.7", 4) == pytest.approx([0.7, 0.1, 0.1, 0.1])
    assert popularity_shares("hot:0.1", 3) == pytest.approx([0.1, 0.45, 0.45])


def test_a_single_adapter_has_all_traffic_for_every_family():
    assert [popularity_shares(family, 1).tolist() for family in FAMILIES] == [[1.0]] * len(FAMILIES)


def test_a_smaller_dirichlet_is_more_uneven():
    largest = [popularity_shares(f"dirichlet:{alpha}", 100).max() for alpha in (0.1, 1.0, 100.0)]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] > 3 * largest[-1]


def test_levels_are_assigned_in_turn():
    shares = popularity_shares("levels:3", 8, seed=1)
    assert len(set(shares.tolist())) == 3
    assert shares[:3].tolist() == shares[3:6].tolist()
    assert shares[6:].tolist() == shares[:2].tolist()


def test_levels_are_drawn_evenly_from_three_decades():
    shares = popularity_shares("levels:3000", 3000)
    decades = np.log10(shares / shares.max())
    assert -DECADES < decades.min() < -DECADES + 0.01
    assert all(900 < count < 1100 for count in Counter(np.ceil(decades)).values())


def test_more_adapters_leave_the_levels_unchanged():
    few, many = popularity_shares("levels:4", 4, seed=5), popularity_shares("levels:4", 10, seed=5)
    assert many[:4] / many[0] == pytest.approx(few / few[0])


def test_the_logarithms_of_lognormal_shares_have_the_given_deviation():
    for sigma in (0.5, 2.0):
        logarithms = np.log(popularity_shares(f"lognormal:{sigma}", 5000))
        assert np.std(logarithms) == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("family", ["dirichlet", "levels", "lognormal"])
def test_random_shares_depend_on_the_seed(family):
    first, again, other = (popularity_shares(family, 10, seed).tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("family", ["uniform", "zipf", "hot"])
def test_fixed_shares_do_not_depend_on_the_seed(family):
    assert popularity_shares(family, 10, 1).tolist() == popularity_shares(family, 10, 2).tolist()


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("dirichlet", "dirichlet:0.5"),
        ("zipf", "zipf:1.0"),
        ("hot", "hot:0.5"),
        ("levels", "levels:3"),
        ("lognormal", "lognormal:1.5"),
    ],
)
def test_a_popularity_without_a_number_takes_the_usual_one(short, long):
    assert parse_popularity(short) == parse_popularity(long)
    assert popularity_shares(short, 5).tolist() == popularity_shares(long, 5).tolist()


@pytest.mark.parametrize(
    ("popularity", "message"),
    [
        ("pareto:1", "'pareto:1' is not a known popularity (uniform, dirichlet:0.5, zipf:1.0, hot:0.5, levels:3 or"),
        ("zipf:steep", "'zipf:steep' is not a known popularity"),
        ("zipf:", "'zipf:' is not a known popularity"),
        ("uniform:1", "'uniform:1' is not a known popularity"),
        ("", "'' is not a known popularity"),
        ("dirichlet:0", "'dirichlet:0': the number must be above 0 and finite"),
        ("zipf:inf", "'zipf:inf': the number must be above 0 and finite"),
        ("lognormal:nan", "'lognormal:nan': the number must be above 0 and finite"),
        ("hot:1", "'hot:1': the share must be below 1"),
        ("levels:2.5", "'levels:2.5': the number of levels must be whole"),
    ],
)
def test_an_unknown_popularity_is_refused(popularity, message):
    with pytest.raises(SpecError) as error:
        popularity_shares(popularity, 3)
    assert str(error.value).startswith(f"popularity: {message}")
