"""Evidence: what the constants of a derived profile rest on, and how far that may be trusted."""

from typing import Final, Literal

from pydantic import Field

from adaptwin.profile.measured import RunRange
from adaptwin.spec import Line, Spec

EvidenceGrade = Literal[
    "measured with LoRA",
    "derived, base model corrected with runs of this server",
    "derived, base model checked on real runs",
    "data sheet only",
    "rough",
    "not claimed",
]
MEASURED: Final = "measured with LoRA"
CORRECTED: Final = "derived, base model corrected with runs of this server"
BASE_CHECKED: Final = "derived, base model checked on real runs"
DATA_SHEET: Final = "data sheet only"
ROUGH: Final = "rough"
NOT_CLAIMED: Final = "not claimed"


class Evidence(Spec):
    """What the constants of a derived profile rest on. It says nothing once they are changed (`constants`)."""

    constants: str = Field(description="fingerprint of the constants that were derived")
    grade: EvidenceGrade = Field(
        description="measured with LoRA; derived, base model corrected with runs of this server, or checked on "
        "real runs of this GPU; data sheet only; rough, of models with experts, whose law no real server was compared "
        "with; or not claimed, where the model or the version is outside of what the laws describe"
    )
    origins: dict[str, Line] = Field(
        default_factory=dict, description="where the constants come from, by name: data sheet, kernels, other profiles"
    )
    machines: tuple[Line, ...] = Field(
        default=(),
        description="data sheets of the machines whose runs the errors come from, each of which counts equally",
    )
    unchecked: tuple[Line, ...] = Field(
        default=(), description="what of the GPU or of vLLM no real server was compared for, in words"
    )
    unchecked_with_adapters: tuple[Line, ...] = Field(default=(), description="the same, of servers with adapters")
    compared: tuple[Line, ...] = Field(
        default=(),
        description="runs and starts of this server that constants were corrected with: the error of each before and "
        "after",
    )
    notes: tuple[Line, ...] = Field(default=(), description="what the profile leaves out, in clauses")
    checked: RunRange = Field(
        description="settings and traffic of the real runs that derived profiles were compared with, without a part in "
        "their constants"
    )
