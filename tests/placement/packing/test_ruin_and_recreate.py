"""squeeze, mend and relieve: bin packing worked out by hand, on servers whose room is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.placement.packing.rooms import Rooms, everybody, item, items, loads, names, problem_of

from adaptwin.placement.packing.items import gets_on
from adaptwin.placement.packing.ruin_and_recreate import mend, refused, relieve, squeeze


def hands_of(*hands):
    return [items(*hand) for hand in hands]


def same(one, other):
    return sorted(sorted(names(hand)) for hand in one) == sorted(sorted(hand) for hand in other)


# squeeze


@pytest.mark.parametrize(
    ("hands", "found"),
    [
        ([["8:0.6a"], ["8:0.6b"], ["8:0.4a", "8:0.4b"]], [1.0, 1.0]),
        ([["8:0.5a", "8:0.2a"], ["8:0.5b", "8:0.2b"], ["8:0.3a", "8:0.3b"]], [1.0, 1.0]),
        ([["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"]], [1.0, 1.0]),  # 0.6 + 0.4 and 0.6 + 0.2 + 0.2
        ([["8:0.1a"], ["8:0.1b"]], [0.2]),
    ],
)
def test_one_server_fewer_where_there_is_room(hands, found):
    squeezed = squeeze(problem_of(), hands_of(*hands))
    assert everybody(squeezed) == sorted(name for hand in hands for name in hand)
    assert sorted(loads(squeezed)) == found


@pytest.mark.parametrize("hands", [[["8:0.7a"], ["8:0.7b"], ["8:0.7c"]], [["8:0.9a"], ["8:0.2a"]], [["8:0.1"]]])
def test_what_cannot_be_squeezed_is_not(hands):
    assert squeeze(problem_of(), hands_of(*hands)) is None


def test_squeezed_servers_bear_the_factor():
    hands = hands_of(["8:0.4a", "8:0.1a"], ["8:0.4b", "8:0.05"])
    assert loads(squeeze(problem_of(), hands)) == [0.95]
    assert loads(squeeze(problem_of(), hands, 1.05)) == [0.95]
    assert squeeze(problem_of(), hands, 1.06) is None


def test_what_is_given_stays_as_it_was():
    hands = hands_of(["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"])
    before = [list(hand) for hand in hands]
    squeeze(problem_of(), hands)
    mend(problem_of(Rooms(0.8)), hands)
    relieve(problem_of(), hands, [0])
    assert hands == before


def test_squeeze_finds_the_same_every_time():
    hands = hands_of(["8:0.5a", "8:0.2a"], ["8:0.5b", "8:0.2b"], ["8:0.3a", "8:0.3b"])
    assert squeeze(problem_of(), hands) == squeeze(problem_of(), hands)


def test_an_adapter_goes_where_it_pads_nobodys_slots():
    """0.2 of rank 8 fits with either; the server of rank 8 takes it, though the other is as full."""
    assert same(squeeze(problem_of(), hands_of(["64:0.5"], ["8:0.5"], ["8:0.2"])), [["8:0.5", "8:0.2"], ["64:0.5"]])


def test_an_adapter_that_pads_somebodys_slots_goes_there_if_there_is_no_room_elsewhere():
    assert same(squeeze(problem_of(), hands_of(["8:0.5"], ["8:0.9"], ["64:0.3"])), [["8:0.5", "64:0.3"], ["8:0.9"]])


def test_base_model_traffic_goes_to_the_fullest_server_that_takes_it():
    assert same(squeeze(problem_of(), hands_of(["64:0.7"], ["8:0.5"], ["0:0.2"])), [["64:0.7", "0:0.2"], ["8:0.5"]])


def test_out_of_time_nothing_is_ruined():
    """What fits at once is still found."""
    hurried = problem_of(deadline=0.0)
    assert loads(squeeze(hurried, hands_of(["8:0.5"], ["8:0.4"]))) == [0.9]
    assert squeeze(hurried, hands_of(["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"])) is None


def test_foes_are_not_squeezed_together():
    one, other = item("8:0.4", foes=["8:0.3"]), item("8:0.3", foes=["8:0.4"])
    assert squeeze(problem_of(), [[one], [other]]) is None
    swapped = squeeze(problem_of(), [[one], [item("8:0.6")], [other]])
    assert same(swapped, [["8:0.4"], ["8:0.6", "8:0.3"]])


def test_groups_are_moved_whole():
    squeezed = squeeze(problem_of(), [[item("8:0.2a", "8:0.2b")], items("8:0.5"), items("8:0.9")])
    assert same(squeezed, [["8:0.5", "8:0.2a", "8:0.2b"], ["8:0.9"]])


# refused


class Moody(Rooms):
    """Servers that the twin finds overloaded at just these factors."""

    def ask(self, shares, slots, factor=1.0):
        answer = super().ask(shares, slots, factor)
        return answer._replace(verdict="starved") if (next(iter(shares)), factor) in self.moods else answer

    moods = frozenset({("8:0.1", 1.0), ("8:0.2", 1.1)})


def test_servers_are_refused_that_fail_at_either_factor():
    hands = hands_of(["8:0.1"], ["8:0.2"], ["8:0.3"], ["8:0.95"], ["8:1.1"])
    assert refused(Moody(), hands) == [0, 4]
    assert refused(Moody(), hands, 1.1) == [0, 1, 3, 4]


def test_a_server_without_adapters_is_not_refused():
    assert refused(Rooms(), [[], items("8:1.1"), []]) == [1]


# mend


def test_servers_that_nobody_refuses_need_no_mending():
    hands = hands_of(["8:0.5"], ["8:1"])
    assert mend(problem_of(), hands) is hands


def test_moves_mend_what_is_too_full():
    mended = mend(problem_of(), hands_of(["8:0.4a", "8:0.4b", "8:0.4c"], ["8:0.5"]))
    assert everybody(mended) == ["8:0.4a", "8:0.4b", "8:0.4c", "8:0.5"]
    assert loads(mended) == [0.8, 0.9]


def test_a_server_that_was_refused_takes_nobody_in():
    """0.6 + 0.4 and 0.6 + 0.2 would do, but 0.4 would have to go where 0.6 left; a third server is free to take it."""
    hands = hands_of(["8:0.6a", "8:0.6b"], ["8:0.4", "8:0.2"])
    assert mend(problem_of(), hands) is None
    assert mend(problem_of(), [*hands, items("8:0.3")]) is not None


def test_moves_mend_what_does_not_bear_the_factor():
    hands = hands_of(["8:0.3a", "8:0.3b", "8:0.3c"], ["8:0.5"])
    assert mend(problem_of(), hands, 1.1) is hands
    assert loads(mend(problem_of(), hands, 1.2)) == [0.6, 0.8]
    assert mend(problem_of(), hands, 1.7) is None


def test_what_moves_cannot_mend_is_not_mended():
    assert mend(problem_of(), hands_of(["8:0.6", "8:0.5"], ["8:0.8"])) is None
    assert mend(problem_of(), hands_of(["8:1.5"], ["8:0.1"])) is None


def test_what_was_put_on_too_optimistically_is_taken_off_again():
    """The guess sees twice the room that there is: only the twin ends it."""
    mended = mend(problem_of(Rooms(1.0, predicted=2.0)), hands_of(["8:0.3"] * 4, ["8:0.1"] * 3))
    assert max(loads(mended)) <= 1.0


# relieve


def test_servers_that_are_refused_are_relieved_whether_they_are_said_to_fail_or_not():
    assert max(loads(relieve(problem_of(), hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.3"]), []))) <= 1.0


def test_load_is_moved_onto_servers_with_room():
    relieved = relieve(problem_of(), hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.9"], ["8:0.3"]), [0])
    assert len(relieved) == 3
    assert max(loads(relieved)) <= 1.0
    assert everybody(relieved) == ["8:0.2", "8:0.3", "8:0.4", "8:0.5", "8:0.9"]


def test_hands_that_nothing_was_moved_from_or_to_are_as_they_were():
    hands = hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.9", "8:0.05"], ["8:0.3"])
    assert names(relieve(problem_of(), hands, [0])[1]) == ["8:0.9", "8:0.05"]
    assert list(map(names, relieve(problem_of(), hands[1:], []))) == [["8:0.9", "8:0.05"], ["8:0.3"]]


def test_a_server_that_fails_is_relieved_even_if_it_looks_well():
    """Other arrivals did it: the twin, asked about those of the search, sees nothing wrong."""
    hands = hands_of(["8:0.3a", "8:0.3b", "8:0.3c"], ["8:0.3d"])
    assert loads(relieve(problem_of(), hands, [0])) == [0.6, 0.6]


def test_what_is_taken_off_a_failing_server_does_not_go_back_to_it():
    """Though it is the emptiest and of the right rank."""
    relieved = relieve(problem_of(), hands_of(["16:0.2", "16:0.1"], ["8:0.5"], ["64:0.8"]), [0])
    assert len(relieved[0]) == 1
    assert len(relieved) == 3


def test_where_there_is_no_room_a_server_is_opened_at_the_end():
    hands = hands_of(["8:0.6", "8:0.5"], ["8:0.9"])
    relieved = relieve(problem_of(), hands, [0])
    assert relieved[1] == hands[1]
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
    group, foe = item("8:0.3a", "8:0.3b", foes=["8:0.2"]), item("8:0.2", foes=["8:0.3a", "8:0.3b"])
    relieved = relieve(problem_of(), [[group, item("8:0.4b"), item("8:0.4c")], [foe]], [0])
    assert everybody(relieved) == ["8:0.2", "8:0.3a", "8:0.3b", "8:0.4b", "8:0.4c"]
    assert all(("8:0.3a" in names(hand)) == ("8:0.3b" in names(hand)) for hand in relieved)
    assert not any({"8:0.3a", "8:0.2"} <= set(names(hand)) for hand in relieved)


@settings(derandomize=True, database=None, max_examples=20, deadline=None)
@given(
    placed=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4)), min_size=1, max_size=20),
    pairs=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=10),
    predicted=st.sampled_from([0.8, 1.0, 1.2]),
)
def test_whatever_is_wrong_is_put_right(placed, pairs, predicted):
    """Nobody is lost, every server serves, and foes that were apart stay so; without opening one, or it is said."""
    named = [f"8:{load / 100}{'abcdefghijklmnopqrst'[i]}" for i, (load, _) in enumerate(placed)]
    foes = {name: set() for name in named}
    for i, j in pairs:
        if max(i, j) < len(placed) and placed[i][1] != placed[j][1]:
            foes[named[i]].add(named[j])
            foes[named[j]].add(named[i])
    hands = [[] for _ in range(5)]
    for name, (_, server) in zip(named, placed, strict=True):
        hands[server].append(item(name, foes=foes[name]))
    problem = problem_of(Rooms(1.0, predicted))
    wrong = refused(problem.capacity, hands)
    mended, relieved = mend(problem, hands), relieve(problem, hands, wrong)
    for found in (relieved, mended or relieved):
        assert everybody(found) == sorted(named)
        assert not refused(problem.capacity, found)
        assert all(gets_on(each, hand) for hand in found for each in hand)
    assert mended is None or len(mended) == 5
    assert len(relieved) >= 5
