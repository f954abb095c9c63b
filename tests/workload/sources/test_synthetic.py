"""Synthetic workloads: rates, ranks and names of a fleet with a given total rate."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Lengths, SpecError
from adaptwin.workload.lora_ranks import SERVED_RANKS
from adaptwin.workload.sources.synthetic import assign_ranks, parse_ranks, synthesize

POPULARITIES = st.sampled_from(
    ["uniform", "dirichlet:0.1", "dirichlet:0.5", "dirichlet:5", "zipf:0.5", "zipf:2", "hot:0.9", "levels:3"]
)


@given(
    adapters=st.integers(1, 50),
    rate=st.floats(0, 100),
    popularity=POPULARITIES,
    base_share=st.floats(0, 0.9),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50)
def test_rates_sum_to_the_total(adapters, rate, popularity, base_share, seed):
    fields = {"popularity": popularity, "base_share": base_share, "seed": seed}
    workload = synthesize(adapters=adapters, rate=rate, ranks=(8, 16), **fields)
    assert workload.rate == pytest.approx(rate)
    assert len(workload) == adapters + (base_share > 0)
    assert sum(adapter.rate for adapter in workload.adapters if adapter.rank == 0) == rate * base_share


def test_ranks_are_assigned_in_turn():
    assert assign_ranks((8, 16, 32), 5) == [8, 16, 32, 8, 16]
    assert assign_ranks((8, 8, 64), 4) == [8, 8, 64, 8]


def test_ranks_of_equal_weight_are_assigned_in_turn():
    assert assign_ranks({8: 0.1, 16: 0.1, 32: 0.1}, 6) == [8, 16, 32, 8, 16, 32]


def test_weighted_ranks_come_in_proportion():
    assert Counter(assign_ranks({8: 0.6, 16: 0.3, 32: 0.1}, 100)) == {8: 60, 16: 30, 32: 10}
    assert Counter(assign_ranks({8: 3, 16: 0}, 4)) == {8: 4}


@given(
    weights=st.dictionaries(st.sampled_from(SERVED_RANKS), st.floats(0.01, 10), min_size=1),
    adapters=st.integers(1, 200),
)
def test_no_rank_is_far_from_its_share(weights, adapters):
    counts = Counter(assign_ranks(weights, adapters))
    assert sum(counts.values()) == adapters
    for rank, weight in weights.items():
        assert abs(counts[rank] - adapters * weight / sum(weights.values())) < 2.5


def test_names_have_as_many_digits_as_the_last_one_needs():
    assert [adapter.name for adapter in synthesize(adapters=2, rate=1, ranks=(8,)).adapters] == [
        "a000",
        "a001",
    ]
    names = [adapter.name for adapter in synthesize(adapters=1001, rate=1, ranks=(8,)).adapters]
    assert names[0] == "a0000"
    assert names == sorted(names)


def test_base_traffic_is_one_more_adapter_of_rank_0():
    base = synthesize(adapters=3, rate=10, ranks=(8,), base_share=0.2).adapters[-1]
    assert (base.name, base.rank, base.rate) == ("base", 0, 2.0)


def test_a_synthetic_workload_has_the_given_fields():
    fields = {"lengths": Lengths.fixed(10, 20), "arrivals": "gamma:cv=3", "duration": 60.0, "seed": 7}
    workload = synthesize(adapters=2, rate=1, ranks=(8,), **fields)
    assert {name: getattr(workload, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("text", "ranks"),
    [
        ("8", (8,)),
        ("8,16, 32", (8, 16, 32)),
        ("8:0.6,16:0.4", {8: 0.6, 16: 0.4}),
        ("8:3, 64:1", {8: 3.0, 64: 1.0}),
    ],
)
def test_ranks_as_the_command_line_gives_them(text, ranks):
    assert parse_ranks(text) == ranks


@pytest.mark.parametrize("text", ["", "8,", "eight", "8:0.5,16", "8:", "8:1:2", "8.5"])
def test_invalid_ranks_are_refused(text):
    with pytest.raises(SpecError, match=f"ranks: '{text}' is neither a list of ranks"):
        parse_ranks(text)


def test_a_rank_with_two_weights_is_refused():
    with pytest.raises(SpecError, match="'8:1,8:2' has a duplicate rank"):
        parse_ranks("8:1,8:2")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"adapters": 0}, "adapters: 0 must be at least 1"),
        ({"rate": -1.0}, "rate: -1 must be at least 0"),
        ({"rate": float("nan")}, "rate: nan must be at least 0"),
        ({"ranks": ()}, "ranks: needs at least one rank"),
        ({"ranks": (600,)}, "rank: 600 is above 512, the highest that vLLM serves"),
        ({"ranks": {8: -1.0, 16: 2.0}}, "weights must be at least 0"),
        ({"ranks": {8: 0.0}}, "weights must be at least 0, and one of them above 0"),
        ({"base_share": 1.0}, "base_share: 1 must be at least 0 and below 1"),
        ({"base_share": -0.1}, "base_share: -0.1 must be at least 0 and below 1"),
        ({"popularity": "pareto:1"}, "popularity: 'pareto:1' is not a known popularity"),
        ({"seed": -1}, "seed: -1 must be at least 0"),
    ],
)
def test_invalid_arguments_are_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        synthesize(**{"adapters": 2, "rate": 1.0, "ranks": (8,), **fields})
