"""The front: the fewest GPUs first, then lower latencies on more."""

import pytest

from adaptwin import Adapter, SpecError, Workload, make_front
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture(scope="module")
def front(h100):
    """Return the front of a workload that one GPU serves."""
    return make_front(h100, synthesize(adapters=8, rate=15, ranks=(8, 16), duration=300.0))


def test_it_begins_with_the_fewest_gpus_and_adds_one_at_a_time(front):
    assert [plan.gpus for plan in front.plans] == [1, 2, 3, 4]
    assert [plan.options.objective for plan in front.plans] == ["min-gpus", *["min-latency"] * 3]
    assert all(plan.verified for plan in front.plans)


def test_more_gpus_lower_the_latency(front):
    first, *more = front.points
    assert first.gains
    assert any(point.gains for point in more)
    assert min(point.itl_p99 for point in more) < first.itl_p99


def test_a_point_gains_if_its_latency_is_below_all_on_fewer_gpus(front):
    for at, point in enumerate(front.points):
        assert point.gains == all(point.itl_p99 < other.itl_p99 for other in front.points[:at])


def test_one_idle_adapter_has_a_front(h100):
    front = make_front(h100, Workload([Adapter("a", 8, 0.01)], duration=300.0))
    assert next(point.gpus for point in front.points) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "min-latency", "gpus": 2}, "number of GPUs given"),
        ({"spare": 1}, "1 spare GPUs: a front has none"),
        ({"allow_merged": True}, "no servers with merged weights"),
    ],
)
def test_options_without_a_front_are_refused(h100, options, message):
    with pytest.raises(SpecError, match=message):
        make_front(h100, synthesize(adapters=4, rate=4, ranks=(8,), duration=300.0), **options)
