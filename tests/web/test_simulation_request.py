"""Simulations of one server: figures, servers that do not start, and sizes that are refused."""

import pytest

from adaptwin.errors import SpecError
from adaptwin.web.simulation_request import SimulationRequest, simulated

PROFILE = "h100-64gb-llama-3.1-8b-instruct"


def test_more_traffic_starves_adapters():
    calm, full = (simulated(SimulationRequest(profile=PROFILE, rate=rate, max_loras=64)) for rate in (1.0, 60.0))
    assert (calm.starts, calm.verdict, calm.starved) == (True, "ok", 0)
    assert full.verdict in ("starved", "backlogged")
    assert full.starved > 0
    assert full.ttft_p99 > calm.ttft_p99
    assert calm.assumptions


def test_too_many_slots_are_an_answer():
    found = simulated(SimulationRequest(profile=PROFILE, max_loras=1000))
    assert not found.starts
    assert "no memory is left for the KV cache" in found.problem


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"profile": "../profile.yaml"}, "is not one of"),
        ({"rate": 1000.0, "duration": 3600.0}, "too many"),
        ({"ranks": {}}, "rank"),
        ({"ranks": {7000: 1.0}}, "rank"),
        ({"ranks": {8: -1.0}}, "weights"),
        ({"max_loras": 0}, "max_loras"),
        ({"rate": float("nan")}, "rate"),
    ],
)
def test_wrong_values_are_refused(fields, match):
    with pytest.raises(SpecError, match=match):
        simulated(SimulationRequest.parse({"profile": PROFILE, **fields}))
