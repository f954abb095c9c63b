"""Options: where the files of a measurement are, and what it runs on."""

from pathlib import Path
from typing import NamedTuple


class Options(NamedTuple):
    """What all stages of a measurement have in common."""

    state: Path  # survives between calls: events, caches, models, adapters, logs
    out: Path  # results, as they come
    cpu: bool = False  # vLLM's build for the CPU
    rehearse: bool = False  # a pretend GPU, see rehearse.py
    tiny: bool = False  # a model of no size: little memory is taken, runs are short

    @property
    def dtype(self) -> str:
        """The type of weights and KV cache."""
        return "float32" if self.cpu else "bfloat16"
