"""Orders, worked out by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.placement.packing.rooms import item, items, loads, names

from adaptwin.placement.packing.orders import alternating, by_falling_load, dealt, orders, to_least_loaded


def test_alternating_takes_the_largest_the_smallest_the_second_largest():
    assert "".join(alternating(list("abcde"), lambda _: 8)) == "aebdc"
    assert "".join(alternating(list("abcd"), lambda _: 8)) == "adbc"
    assert alternating(["a"], lambda _: 8) == ["a"]
    assert alternating([], lambda _: 8) == []


def test_alternating_keeps_ranks_apart():
    rank = {"a": 16, "b": 16, "c": 16, "d": 8, "e": 8}
    assert "".join(alternating(list("abcde"), rank.__getitem__)) == "acbde"


def test_dealt_changes_direction_after_every_round():
    assert dealt(list(range(7)), 3) == [0, 5, 6, 1, 4, 2, 3]
    assert dealt(list(range(4)), 1) == [0, 1, 2, 3]
    assert dealt([], 2) == []
    assert dealt([0, 1], 5) == [0, 1]


@settings(derandomize=True, database=None)
@given(count=st.integers(0, 40), servers=st.integers(1, 12))
def test_orders_lose_no_item(count, servers):
    placed_names = list(range(count))
    assert sorted(dealt(placed_names, servers)) == placed_names
    assert sorted(alternating(placed_names, lambda number: number % 3)) == placed_names


def test_orders_are_by_falling_rank_then_load_then_name():
    hot_first, mixed = orders(items("8:0.1", "16:0.2", "8:0.3b", "16:0.4", "8:0.3a", "16:0.3"))
    assert names(hot_first) == ["16:0.4", "16:0.3", "16:0.2", "8:0.3a", "8:0.3b", "8:0.1"]
    assert names(mixed) == ["16:0.4", "16:0.2", "16:0.3", "8:0.3a", "8:0.1", "8:0.3b"]


def test_orders_do_not_depend_on_the_order_given():
    some = items("8:0.1", "16:0.2", "8:0.3b", "8:0.3a")
    assert orders(some) == orders(some[::-1])


def test_the_largest_come_first_whatever_their_rank():
    assert names(by_falling_load(items("8:0.1", "16:0.2", "8:0.3b", "8:0.3a"))) == [
        "8:0.3a",
        "8:0.3b",
        "16:0.2",
        "8:0.1",
    ]


def test_each_goes_to_the_least_loaded():
    """Of equally loaded servers, the first is chosen."""
    bins = to_least_loaded(items("8:0.5", "8:0.4", "8:0.3", "8:0.1a", "8:0.1b"), 2)
    assert list(map(names, bins)) == [["8:0.5", "8:0.1a", "8:0.1b"], ["8:0.4", "8:0.3"]]
    assert loads(to_least_loaded(items("8:0.5"), 2)) == [0.5, 0.0]
    assert to_least_loaded([], 2) == [[], []]


def test_each_goes_to_the_least_loaded_server_that_it_need_not_be_apart_from():
    foe = item("8:0.1", apart_from=["8:0.4"])
    assert list(map(names, to_least_loaded([*items("8:0.5", "8:0.4"), foe], 2))) == [["8:0.5", "8:0.1"], ["8:0.4"]]


def test_without_enough_servers_to_keep_items_apart_there_is_no_placement():
    trio = [item(f"8:0.1{a}", apart_from=[f"8:0.1{b}" for b in "abc" if b != a]) for a in "abc"]
    assert to_least_loaded(trio, 2) is None
    assert list(map(names, to_least_loaded(trio, 3))) == [["8:0.1a"], ["8:0.1b"], ["8:0.1c"]]
