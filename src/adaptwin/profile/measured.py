"""RunRange: the settings and the traffic of the real runs that a profile's accuracy was measured with."""

import hashlib
import json
from typing import Any

from pydantic import Field

from adaptwin.spec import Spec


class RunRange(Spec):
    """Ranges over real runs that a twin was compared with. Claims of accuracy hold inside them."""

    prompt: tuple[float, float] = Field(description="mean prompt tokens of a run, lowest and highest")
    answer: tuple[float, float] = Field(description="mean answer tokens of a run, lowest and highest")
    longest_prompt: int = Field(ge=1, description="tokens of the longest prompt")
    longest_answer: int = Field(ge=1, description="tokens of the longest answer")
    arrivals: tuple[str, ...] = Field(description="families of arrivals, such as poisson")
    request_rate: float = Field(ge=0, description="highest rate of a run, in requests per second")
    adapters: int = Field(ge=0, description="most adapters of a run")
    rank: int = Field(ge=0, description="highest rank of an adapter")
    max_lora_rank: tuple[int, int] = Field(description="lowest and highest max_lora_rank")
    max_loras: tuple[int, int] = Field(description="fewest and most slots")
    max_num_seqs: tuple[int, int] = Field(description="lowest and highest max_num_seqs")
    max_num_batched_tokens: tuple[int, int] = Field(description="smallest and largest token budget of a step")
    settings: dict[str, bool | int | float] = Field(
        default_factory=dict, description="further settings that were the same in all runs, by name"
    )


class MeasuredRange(RunRange):
    """Ranges over the real runs that a profile was fitted to and compared with, and the constants that it had."""

    constants: str = Field(description="fingerprint of the constants that were compared with the runs")


def fingerprint(constants: dict[str, Any]) -> str:
    """Return a short text that changes whenever a constant does."""
    return hashlib.blake2b(json.dumps(constants, sort_keys=True).encode(), digest_size=8).hexdigest()
