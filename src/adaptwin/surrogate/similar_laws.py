"""Similar laws: whether steps on one profile are like those on another, but for a common factor.

The features of a surrogate measure steps in units of the server's own pace, so a profile on which every step takes
twice as long needs no training of its own. One on which prompts have become slow beside decodes, or adapters beside
the base model, does.
"""

from typing import NamedTuple

from adaptwin.profile.profile import Profile
from adaptwin.profile.step_cost import pairs_of_chunk, step_seconds
from adaptwin.twin.server import Server
from adaptwin.twin.step_coefficients import step_coefficients

MOST_UNLIKE = 2.0  # largest ratio of steps on both profiles over the smallest, up to which their laws are similar


class TypicalStep(NamedTuple):
    """The contents of a step, as `step_seconds` takes them."""

    tokens: int
    sequences: int
    adapters: int
    context: int = 0
    pairs: int = 0


TYPICAL_STEPS = (
    TypicalStep(tokens=1, sequences=1, adapters=0, context=500),
    TypicalStep(tokens=32, sequences=32, adapters=0, context=32 * 500),
    TypicalStep(tokens=32, sequences=32, adapters=8, context=32 * 500),
    TypicalStep(tokens=256, sequences=256, adapters=8, context=256 * 500),
    TypicalStep(tokens=2048, sequences=1, adapters=1, pairs=pairs_of_chunk(2048, 0)),
    TypicalStep(tokens=2048, sequences=1, adapters=1, pairs=pairs_of_chunk(2048, 8192)),
)


def laws_are_similar(one: Profile, other: Profile) -> bool:
    """Return whether typical steps take the same time on both profiles, but for a common factor and `MOST_UNLIKE`."""
    server = Server(max_loras=8, max_lora_rank=16)
    costs = [step_coefficients(profile, server) for profile in (one, other)]
    times = [[step_seconds(cost, **step._asdict()) for step in TYPICAL_STEPS] for cost in costs]
    ratios = [second / first if first > 0 else float("inf") for first, second in zip(*times, strict=True)]
    return max(ratios) <= MOST_UNLIKE * min(ratios)
