"""Constraints: groups, adapters kept apart, contradictions, and violations."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, SpecError, Workload, make_plan
from adaptwin.plan.constraints import Constraints

law = settings(derandomize=True, database=None, max_examples=100, deadline=None)
NAMES = "abcdefgh"
groups = st.lists(st.lists(st.sampled_from(NAMES), min_size=2, max_size=3, unique=True), max_size=4)


def test_without_constraints_nothing_is_constrained():
    free = Constraints()
    assert not free
    assert (free.group_of(), free.kept_apart(), free.violations({"gpu-0": ["a", "b"]})) == ({}, {}, [])


@pytest.mark.parametrize("fields", [{"pinned": {"a": "x"}}, {"apart": [("a", "b")]}, {"together": [("a", "b")]}])
def test_constraints_are_true_if_there_is_one(fields):
    assert Constraints(**fields)


# Groups


def test_groups_that_share_an_adapter_are_one():
    together = [("d", "c"), ("b", "a"), ("c", "b"), ("x", "y")]
    assert Constraints(together=together).group_of() == {**dict.fromkeys("abcd", "a"), "x": "x", "y": "x"}


def test_adapters_pinned_to_one_server_are_a_group():
    constraints = Constraints(pinned={"b": "gpu-0", "c": "gpu-0", "d": "gpu-1"}, together=[("a", "c")])
    assert constraints.group_of() == dict.fromkeys("abc", "a")


@law
@given(together=groups)
def test_groups_are_connected_components(together):
    """Groups equal those of brute force: merged until nothing changes, and named after their first adapter."""
    sets = [set(group) for group in together]
    for _ in NAMES:
        sets = [set().union(*(other for other in sets if other & one)) for one in sets]
    expected = {name: min(one) for one in sets for name in one}
    assert Constraints(together=together).group_of() == expected


# Adapters kept apart


def test_all_adapters_of_an_apart_group_are_kept_apart():
    apart_from = Constraints(apart=[("a", "b", "c"), ("c", "d")]).kept_apart()
    assert apart_from == {"a": {"b", "c"}, "b": {"a", "c"}, "c": {"a", "b", "d"}, "d": {"c"}}


def test_adapters_pinned_to_different_servers_are_kept_apart():
    apart_from = Constraints(pinned={"a": "gpu-0", "b": "gpu-0", "c": "gpu-1"}).kept_apart()
    assert apart_from == {"a": {"c"}, "b": {"c"}, "c": {"a", "b"}}


@law
@given(apart=groups)
def test_being_kept_apart_is_symmetric_and_never_from_itself(apart):
    apart_from = Constraints(apart=apart).kept_apart()
    assert all(name in apart_from[foe] and foe != name for name, others in apart_from.items() for foe in others)


# Contradictions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"apart": [("a", "b")], "together": [("a", "b")]}, r"apart: 'a' and 'b' must also be together"),
        ({"apart": [("a", "c")], "together": [("a", "b"), ("b", "c")]}, r"apart: 'a' and 'c' must also be together"),
        ({"apart": [("a", "b")], "pinned": {"a": "x", "b": "x"}}, r"apart: 'a' and 'b' are both pinned to x"),
        ({"apart": [("a", "a")]}, r"apart: 'a' and 'a' must also be together"),
        (
            {"together": [("a", "b")], "pinned": {"a": "x", "b": "y"}},
            r"pinned: 'a' is pinned to x and 'b' to y, but they must be together",
        ),
        (
            {"together": [("a", "c"), ("c", "b")], "pinned": {"a": "x", "b": "y"}},
            r"pinned: 'a' is pinned to x and 'b' to y, but they must be together",
        ),
        ({"apart": [("a",)]}, r"apart\[0\]: .*at least 2"),
        ({"together": [()]}, r"together\[0\]: .*at least 2"),
    ],
    ids=str,
)
def test_contradictions_are_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        Constraints.parse(fields)


@law
@given(apart=groups, together=groups, pins=st.dictionaries(st.sampled_from(NAMES), st.sampled_from("xyz"), max_size=4))
def test_what_is_not_refused_can_be_placed(apart, together, pins):
    """With each group on a server of its own, and adapters pinned to one server together, nothing is violated."""
    try:
        constraints = Constraints(apart=apart, together=together, pinned=pins)
    except ValueError:
        return
    group_of = constraints.group_of()
    server_of = {group_of.get(name, name): server for name, server in pins.items()}
    servers = {}
    for name in NAMES:
        group = group_of.get(name, name)
        servers.setdefault(server_of.get(group, f"own-{group}"), []).append(name)
    assert constraints.violations(servers) == []


def test_not_all_combinations_are_refused():
    assert Constraints(apart=[("a", "b")], together=[("b", "c")], pinned={"a": "x", "c": "y"})


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"pinned": {"zz": "gpu-0"}}, r"constraints\.pinned"),
        ({"apart": [("a", "b"), ("a", "zz")]}, r"constraints\.apart\[1\]"),
        ({"together": [("zz", "b")]}, r"constraints\.together\[0\]"),
    ],
)
def test_names_that_no_adapter_has_are_refused(fields, where):
    with pytest.raises(SpecError, match=f"{where}: 'zz' is not an adapter of the workload"):
        Constraints(**fields).require_known(Workload([Adapter("a", 8, 1.0), Adapter("b", 8, 1.0)]))


def test_names_of_adapters_are_not_refused():
    Constraints(pinned={"a": "x"}, together=[("a", "b")]).require_known(
        Workload([Adapter("a", 8, 1.0), Adapter("b", 8, 1.0)])
    )


# Violations


def test_violations_are_listed_one_by_one():
    constraints = Constraints(
        pinned={"a": "gpu-0", "e": "gpu-1"}, apart=[("b", "c", "d"), ("a", "d")], together=[("f", "g"), ("h", "i")]
    )
    placed = {"gpu-0": ["b", "e", "f", "h", "i"], "gpu-1": ["a", "c", "d", "e", "g"]}
    assert constraints.violations(placed) == [
        "'a' is pinned to gpu-0, but is on gpu-1",
        "'e' is pinned to gpu-1, but is on gpu-0, gpu-1",
        "'c' and 'd' must be apart, but are both on gpu-1",
        "'a' and 'd' must be apart, but are both on gpu-1",
        "'f', 'g' must be together, but are not on one server",
    ]


def test_a_group_that_is_split_equally_is_not_on_one_server():
    constraints = Constraints(together=[("a", "b")])
    assert constraints.violations({"gpu-0": ["a", "b"], "gpu-1": ["a", "b"]}) == [
        "'a', 'b' must be together, but are not on one server"
    ]


def test_adapters_that_are_not_placed_violate_nothing():
    constraints = Constraints(pinned={"a": "gpu-0"}, apart=[("b", "c")], together=[("d", "e")])
    assert constraints.violations({"gpu-0": ["b"], "gpu-1": ["d"]}) == []


def test_strategies_without_constraints_refuse_them(h100, fleet):
    constraints, workload = Constraints(pinned={"a": "gpu-0"}), fleet(("a", 8, 1.0))
    with pytest.raises(SpecError, match="strategy: random does not support constraints; use pack"):
        make_plan(h100, workload, strategy="random", constraints=constraints)
    assert make_plan(h100, workload, strategy="random").verified
