"""Peak rate: the tokens per second of a full batch, where only the step itself takes time."""

import pytest

from adaptwin import Adapter, Lengths, Server, Workload
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.packing.peak_rate import peak_rate
from adaptwin.profile.scheduler_cost import SchedulerCost
from adaptwin.profile.step_cost import StepCost

LENGTHS = Lengths.fixed(100, 50)


@pytest.fixture
def constant(h100):
    """Return the H100 with steps of 10 ms, or of 15 ms with an adapter."""
    step = StepCost(host_base=0.010, weights=0.0, per_token=0.0, per_context_token=0.0, lora_launch=0.005 / 256)
    planning = SchedulerCost(base=0.0, per_running=0.0, per_waiting=0.0)
    return h100.model_copy(update={"step_cost": step, "scheduler_cost": planning})


def on(profile, *adapters, **fields):
    return Capacity(profile, Workload(adapters, lengths=LENGTHS, **fields), Server(max_num_seqs=200))


def test_a_full_batch_gives_a_token_to_each_request_in_every_step(constant):
    """200 requests of 50 answer tokens and 150 tokens in total: 400 requests/s in steps of 10 ms."""
    capacity = on(constant, Adapter("a", 8, 1.0))
    assert peak_rate(capacity, rank=0) == pytest.approx(400 * 150)
    assert peak_rate(capacity, rank=8) == pytest.approx(400 * 150 / 1.5)


def test_it_depends_neither_on_the_rate_nor_on_the_number_of_adapters(h100):
    points = [
        peak_rate(on(h100, *[Adapter(f"a{i}", 8, rate) for i in range(count)]), rank=16)
        for count, rate in ((1, 1.0), (1, 100.0), (40, 0.2), (3, 0.0))
    ]
    assert points == [pytest.approx(points[0])] * 4


def test_lengths_are_mixed_by_their_rates(constant):
    """One request in four is long: 125 answer tokens on average, 375 tokens in total."""
    long = Adapter("long", 8, 1.0, lengths=Lengths.fixed(700, 350))
    capacity = on(constant, Adapter("short", 8, 3.0), long)
    assert peak_rate(capacity, rank=0) == pytest.approx(200 / (125 * 0.010) * 375)


def test_adapters_and_higher_ranks_lower_the_peak_rate(h100):
    capacity = on(h100, Adapter("a", 8, 1.0))
    points = [peak_rate(capacity, rank) for rank in (0, 8, 64, 256)]
    assert points == sorted(points, reverse=True)
    assert points[1] < 0.9 * points[0]
