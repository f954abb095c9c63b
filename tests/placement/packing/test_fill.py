"""fill: the contents of servers of known capacity, worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.placement.packing.rooms import Rooms, item, items, loads, names, placed_names, problem_of

from adaptwin import Infeasible
from adaptwin.placement.capacity.largest import largest_count_near
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.packing.fill import fill
from adaptwin.placement.packing.items import may_join, shares_of
from adaptwin.placement.packing.orders import orders
from adaptwin.workload.sources.synthetic import synthesize

law = settings(derandomize=True, database=None, max_examples=200, deadline=None)


def filled(order, factor=1.0, **fields):
    return fill(problem_of(Rooms(**fields)), order, factor)


# The longest prefix


@law
@given(most=st.integers(0, 99), holding=st.integers(0, 120), guess=st.integers(-1, 150))
def test_the_longest_prefix_is_that_of_brute_force(most, holding, guess):
    assert largest_count_near(most, guess, lambda count: count <= holding) == min(most, holding)


@law
@given(most=st.integers(100, 100_000), holding=st.integers(0, 100_000), guess=st.integers(1, 100_000))
def test_a_long_prefix_is_found_to_one_per_cent_in_few_steps(most, holding, guess):
    tried = []

    def holds(count):
        tried.append(count)
        return count <= holding

    found, true = largest_count_near(most, guess, holds), min(most, holding)
    assert true - true // 100 <= found <= true
    assert all(1 <= count <= most for count in tried)
    assert len(set(tried)) == len(tried) <= 40


@law
@given(true=st.integers(100, 100_000), data=st.data())
def test_from_a_close_guess_few_trials_are_enough(true, data):
    """From within a twentieth of the answer, six trials are enough; bisection takes up to seventeen."""
    tried = []
    guess = data.draw(st.integers(true - true // 20, true + true // 20))

    def holds(count):
        tried.append(count)
        return count <= true

    largest_count_near(200_000, guess, holds)
    assert len(tried) <= 6


def test_the_longest_prefix_on_the_twin_is_that_of_brute_force(h100, capacity_of):
    capacity = capacity_of(synthesize(adapters=12, rate=70, ranks=(8, 16), popularity="zipf:0.5", duration=300))

    def served(count):
        return choose_slots(capacity, dict.fromkeys(capacity.names[:count], 1.0)) is not None

    true = max(count for count in range(1, 13) if served(count))
    assert 1 < true < 12
    assert {largest_count_near(12, guess, served) for guess in (1, 6, 12)} == {true}


# Next-fit


def test_without_items_no_server_is_needed():
    assert filled([]) == []


def test_servers_take_the_longest_stretches_that_fit():
    bins = filled(items("8:0.5", "8:0.3", "8:0.2", "8:0.04a", "8:0.04b"))
    assert list(map(names, bins)) == [["8:0.5", "8:0.3", "8:0.2"], ["8:0.04a", "8:0.04b"]]


def test_a_hole_is_filled_with_the_smallest_of_no_higher_rank():
    bins = filled(items("16:0.6", "16:0.5", "64:0.05", "8:0.3", "8:0.2", "8:0.1"))
    assert names(bins[0]) == ["16:0.6", "8:0.1", "8:0.2"]
    assert placed_names(bins[1:]) == ["16:0.5", "64:0.05", "8:0.3"]


def test_a_small_hole_is_not_filled():
    """The item that did not fit takes 0.04 of a server, so no more than that is left unused."""
    bins = filled(items("8:0.97", "8:0.04", "8:0.01"))
    assert list(map(names, bins)) == [["8:0.97"], ["8:0.04", "8:0.01"]]


def test_servers_are_filled_up_to_the_prediction():
    """By the twin, another item would fit, but the twin is not run."""
    assert loads(filled(items(*["8:0.2"] * 9), predicted=0.6)) == [0.6, 0.6, 0.6]


def test_an_item_that_is_not_likely_served_is_alone_if_the_twin_serves_it():
    bins = filled(items("8:0.9", "8:0.3a", "8:0.3b"), predicted=0.6)
    assert list(map(names, bins)) == [["8:0.9"], ["8:0.3a", "8:0.3b"]]


def test_an_item_that_no_server_serves_is_halved_until_one_does():
    bins = filled(items("8:3", "8:0.25"))
    assert loads(bins) == [1.0, 0.75, 0.75, 0.75]
    assert sum(shares_of(contents)["8:3"] for contents in bins) == pytest.approx(1.0)


def test_halving_an_item_does_not_place_others_twice():
    """The halves join the order at the point reached; items that are on a server already stay there."""
    bins = filled(items("8:0.9", "8:1.6", "8:0.9b"))
    assert sum(loads(bins)) == pytest.approx(3.4)
    assert [name for name in placed_names(bins) if name != "8:1.6"] == ["8:0.9", "8:0.9b"]


def test_halving_ends_with_an_error():
    with pytest.raises(Infeasible, match=r"^8:600.rate: .* cannot be served on room, split over 256 servers, "):
        filled(items("8:600"))


def test_an_item_that_is_served_only_without_the_factor_is_alone():
    """At 1.2 times the traffic, 0.9 is 1.08, which is too much; it is served alone and not halved."""
    assert list(map(names, filled(items("8:0.9", "8:0.1", "8:0.7"), 1.2))) == [["8:0.9"], ["8:0.1", "8:0.7"]]
    assert list(map(names, filled(items("8:0.9", "8:0.1", "8:0.7")))) == [["8:0.9", "8:0.1"], ["8:0.7"]]


def test_an_item_too_hot_for_a_server_is_halved_at_any_factor():
    assert loads(filled(items("8:1.6"), 1.2)) == [0.8, 0.8]


@law
@given(weights=st.lists(st.integers(1, 60), min_size=1, max_size=30), factor=st.floats(1.0, 1.6))
def test_more_traffic_needs_no_fewer_servers_here(weights, factor):
    order = orders(items(*(f"8:{weight / 100}" for weight in weights)))[0]
    bins, more = filled(order), filled(order, factor)
    assert sorted(placed_names(bins)) == sorted(placed_names(more))
    assert max(loads(bins)) <= 1.0
    assert max(loads(more)) * factor <= 1.0 + 1e-6
    assert len(more) >= sum(loads(bins)) * factor - 1e-6


@law
@given(weights=st.lists(st.integers(1, 100), min_size=1, max_size=30))
def test_less_than_twice_as_many_servers_as_there_is_load(weights):
    """Next-fit guarantees that two neighbours together are more than full, up to holes too small to fill."""
    bins = filled(items(*(f"8:{weight / 100}" for weight in weights)))
    assert len(bins) <= 2 * sum(loads(bins)) / 0.95 + 1


# Adapters kept apart, and adapters kept together


def test_adapters_kept_apart_never_share_a_server():
    bins = filled([item("8:0.1a", apart_from=["8:0.1b"]), item("8:0.1b", apart_from=["8:0.1a"]), item("8:0.1c")])
    assert list(map(names, bins)) == [["8:0.1a", "8:0.1c"], ["8:0.1b"]]


def test_holes_are_not_filled_with_adapters_kept_apart():
    bins = filled(
        [item("8:0.6", apart_from=["8:0.1"]), item("8:0.5"), item("8:0.1", apart_from=["8:0.6"]), item("8:0.2")]
    )
    assert names(bins[0]) == ["8:0.6", "8:0.2"]


def test_groups_stay_whole():
    bins = filled([item("8:0.7"), item("8:0.2a", "8:0.3a"), item("8:0.2b")])
    assert list(map(names, bins)) == [["8:0.7", "8:0.2b"], ["8:0.2a", "8:0.3a"]]


def test_a_group_that_no_server_serves_is_not_split():
    with pytest.raises(Infeasible, match=r"'8:0\.6', '8:0\.7' must be together, but no single room serves them"):
        filled([item("8:0.6", "8:0.7")])


@law
@given(
    weights=st.lists(st.integers(1, 60), min_size=2, max_size=20),
    pairs=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=20),
    factor=st.sampled_from([1.0, 1.3]),
)
def test_constraints_to_keep_apart_always_hold(weights, pairs, factor):
    named = [f"8:{weight / 100}{'abcdefghijklmnopqrst'[i]}" for i, weight in enumerate(weights)]
    count = len(named)
    apart_from = {name: set() for name in named}
    for a, b in ((named[i % count], named[j % count]) for i, j in pairs):
        if a != b:
            apart_from[a].add(b)
            apart_from[b].add(a)
    bins = filled([item(name, apart_from=apart_from[name]) for name in named], factor)
    assert placed_names(bins) == sorted(named)
    assert all(
        may_join(each, [other for other in contents if other is not each]) for contents in bins for each in contents
    )
