"""Small fleets on a shipped profile: 300 seconds of traffic, so that a plan takes half a second."""

import pytest

from adaptwin import Adapter, Server, Workload, load_profile
from adaptwin.placement.capacity import Capacity
from adaptwin.profile.step_cost import StepCost

WINDOW = 300.0


STEP_COST = StepCost(
    base=0.011435,
    per_token=3.1652e-05,
    per_prefill_token=3.2493e-05,
    per_context_token=4.4291e-09,
    lora_base=0.0032273,
    lora_per_slot=0.00010451,
    lora_per_token=5.5988e-06,
    lora_per_token_slot=3.8983e-08,
    lora_per_adapter=0.00020648,
    lora_per_token_adapter=1.066e-07,
    per_rank=0.00080068,
)


@pytest.fixture(scope="session")
def h100():
    """The shipped profile, its step cost pinned: a better fit of the constants changes no plan here."""
    shipped = load_profile("h100-64gb-llama-3.1-8b-instruct")
    return shipped.model_copy(update={"step_cost": STEP_COST, "request_latency": 0.012})


@pytest.fixture(scope="session")
def fleet():
    """A function from rows of name, rank and rate to 300 seconds of their traffic."""

    def make(*rows, **fields):
        return Workload([Adapter(*row) for row in rows], **{"duration": WINDOW, **fields})

    return make


@pytest.fixture(scope="session")
def capacity_of(h100):
    """A function from a workload to its capacity on the H100."""

    def make(workload, headroom=0.0):
        return Capacity(h100, workload, Server(), headroom)

    return make
