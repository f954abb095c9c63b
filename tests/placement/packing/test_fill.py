"""fill: what servers get whose room is known, worked out by contents."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.placement.packing.rooms import Rooms, everybody, item, items, loads, names, problem_of

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
def test_a_good_guess_is_galloped_from(true, data):
    """Within a sixteenth of the answer six questions are enough, where bisection takes up to seventeen."""
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


def test_nobody_needs_no_server():
    assert filled([]) == []


def test_servers_take_the_longest_stretches_that_fit():
    bins = filled(items("8:0.5", "8:0.3", "8:0.2", "8:0.04a", "8:0.04b"))
    assert list(map(names, bins)) == [["8:0.5", "8:0.3", "8:0.2"], ["8:0.04a", "8:0.04b"]]


def test_a_hole_is_filled_with_the_smallest_of_no_higher_rank():
    bins = filled(items("16:0.6", "16:0.5", "64:0.05", "8:0.3", "8:0.2", "8:0.1"))
    assert names(bins[0]) == ["16:0.6", "8:0.1", "8:0.2"]
    assert everybody(bins[1:]) == ["16:0.5", "64:0.05", "8:0.3"]


def test_a_hole_that_is_not_worth_it_stays():
    """The next one takes 0.04 of a server: no more than that is lost."""
    bins = filled(items("8:0.97", "8:0.04", "8:0.01"))
    assert list(map(names, bins)) == [["8:0.97"], ["8:0.04", "8:0.01"]]


def test_what_the_guess_says_is_what_servers_are_filled_to():
    """The twin would find room for one more, but is not asked."""
    assert loads(filled(items(*["8:0.2"] * 9), predicted=0.6)) == [0.6, 0.6, 0.6]


def test_an_item_that_is_not_likely_served_is_alone_if_the_twin_serves_it():
    bins = filled(items("8:0.9", "8:0.3a", "8:0.3b"), predicted=0.6)
    assert list(map(names, bins)) == [["8:0.9"], ["8:0.3a", "8:0.3b"]]


def test_an_item_that_nobody_serves_is_halved_until_it_is():
    bins = filled(items("8:3", "8:0.25"))
    assert loads(bins) == [1.0, 0.75, 0.75, 0.75]
    assert sum(shares_of(contents)["8:3"] for contents in bins) == pytest.approx(1.0)


def test_halves_bring_nobody_back():
    """They come in the midst of the order: who is on a server already stays there, once."""
    bins = filled(items("8:0.9", "8:1.6", "8:0.9b"))
    assert sum(loads(bins)) == pytest.approx(3.4)
    assert [name for name in everybody(bins) if name != "8:1.6"] == ["8:0.9", "8:0.9b"]


def test_halves_end_somewhere():
    with pytest.raises(Infeasible, match=r"^8:600.rate: .* cannot be served on room: starved even alone"):
        filled(items("8:600"))


def test_an_item_that_bears_its_own_traffic_only_is_alone():
    """At 1.2 times the traffic 0.9 is 1.08: too much, but served as it is, and not halved. 0.7 has room beside it."""
    assert list(map(names, filled(items("8:0.9", "8:0.1", "8:0.7"), 1.2))) == [["8:0.9"], ["8:0.1", "8:0.7"]]
    assert list(map(names, filled(items("8:0.9", "8:0.1", "8:0.7")))) == [["8:0.9", "8:0.1"], ["8:0.7"]]


def test_what_is_too_hot_anyway_is_halved_at_any_factor():
    assert loads(filled(items("8:1.6"), 1.2)) == [0.8, 0.8]


@law
@given(weights=st.lists(st.integers(1, 60), min_size=1, max_size=30), factor=st.floats(1.0, 1.6))
def test_more_traffic_needs_no_fewer_servers_here(weights, factor):
    order = orders(items(*(f"8:{weight / 100}" for weight in weights)))[0]
    bins, more = filled(order), filled(order, factor)
    assert sorted(everybody(bins)) == sorted(everybody(more))
    assert max(loads(bins)) <= 1.0
    assert max(loads(more)) * factor <= 1.0 + 1e-6
    assert len(more) >= sum(loads(bins)) * factor - 1e-6


@law
@given(weights=st.lists(st.integers(1, 100), min_size=1, max_size=30))
def test_less_than_twice_as_many_servers_as_there_is_load(weights):
    """As next-fit promises: two neighbours are never both at most half full - but for what is too small to matter."""
    bins = filled(items(*(f"8:{weight / 100}" for weight in weights)))
    assert len(bins) <= 2 * sum(loads(bins)) / 0.95 + 1


# Who must not meet, and who must stay together


def test_foes_never_share_a_server():
    bins = filled([item("8:0.1a", apart_from=["8:0.1b"]), item("8:0.1b", apart_from=["8:0.1a"]), item("8:0.1c")])
    assert list(map(names, bins)) == [["8:0.1a", "8:0.1c"], ["8:0.1b"]]


def test_foes_are_not_put_into_holes_either():
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
def test_nobody_meets_a_foe(weights, pairs, factor):
    named = [f"8:{weight / 100}{'abcdefghijklmnopqrst'[i]}" for i, weight in enumerate(weights)]
    count = len(named)
    apart_from = {name: set() for name in named}
    for a, b in ((named[i % count], named[j % count]) for i, j in pairs):
        if a != b:
            apart_from[a].add(b)
            apart_from[b].add(a)
    bins = filled([item(name, apart_from=apart_from[name]) for name in named], factor)
    assert everybody(bins) == sorted(named)
    assert all(
        may_join(each, [other for other in contents if other is not each]) for contents in bins for each in contents
    )
