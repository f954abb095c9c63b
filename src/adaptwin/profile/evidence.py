"""Evidence: what the constants of a profile rest on, and how far that may be trusted."""

from typing import Literal

from pydantic import Field

from adaptwin.spec import Line, Spec

Grade = Literal[
    "measured with LoRA",
    "derived, base model checked on real runs",
    "data sheet only",
    "not claimed",
]


class Evidence(Spec):
    """What the constants of a derived profile rest on.

    Its grade holds while the constants are as they were derived (`constants`).
    """

    constants: str = Field(description="fingerprint of the constants that were derived")
    grade: Grade = Field(description="how far the profile may be trusted")
    origins: dict[str, Line] = Field(
        default_factory=dict, description="where constants come from, by name or by section: data sheet, kernels, profile"
    )
    checked: tuple[Line, ...] = Field(
        default=(), description="real runs of other GPUs and models from which the spread comes, in words"
    )
