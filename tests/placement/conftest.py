"""Small fleets on a shipped profile: 300 seconds of traffic, so that a plan takes half a second."""

import pytest

from adaptwin import Adapter, Server, Workload, load_profile
from adaptwin.placement.capacity import Capacity

WINDOW = 300.0


@pytest.fixture(scope="session")
def h100():
    return load_profile("h100-64gb-llama-3.1-8b-instruct")


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
