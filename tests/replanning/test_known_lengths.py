"""A new fleet without lengths keeps those of the running plan."""

from adaptwin import Adapter, Lengths, Workload
from adaptwin.replanning.known_lengths import with_known_lengths

OWN = Lengths.fixed(10, 20)
RUNNING = Workload([Adapter("a", 8, 1.0, lengths=OWN), Adapter("b", 8, 1.0)], lengths=Lengths.fixed(600, 300))


def test_a_fleet_without_lengths_takes_those_of_the_running_plan():
    found = with_known_lengths(Workload([Adapter("a", 8, 2.0), Adapter("b", 8, 2.0), Adapter("new", 8, 2.0)]), RUNNING)
    assert found.lengths == Lengths.fixed(600, 300)
    assert [adapter.lengths for adapter in found.adapters] == [OWN, None, None]
    assert [adapter.rate for adapter in found.adapters] == [2.0, 2.0, 2.0]


def test_lengths_that_are_given_are_kept():
    given = Workload([Adapter("a", 8, 2.0)], lengths=Lengths.named("sharegpt"))
    assert with_known_lengths(given, RUNNING) == given
    other = Lengths.fixed(1, 2)
    found = with_known_lengths(Workload([Adapter("a", 8, 2.0, lengths=other)]), RUNNING)
    assert found.adapters[0].lengths == other


def test_where_nothing_is_known_nothing_changes():
    new, running = Workload([Adapter("a", 8, 2.0)]), Workload([Adapter("a", 8, 1.0)])
    assert with_known_lengths(new, running) == new
