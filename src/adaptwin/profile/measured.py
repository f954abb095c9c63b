"""MeasuredRange: the settings and the traffic of the real runs that a profile's accuracy was measured with."""

import hashlib
import json
from typing import Any

from pydantic import Field

from adaptwin.spec import Spec


class MeasuredRange(Spec):
    """Ranges over the real runs that a profile was fitted to and compared with. Claims of accuracy hold inside them."""

    constants: str = Field(description="fingerprint of the constants that were compared with the runs")
    prompt: tuple[float, float] = Field(description="mean prompt tokens of a run, from and to")
    answer: tuple[float, float] = Field(description="mean answer tokens of a run, from and to")
    longest: int = Field(ge=1, description="most tokens of a request, prompt and answer")
    ranks: tuple[int, int] = Field(description="ranks of the slots, from and to")
    max_loras: tuple[int, int] = Field(description="slots, from and to")
    adapters: tuple[int, int] = Field(description="adapters of a run, from and to")
    max_num_seqs: tuple[int, int] = Field(description="requests that may run at once, from and to")
    max_num_batched_tokens: tuple[int, int] = Field(description="token budget of a step, from and to")


def fingerprint(constants: dict[str, Any]) -> str:
    """Return a short text that changes whenever a constant does."""
    return hashlib.blake2b(json.dumps(constants, sort_keys=True).encode(), digest_size=8).hexdigest()
