"""DerivedErrors: how far derived profiles were from real servers that had no part in their constants."""

from pydantic import Field

from adaptwin.profile.evidence import BASE_CHECKED, DATA_SHEET, EvidenceGrade
from adaptwin.profile.measured import RunRange
from adaptwin.profile.profile import ProfileError, Spread
from adaptwin.shipped_files import shipped_files
from adaptwin.spec import Name, Spec


class DerivedErrors(Spec):
    """Errors of derived profiles, over the machines of `gpus`; each machine counts equally.

    `make hardware` writes the file. Every profile was derived without the servers that it was compared with.
    """

    gpus: tuple[Name, ...] = Field(description="GPUs with such servers, by the names of their data sheets")
    error: ProfileError = Field(description="mean absolute errors")
    spread: tuple[Spread, ...] = Field(description="deviation of real servers from the twin, by regime")
    lora_gpus: tuple[Name, ...] = Field(description="those of them that served adapters")
    versions: tuple[Name, ...] = Field(description="versions of vLLM of the servers")
    checked: RunRange = Field(description="settings and traffic of the servers")

    def grade_of(self, gpu: str) -> EvidenceGrade:
        """Return how far profiles may be trusted that are derived for a GPU, by the name of its data sheet."""
        return BASE_CHECKED if gpu in self.gpus else DATA_SHEET


def held_out() -> DerivedErrors:
    """Return the errors that come with adaptwin."""
    return DerivedErrors.read(shipped_files("adaptwin.profile.hardware", ".yaml", "evidence")["held_out"])
