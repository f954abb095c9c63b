"""Placed: a server of a kind takes settings that were chosen for another one of the kind."""

import pytest

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.configurations.kinds import server_of_kind
from adaptwin.placement.objectives.objective import Placed
from adaptwin.placement.packing.problem import Problem
from adaptwin.progress import silent


@pytest.fixture
def placed_with(capacity_of, fleet):
    """Return a function from numbers of adapters and slots to a server of a kind with as many of both."""
    capacity = capacity_of(fleet(*[(f"a{i:02}", 8, 0.2) for i in range(30)]))
    problem = Problem(capacity, 1, silent, float("inf"))

    def make(adapters, max_loras):
        parts = [AdapterPart(name, 1.0) for name in capacity.names[:adapters]]
        return Placed(problem, server_of_kind(capacity, parts, max_loras, 0))

    return make


@pytest.mark.parametrize(
    ("own", "of_other", "slots"),
    [
        ((12, 12), (8, 8), 12),  # a slot for each adapter stays one for each
        ((8, 8), (12, 12), 8),
        ((20, 6), (20, 10), 10),  # more slots are more on all
        ((20, 6), (20, 6), 6),
    ],
)
def test_slots_suit_the_adapters_of_each_server(placed_with, own, of_other, slots):
    chosen = placed_with(*of_other).assignment.server.model_copy(update={"max_num_batched_tokens": 512})
    adapted = placed_with(*own).with_settings_of(chosen).assignment.server
    assert (adapted.max_loras, adapted.max_num_batched_tokens, adapted.max_cpu_loras) == (slots, 512, own[0])
