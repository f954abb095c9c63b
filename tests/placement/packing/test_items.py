"""Items: what is placed as a whole, given adapters, constraints and what one server serves."""

import pytest
from tests.placement.packing.rooms import item, items, problem_of

from adaptwin import Infeasible
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.items import as_items, halved, items_of, load_of, may_join, shares_of
from adaptwin.placement.packing.problem import Problem
from adaptwin.plan.constraints import Constraints
from adaptwin.progress import silent


@pytest.fixture
def problem(fleet, capacity_of):
    """Return a function from rows of adapters, and constraints, to the problem of placing them."""

    def make(*rows, **constraints):
        return Problem(capacity_of(fleet(*rows)), 1, silent, float("inf"), Constraints(**constraints))

    return make


CALM = [("a", 8, 1.0), ("b", 16, 2.0), ("c", 8, 0.5), ("base", 0, 1.0)]


def test_every_adapter_is_an_item_of_its_own(problem):
    found = items_of(problem(*CALM))
    assert [each.shares for each in found] == [(AdapterPart(name, 1.0),) for name, _, _ in CALM]
    assert [each.rank for each in found] == [8, 16, 8, 0]
    assert [each.demand.loras for each in found] == [1, 1, 1, 0]
    assert not any(each.apart_from for each in found)


def test_loads_of_items_are_those_of_their_adapters(problem):
    given = problem(*CALM)
    found = items_of(given)
    assert load_of(found) == pytest.approx(given.capacity.load({name: 1.0 for name, _, _ in CALM}))
    assert found[1].load == given.capacity.load_of(AdapterPart("b", 1.0))


def test_a_hot_adapter_is_several_items_of_equal_share(problem):
    found = items_of(problem(("hot", 8, 60.0), ("cold", 8, 0.1)))
    parts = [each.shares[0].share for each in found if each.name == "hot"]
    assert len(parts) > 1
    assert parts == [1 / len(parts)] * len(parts)
    assert shares_of(found) == {"hot": pytest.approx(1.0), "cold": 1.0}


def test_adapters_that_stay_together_are_one_item(problem):
    found = items_of(problem(*CALM, together=[("c", "b")]))
    assert [each.shares for each in found] == [
        (AdapterPart("a", 1.0),), (AdapterPart("b", 1.0), AdapterPart("c", 1.0)), (AdapterPart("base", 1.0),),
    ]  # fmt: skip
    assert (found[1].rank, found[1].demand.loras) == (16, 2)


def test_adapters_pinned_to_one_server_are_one_item_and_apart_from_those_on_another(problem):
    found = items_of(problem(*CALM, pinned={"a": "gpu-0", "b": "gpu-0", "base": "gpu-1"}))
    assert [(each.name, len(each.shares), each.apart_from) for each in found] == [
        ("a", 2, {"base"}),
        ("c", 1, frozenset()),
        ("base", 1, {"a", "b"}),
    ]


def test_a_group_is_apart_from_all_that_its_members_are_apart_from(problem):
    found = items_of(problem(*CALM, together=[("a", "b")], apart=[("a", "c"), ("b", "base")]))
    assert {each.name: set(each.apart_from) for each in found} == {"a": {"c", "base"}, "c": {"a"}, "base": {"b"}}
    assert not may_join(found[0], [found[1]])
    assert not may_join(found[2], [found[1], found[0]])
    assert may_join(found[2], [found[1]])


def test_parts_of_an_adapter_may_share_a_server(problem):
    found = items_of(problem(("hot", 8, 60.0), ("cold", 8, 0.1), apart=[("hot", "cold")]))
    assert may_join(found[0], [found[1]])
    assert not may_join(found[-1], [found[0]])


def test_a_group_that_no_server_serves_is_refused(problem):
    with pytest.raises(
        Infeasible, match=r"^adapters\[1\]: 'a', 'b' must be together, but no single h100-64gb-.* serves them"
    ):
        items_of(problem(("calm", 8, 1.0), ("a", 8, 25.0), ("b", 8, 25.0), together=[("b", "a")]))


def test_a_pinned_adapter_that_no_server_serves_is_refused(problem):
    """It cannot be split, as parts of it would be on other servers."""
    with pytest.raises(Infeasible, match=r"^adapters\[0\]: 'hot' is pinned to gpu-0, but no single h100-64gb-.*"):
        items_of(problem(("hot", 8, 60.0), ("cold", 8, 0.1), pinned={"hot": "gpu-0"}))


def told(contents):
    """Return everything about the items except the raw sums."""
    return [(each.shares, each.apart_from, each.demand[:5]) for each in contents]


def test_the_contents_of_a_server_are_made_of_the_same_items(problem):
    given = problem(*CALM, together=[("c", "b")], apart=[("a", "base")])
    made = items_of(given)
    assert told(as_items(given, {name: 1.0 for name, _, _ in CALM})) == told(made)
    assert shares_of(as_items(given, {"a": 0.25, "c": 1.0})) == {"a": 0.25, "c": 1.0}
    assert [each.apart_from for each in as_items(given, {"a": 0.25})] == [{"base"}]


def test_halves_have_half_the_share_and_the_same_constraints():
    one, other = halved(problem_of(), item("8:3", share=0.5, apart_from=["8:1"]))
    assert one.shares == other.shares == (AdapterPart("8:3", 0.25),)
    assert one.load == 0.75
    assert one.apart_from == {"8:1"}


def test_what_must_be_whole_is_not_halved():
    with pytest.raises(Infeasible, match=r"^8:3: '8:3', '8:1' must be together, but no single room serves them"):
        halved(problem_of(), item("8:3", "8:1"))
    with pytest.raises(Infeasible, match=r"^8:3: '8:3' is pinned to gpu-7, but no single room serves it"):
        halved(problem_of(constraints=Constraints(pinned={"8:3": "gpu-7"})), item("8:3"))


def test_parts_of_one_adapter_add_up_to_one_share():
    assert shares_of([item("8:1", share=0.25), *items("8:0.5"), item("8:1", share=0.5)]) == {"8:1": 0.75, "8:0.5": 1.0}
