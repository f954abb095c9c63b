"""without_emptiest, repaired_bins and relieve: bin packing worked out by contents, on servers whose room is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.placement.packing.rooms import Rooms, everybody, item, items, loads, names, problem_of

from adaptwin.placement.packing.items import may_join
from adaptwin.placement.packing.ruin_and_recreate import refused, relieve, repaired_bins, without_emptiest


def hands_of(*bins):
    return [items(*contents) for contents in bins]


def same(one, other):
    return sorted(sorted(names(contents)) for contents in one) == sorted(sorted(contents) for contents in other)


# without_emptiest


@pytest.mark.parametrize(
    ("bins", "found"),
    [
        ([["8:0.6a"], ["8:0.6b"], ["8:0.4a", "8:0.4b"]], [1.0, 1.0]),
        ([["8:0.5a", "8:0.2a"], ["8:0.5b", "8:0.2b"], ["8:0.3a", "8:0.3b"]], [1.0, 1.0]),
        ([["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"]], [1.0, 1.0]),  # 0.6 + 0.4 and 0.6 + 0.2 + 0.2
        ([["8:0.1a"], ["8:0.1b"]], [0.2]),
    ],
)
def test_one_server_fewer_where_there_is_room(bins, found):
    without = without_emptiest(problem_of(), hands_of(*bins))
    assert everybody(without) == sorted(name for contents in bins for name in contents)
    assert sorted(loads(without)) == found


@pytest.mark.parametrize("bins", [[["8:0.7a"], ["8:0.7b"], ["8:0.7c"]], [["8:0.9a"], ["8:0.2a"]], [["8:0.1"]]])
def test_what_cannot_be_squeezed_is_not(bins):
    assert without_emptiest(problem_of(), hands_of(*bins)) is None


def test_squeezed_servers_bear_the_factor():
    bins = hands_of(["8:0.4a", "8:0.1a"], ["8:0.4b", "8:0.05"])
    assert loads(without_emptiest(problem_of(), bins)) == [0.95]
    assert loads(without_emptiest(problem_of(), bins, 1.05)) == [0.95]
    assert without_emptiest(problem_of(), bins, 1.06) is None


def test_what_is_given_stays_as_it_was():
    bins = hands_of(["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"])
    before = [list(contents) for contents in bins]
    without_emptiest(problem_of(), bins)
    repaired_bins(problem_of(Rooms(0.8)), bins)
    relieve(problem_of(), bins, [0])
    assert bins == before


def test_squeeze_finds_the_same_every_time():
    bins = hands_of(["8:0.5a", "8:0.2a"], ["8:0.5b", "8:0.2b"], ["8:0.3a", "8:0.3b"])
    assert without_emptiest(problem_of(), bins) == without_emptiest(problem_of(), bins)


def test_an_adapter_goes_where_it_pads_nobodys_slots():
    """0.2 of rank 8 fits with either; the server of rank 8 takes it, though the other is as full."""
    assert same(
        without_emptiest(problem_of(), hands_of(["64:0.5"], ["8:0.5"], ["8:0.2"])), [["8:0.5", "8:0.2"], ["64:0.5"]]
    )


def test_an_adapter_that_pads_somebodys_slots_goes_there_if_there_is_no_room_elsewhere():
    assert same(
        without_emptiest(problem_of(), hands_of(["8:0.5"], ["8:0.9"], ["64:0.3"])), [["8:0.5", "64:0.3"], ["8:0.9"]]
    )


def test_base_model_traffic_goes_to_the_fullest_server_that_takes_it():
    assert same(
        without_emptiest(problem_of(), hands_of(["64:0.7"], ["8:0.5"], ["0:0.2"])), [["64:0.7", "0:0.2"], ["8:0.5"]]
    )


def test_out_of_time_nothing_is_ruined():
    """What fits at once is still found."""
    hurried = problem_of(deadline=0.0)
    assert loads(without_emptiest(hurried, hands_of(["8:0.5"], ["8:0.4"]))) == [0.9]
    assert without_emptiest(hurried, hands_of(["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"])) is None


def test_foes_are_not_squeezed_together():
    one, other = item("8:0.4", apart_from=["8:0.3"]), item("8:0.3", apart_from=["8:0.4"])
    assert without_emptiest(problem_of(), [[one], [other]]) is None
    swapped = without_emptiest(problem_of(), [[one], [item("8:0.6")], [other]])
    assert same(swapped, [["8:0.4"], ["8:0.6", "8:0.3"]])


def test_groups_are_moved_whole():
    without = without_emptiest(problem_of(), [[item("8:0.2a", "8:0.2b")], items("8:0.5"), items("8:0.9")])
    assert same(without, [["8:0.5", "8:0.2a", "8:0.2b"], ["8:0.9"]])


# refused


class Moody(Rooms):
    """Servers that the twin finds overloaded at just these factors."""

    def ask(self, shares, slots, factor=1.0):
        answer = super().ask(shares, slots, factor)
        return answer._replace(verdict="starved") if (next(iter(shares)), factor) in self.moods else answer

    moods = frozenset({("8:0.1", 1.0), ("8:0.2", 1.1)})


def test_servers_are_refused_that_fail_at_either_factor():
    bins = hands_of(["8:0.1"], ["8:0.2"], ["8:0.3"], ["8:0.95"], ["8:1.1"])
    assert refused(Moody(), bins) == [0, 4]
    assert refused(Moody(), bins, 1.1) == [0, 1, 3, 4]


def test_a_server_without_adapters_is_not_refused():
    assert refused(Rooms(), [[], items("8:1.1"), []]) == [1]


# repaired_bins


def test_servers_that_nobody_refuses_need_no_mending():
    bins = hands_of(["8:0.5"], ["8:1"])
    assert repaired_bins(problem_of(), bins) is bins


def test_moves_mend_what_is_too_full():
    repaired = repaired_bins(problem_of(), hands_of(["8:0.4a", "8:0.4b", "8:0.4c"], ["8:0.5"]))
    assert everybody(repaired) == ["8:0.4a", "8:0.4b", "8:0.4c", "8:0.5"]
    assert loads(repaired) == [0.8, 0.9]


def test_a_server_that_was_refused_takes_nobody_in():
    """0.6 + 0.4 and 0.6 + 0.2 would do, but 0.4 would have to go where 0.6 left; a third server is free to take it."""
    bins = hands_of(["8:0.6a", "8:0.6b"], ["8:0.4", "8:0.2"])
    assert repaired_bins(problem_of(), bins) is None
    assert repaired_bins(problem_of(), [*bins, items("8:0.3")]) is not None


def test_moves_mend_what_does_not_bear_the_factor():
    bins = hands_of(["8:0.3a", "8:0.3b", "8:0.3c"], ["8:0.5"])
    assert repaired_bins(problem_of(), bins, 1.1) is bins
    assert loads(repaired_bins(problem_of(), bins, 1.2)) == [0.6, 0.8]
    assert repaired_bins(problem_of(), bins, 1.7) is None


def test_what_moves_cannot_mend_is_not_mended():
    assert repaired_bins(problem_of(), hands_of(["8:0.6", "8:0.5"], ["8:0.8"])) is None
    assert repaired_bins(problem_of(), hands_of(["8:1.5"], ["8:0.1"])) is None


def test_what_was_put_on_too_optimistically_is_taken_off_again():
    """The guess sees twice the room that there is: only the twin ends it."""
    repaired = repaired_bins(problem_of(Rooms(1.0, predicted=2.0)), hands_of(["8:0.3"] * 4, ["8:0.1"] * 3))
    assert max(loads(repaired)) <= 1.0


# relieve


def test_servers_that_are_refused_are_relieved_whether_they_are_said_to_fail_or_not():
    assert max(loads(relieve(problem_of(), hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.3"]), []))) <= 1.0


def test_load_is_moved_onto_servers_with_room():
    relieved = relieve(problem_of(), hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.9"], ["8:0.3"]), [0])
    assert len(relieved) == 3
    assert max(loads(relieved)) <= 1.0
    assert everybody(relieved) == ["8:0.2", "8:0.3", "8:0.4", "8:0.5", "8:0.9"]


def test_hands_that_nothing_was_moved_from_or_to_are_as_they_were():
    bins = hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.9", "8:0.05"], ["8:0.3"])
    assert names(relieve(problem_of(), bins, [0])[1]) == ["8:0.9", "8:0.05"]
    assert list(map(names, relieve(problem_of(), bins[1:], []))) == [["8:0.9", "8:0.05"], ["8:0.3"]]


def test_a_server_that_fails_is_relieved_even_if_it_looks_well():
    """Other arrivals did it: the twin, asked about those of the search, sees nothing wrong."""
    bins = hands_of(["8:0.3a", "8:0.3b", "8:0.3c"], ["8:0.3d"])
    assert loads(relieve(problem_of(), bins, [0])) == [0.6, 0.6]


def test_what_is_taken_off_a_failing_server_does_not_go_back_to_it():
    """Though it is the emptiest and of the right rank."""
    relieved = relieve(problem_of(), hands_of(["16:0.2", "16:0.1"], ["8:0.5"], ["64:0.8"]), [0])
    assert len(relieved[0]) == 1
    assert len(relieved) == 3


def test_where_there_is_no_room_a_server_is_opened_at_the_end():
    bins = hands_of(["8:0.6", "8:0.5"], ["8:0.9"])
    relieved = relieve(problem_of(), bins, [0])
    assert relieved[1] == bins[1]
    assert sorted([*names(relieved[0]), *names(relieved[2])]) == ["8:0.5", "8:0.6"]
    assert len(relieved) == 3


def test_servers_that_are_refused_again_and_again_are_divided_in_the_end():
    """No guess helps: it finds room for everybody on one server, on which the twin serves one at a time."""
    relieved = relieve(problem_of(Rooms(0.1, predicted=9.0)), hands_of(["8:0.1"] * 8), [0])
    assert loads(relieved) == [0.1] * 8


def test_a_single_item_is_never_taken_off_its_server_but_halved_in_the_end():
    """It would go from server to server."""
    relieved = relieve(problem_of(), hands_of(["8:1.1"], ["8:0.1"]), [0])
    assert loads(relieved) == [0.55, 0.1, 0.55]
    assert list(map(names, relieved)) == [["8:1.1"], ["8:0.1"], ["8:1.1"]]
    assert loads(relieve(problem_of(), hands_of(["8:0.9"], ["8:0.1"]), [0])) == [0.9, 0.1]


def test_relieved_servers_keep_foes_apart_and_groups_whole():
    group, foe = item("8:0.3a", "8:0.3b", apart_from=["8:0.2"]), item("8:0.2", apart_from=["8:0.3a", "8:0.3b"])
    relieved = relieve(problem_of(), [[group, item("8:0.4b"), item("8:0.4c")], [foe]], [0])
    assert everybody(relieved) == ["8:0.2", "8:0.3a", "8:0.3b", "8:0.4b", "8:0.4c"]
    assert all(("8:0.3a" in names(contents)) == ("8:0.3b" in names(contents)) for contents in relieved)
    assert not any({"8:0.3a", "8:0.2"} <= set(names(contents)) for contents in relieved)


@settings(derandomize=True, database=None, max_examples=20, deadline=None)
@given(
    placed=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4)), min_size=1, max_size=20),
    pairs=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=10),
    predicted=st.sampled_from([0.8, 1.0, 1.2]),
)
def test_whatever_is_wrong_is_put_right(placed, pairs, predicted):
    """No item is lost, every server serves, and items kept apart stay so; without opening one, or it is said."""
    named = [f"8:{load / 100}{'abcdefghijklmnopqrst'[i]}" for i, (load, _) in enumerate(placed)]
    apart_from = {name: set() for name in named}
    for i, j in pairs:
        if max(i, j) < len(placed) and placed[i][1] != placed[j][1]:
            apart_from[named[i]].add(named[j])
            apart_from[named[j]].add(named[i])
    bins = [[] for _ in range(5)]
    for name, (_, server) in zip(named, placed, strict=True):
        bins[server].append(item(name, apart_from=apart_from[name]))
    problem = problem_of(Rooms(1.0, predicted))
    wrong = refused(problem.capacity, bins)
    repaired, relieved = repaired_bins(problem, bins), relieve(problem, bins, wrong)
    for found in (relieved, repaired or relieved):
        assert everybody(found) == sorted(named)
        assert not refused(problem.capacity, found)
        assert all(may_join(each, contents) for contents in found for each in contents)
    assert repaired is None or len(repaired) == 5
    assert len(relieved) >= 5
