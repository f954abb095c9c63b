"""matched_names: a server gets the name of the running server with which it has the most adapters in common."""

from adaptwin import Server
from adaptwin.placement.packing.problem import Assignment
from adaptwin.replanning.matching import matched_names


def on(*names):
    return Assignment(Server(), dict.fromkeys(names, 1.0))


ROUTES = {"a": {"x": 1.0}, "b": {"x": 1.0}, "c": {"x": 0.5, "y": 0.5}, "d": {"y": 1.0}}


def test_the_most_adapters_in_common_decide():
    assert matched_names([on("d", "c"), on("a", "b")], ROUTES) == ["y", "x"]


def test_a_name_is_given_once():
    assert matched_names([on("a"), on("b", "c")], ROUTES) == [None, "x"]


def test_a_server_without_common_adapters_gets_no_name():
    assert matched_names([on("new"), on("a")], ROUTES) == [None, "x"]


def test_ties_go_by_the_order_of_the_servers():
    assert matched_names([on("a"), on("b")], ROUTES) == ["x", None]
