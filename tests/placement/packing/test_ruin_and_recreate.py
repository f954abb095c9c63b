"""without_emptiest, repaired_bins and relieve: bin packing on servers of known capacity, worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.placement.packing.rooms import Rooms, item, items, loads, names, placed_names, problem_of

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
def test_one_server_fewer_where_capacity_allows_it(bins, found):
    without = without_emptiest(problem_of(), hands_of(*bins))
    assert placed_names(without) == sorted(name for contents in bins for name in contents)
    assert sorted(loads(without)) == found


@pytest.mark.parametrize("bins", [[["8:0.7a"], ["8:0.7b"], ["8:0.7c"]], [["8:0.9a"], ["8:0.2a"]], [["8:0.1"]]])
def test_without_enough_capacity_there_is_no_smaller_placement(bins):
    assert without_emptiest(problem_of(), hands_of(*bins)) is None


def test_fewer_servers_still_sustain_the_factor():
    bins = hands_of(["8:0.4a", "8:0.1a"], ["8:0.4b", "8:0.05"])
    assert loads(without_emptiest(problem_of(), bins)) == [0.95]
    assert loads(without_emptiest(problem_of(), bins, 1.05)) == [0.95]
    assert without_emptiest(problem_of(), bins, 1.06) is None


def test_arguments_are_not_modified():
    bins = hands_of(["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"])
    before = [list(contents) for contents in bins]
    without_emptiest(problem_of(), bins)
    repaired_bins(problem_of(Rooms(0.8)), bins)
    relieve(problem_of(), bins, [0])
    assert bins == before


def test_without_emptiest_is_deterministic():
    bins = hands_of(["8:0.5a", "8:0.2a"], ["8:0.5b", "8:0.2b"], ["8:0.3a", "8:0.3b"])
    assert without_emptiest(problem_of(), bins) == without_emptiest(problem_of(), bins)


def test_an_adapter_goes_where_it_pads_no_slots():
    """A load of 0.2 of rank 8 fits on either server; the one of rank 8 takes it, though both are equally full."""
    assert same(
        without_emptiest(problem_of(), hands_of(["64:0.5"], ["8:0.5"], ["8:0.2"])), [["8:0.5", "8:0.2"], ["64:0.5"]]
    )


def test_an_adapter_pads_the_slots_of_others_if_it_fits_nowhere_else():
    assert same(
        without_emptiest(problem_of(), hands_of(["8:0.5"], ["8:0.9"], ["64:0.3"])), [["8:0.5", "64:0.3"], ["8:0.9"]]
    )


def test_base_model_traffic_goes_to_the_fullest_server_that_takes_it():
    assert same(
        without_emptiest(problem_of(), hands_of(["64:0.7"], ["8:0.5"], ["0:0.2"])), [["64:0.7", "0:0.2"], ["8:0.5"]]
    )


def test_out_of_time_nothing_is_ruined():
    """What fits without a search is still found."""
    hurried = problem_of(deadline=0.0)
    assert loads(without_emptiest(hurried, hands_of(["8:0.5"], ["8:0.4"]))) == [0.9]
    assert without_emptiest(hurried, hands_of(["8:0.6a", "8:0.2a"], ["8:0.6b", "8:0.2b"], ["8:0.4a"])) is None


def test_items_kept_apart_are_not_put_together():
    one, other = item("8:0.4", apart_from=["8:0.3"]), item("8:0.3", apart_from=["8:0.4"])
    assert without_emptiest(problem_of(), [[one], [other]]) is None
    swapped = without_emptiest(problem_of(), [[one], [item("8:0.6")], [other]])
    assert same(swapped, [["8:0.4"], ["8:0.6", "8:0.3"]])


def test_groups_are_moved_whole():
    without = without_emptiest(problem_of(), [[item("8:0.2a", "8:0.2b")], items("8:0.5"), items("8:0.9")])
    assert same(without, [["8:0.5", "8:0.2a", "8:0.2b"], ["8:0.9"]])


# refused


class Moody(Rooms):
    """Servers that the twin finds overloaded at exactly these factors."""

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


def test_bins_without_a_refused_server_need_no_repair():
    bins = hands_of(["8:0.5"], ["8:1"])
    assert repaired_bins(problem_of(), bins) is bins


def test_moves_repair_what_is_too_full():
    repaired = repaired_bins(problem_of(), hands_of(["8:0.4a", "8:0.4b", "8:0.4c"], ["8:0.5"]))
    assert placed_names(repaired) == ["8:0.4a", "8:0.4b", "8:0.4c", "8:0.5"]
    assert loads(repaired) == [0.8, 0.9]


def test_a_refused_server_takes_no_item():
    """0.6 + 0.4 and 0.6 + 0.2 would fit, but only by moving 0.4 to the refused server; a third server may take it."""
    bins = hands_of(["8:0.6a", "8:0.6b"], ["8:0.4", "8:0.2"])
    assert repaired_bins(problem_of(), bins) is None
    assert repaired_bins(problem_of(), [*bins, items("8:0.3")]) is not None


def test_moves_repair_what_does_not_sustain_the_factor():
    bins = hands_of(["8:0.3a", "8:0.3b", "8:0.3c"], ["8:0.5"])
    assert repaired_bins(problem_of(), bins, 1.1) is bins
    assert loads(repaired_bins(problem_of(), bins, 1.2)) == [0.6, 0.8]
    assert repaired_bins(problem_of(), bins, 1.7) is None


def test_without_enough_capacity_there_is_no_repair():
    assert repaired_bins(problem_of(), hands_of(["8:0.6", "8:0.5"], ["8:0.8"])) is None
    assert repaired_bins(problem_of(), hands_of(["8:1.5"], ["8:0.1"])) is None


def test_items_placed_by_an_optimistic_prediction_are_moved_again():
    """The prediction is twice the true capacity; only the twin corrects it."""
    repaired = repaired_bins(problem_of(Rooms(1.0, predicted=2.0)), hands_of(["8:0.3"] * 4, ["8:0.1"] * 3))
    assert max(loads(repaired)) <= 1.0


# relieve


def test_refused_servers_are_relieved_even_if_not_named_as_failing():
    assert max(loads(relieve(problem_of(), hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.3"]), []))) <= 1.0


def test_load_is_moved_to_servers_with_spare_capacity():
    relieved = relieve(problem_of(), hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.9"], ["8:0.3"]), [0])
    assert len(relieved) == 3
    assert max(loads(relieved)) <= 1.0
    assert placed_names(relieved) == ["8:0.2", "8:0.3", "8:0.4", "8:0.5", "8:0.9"]


def test_servers_without_a_move_are_unchanged():
    bins = hands_of(["8:0.5", "8:0.4", "8:0.2"], ["8:0.9", "8:0.05"], ["8:0.3"])
    assert names(relieve(problem_of(), bins, [0])[1]) == ["8:0.9", "8:0.05"]
    assert list(map(names, relieve(problem_of(), bins[1:], []))) == [["8:0.9", "8:0.05"], ["8:0.3"]]


def test_a_failing_server_is_relieved_even_if_the_twin_finds_it_served():
    """It failed with other arrivals; with those of the search, the twin finds it served."""
    bins = hands_of(["8:0.3a", "8:0.3b", "8:0.3c"], ["8:0.3d"])
    assert loads(relieve(problem_of(), bins, [0])) == [0.6, 0.6]


def test_what_is_taken_off_a_failing_server_does_not_go_back_to_it():
    """The failing server is the emptiest and has the right rank, but takes nothing back."""
    relieved = relieve(problem_of(), hands_of(["16:0.2", "16:0.1"], ["8:0.5"], ["64:0.8"]), [0])
    assert len(relieved[0]) == 1
    assert len(relieved) == 3


def test_without_spare_capacity_a_server_is_added_at_the_end():
    bins = hands_of(["8:0.6", "8:0.5"], ["8:0.9"])
    relieved = relieve(problem_of(), bins, [0])
    assert relieved[1] == bins[1]
    assert sorted([*names(relieved[0]), *names(relieved[2])]) == ["8:0.5", "8:0.6"]
    assert len(relieved) == 3


def test_servers_that_are_refused_again_and_again_are_divided_in_the_end():
    """By the prediction all fit on one server; by the twin a server serves one adapter."""
    relieved = relieve(problem_of(Rooms(0.1, predicted=9.0)), hands_of(["8:0.1"] * 8), [0])
    assert loads(relieved) == [0.1] * 8


def test_a_single_item_is_never_taken_off_its_server_but_halved_in_the_end():
    """Otherwise it would move from server to server."""
    relieved = relieve(problem_of(), hands_of(["8:1.1"], ["8:0.1"]), [0])
    assert loads(relieved) == [0.55, 0.1, 0.55]
    assert list(map(names, relieved)) == [["8:1.1"], ["8:0.1"], ["8:1.1"]]
    assert loads(relieve(problem_of(), hands_of(["8:0.9"], ["8:0.1"]), [0])) == [0.9, 0.1]


def test_relieved_servers_keep_constraints():
    group, foe = item("8:0.3a", "8:0.3b", apart_from=["8:0.2"]), item("8:0.2", apart_from=["8:0.3a", "8:0.3b"])
    relieved = relieve(problem_of(), [[group, item("8:0.4b"), item("8:0.4c")], [foe]], [0])
    assert placed_names(relieved) == ["8:0.2", "8:0.3a", "8:0.3b", "8:0.4b", "8:0.4c"]
    assert all(("8:0.3a" in names(contents)) == ("8:0.3b" in names(contents)) for contents in relieved)
    assert not any({"8:0.3a", "8:0.2"} <= set(names(contents)) for contents in relieved)


@settings(derandomize=True, database=None, max_examples=20, deadline=None)
@given(
    placed=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4)), min_size=1, max_size=20),
    pairs=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=10),
    predicted=st.sampled_from([0.8, 1.0, 1.2]),
)
def test_every_wrong_placement_is_repaired(placed, pairs, predicted):
    """No item is lost, every server serves, items stay apart; `repaired_bins` opens no server, or returns None."""
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
        assert placed_names(found) == sorted(named)
        assert not refused(problem.capacity, found)
        assert all(may_join(each, contents) for contents in found for each in contents)
    assert repaired is None or len(repaired) == 5
    assert len(relieved) >= 5
