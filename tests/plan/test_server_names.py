"""Names of servers: what is nearly ``gpu-0`` is recognised, and other names are left as they are."""

import pytest

from adaptwin.plan.server_names import server_meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("gpu-O", "gpu-0"), ("GPU_1", "gpu-1"), ("gup-2", "gpu-2"), ("gpu3", "gpu-3"), ("gpus-4", "gpu-4")),
        *(("gpuu", "gpu-0"), ("gpu", "gpu-0"), ("gpu-", "gpu-0"), ("gppu-12", "gpu-12"), ("gp5", "gpu-5")),
    ],
)
def test_a_mistyped_gpu_is_recognised(typed, meant):
    assert server_meant(typed) == meant


@pytest.mark.parametrize("name", ["gpu-0", "gpu-07", "gpu-a", "gpu-east", "gpt-1", "cpu-0", "egpu", "north", "a", "x1"])
def test_other_names_of_servers_are_left_as_they_are(name):
    assert server_meant(name) == name
