"""adaptwin export: a plan in the words of a serving stack."""

from typing import Annotated

import typer

from adaptwin.cli.options import OutFile, PlanFile
from adaptwin.errors import SpecError
from adaptwin.export.registry import TARGETS
from adaptwin.plan.plan import Plan
from adaptwin.spec import write_atomically


def export_command(
    plan: PlanFile,
    to: Annotated[str, typer.Option(help=f"One of: {', '.join(TARGETS)}.")] = "vllm",
    out: OutFile = None,
) -> None:
    """Write a plan in the words of a serving stack, to stdout or a file."""
    if to not in TARGETS:
        raise SpecError(f"{to!r} is not one of {', '.join(TARGETS)}", "--to")
    text = TARGETS[to](Plan.read(plan))
    if out:
        write_atomically(out, text)
    else:
        print(text, end="")
