"""Designs so small that a test can play them."""

from adaptwin.dataset.design import Design
from adaptwin.dataset.mix import Mix, make_mix
from adaptwin.profile.profile import load_profile

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
    """A few mixes of a few adapters for 20 seconds each."""
    return Design(**{**TINY, **fields})


def one(**fields) -> Design:
    """A design with one mix; every dimension has the one value that is given for it, or is left to the defaults."""
    return tiny(profiles=(LLAMA,), sampler="random", mixes=1, **fields)


def mixes_of(design: Design) -> list[Mix | None]:
    """All mixes of a design, in order."""
    profiles = [load_profile(name) for name in design.profiles]
    return [make_mix(design, profiles[i % len(profiles)], i, values) for i, values in enumerate(design.values())]


def the_mix(**fields) -> Mix:
    """The mix of `one` such design."""
    (mix,) = mixes_of(one(**fields))
    assert mix is not None
    return mix
