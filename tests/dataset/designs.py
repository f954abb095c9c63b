"""Designs that are small enough to be simulated in a test."""

from adaptwin.dataset.design import Design
from adaptwin.dataset.design_profiles import design_profiles, profile_place
from adaptwin.dataset.mix import Mix, make_mix

LLAMA, QWEN = "h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"
TINY = {
    "profiles": (LLAMA, QWEN),
    "mixes": 7,
    "loads": 2,
    "adapters": (1, 2, 8),
    "lengths": ("fixed",),
    "input_mean": (100,),
    "output_mean": (20,),
    "duration": (20.0,),
    "most_requests": 2000,
}


def tiny(**fields) -> Design:
    """Return a design of a few mixes with a few adapters, for 20 seconds each."""
    return Design(**{**TINY, **fields})


def one(**fields) -> Design:
    """Return a design with one mix; each dimension has the given value or its default."""
    return tiny(profiles=(LLAMA,), sampler="random", mixes=1, **fields)


def mixes_of(design: Design) -> list[Mix | None]:
    """Return all mixes of a design, in order."""
    profiles = design_profiles(design)
    return [make_mix(design, profiles[profile_place(design, i)], i, values) for i, values in enumerate(design.values())]


def the_mix(**fields) -> Mix:
    """Return the mix of the design that `one` makes of these fields."""
    (mix,) = mixes_of(one(**fields))
    assert mix is not None
    return mix
