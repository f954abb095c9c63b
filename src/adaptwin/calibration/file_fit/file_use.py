"""FileUse: what a fit took from a file, and what not and why."""

from dataclasses import dataclass, field

from adaptwin.errors import SpecError


@dataclass(slots=True)
class FileUse:
    """What was taken from a file, what was not and why, and what it leaves to be assumed; in clauses."""

    file: str
    kind: str = ""
    taken: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    refused: str = ""  # why nothing was taken

    def refuse(self, error: SpecError) -> None:
        """Note why nothing can be taken."""
        self.refused = in_clause(error)


def in_clause(error: SpecError) -> str:
    """Return what an error says, without the file."""
    return f"{error.field}: {error.message}" if error.field else error.message
