"""Journal: how many steps of a migration are taken, so that a migration that was stopped goes on where it was."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from adaptwin.plan.migration import Step
from adaptwin.spec import Spec


class Journal(Spec):
    """Progress of a migration."""

    steps: str = Field(description="fingerprint of the steps")
    taken: int = Field(ge=0, description="number of steps that are taken")


def steps_taken(path: Path, steps: Sequence[Step]) -> int:
    """Return how many steps a journal says are taken; 0 if there is none, or if it is that of other steps."""
    if not path.exists():
        return 0
    journal = Journal.read(path)
    return min(journal.taken, len(steps)) if journal.steps == _fingerprint_of_steps(steps) else 0


def note_taken(path: Path, steps: Sequence[Step], taken: int) -> None:
    """Write to a journal how many steps are taken."""
    Journal(steps=_fingerprint_of_steps(steps), taken=taken).write(path)


def _fingerprint_of_steps(steps: Sequence[Step]) -> str:
    text = json.dumps([step.model_dump(mode="json") for step in steps], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
