"""adaptwin export: a plan in the words of a serving stack."""

from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.inputs import files_of_workload
from adaptwin.cli.options import PlanFile, completing
from adaptwin.cli.printing import tell
from adaptwin.errors import SpecError, not_one_of
from adaptwin.export.registry import TARGETS
from adaptwin.writable import require_distinct, require_writable
from adaptwin.writing import write_atomically


def export_command(
    plan: PlanFile,
    to: Annotated[
        str,
        typer.Option(
            metavar="STACK", autocompletion=completing(TARGETS), help=f"Serving stack. One of {', '.join(TARGETS)}."
        ),
    ] = "vllm",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Script to write; printed without it.")] = None,
) -> None:
    """Write the configuration that runs a plan on a serving stack, to stdout or a file."""
    from adaptwin.plan.plans import Plans

    require_writable(out, inputs=[plan])
    if to not in TARGETS:
        raise SpecError(not_one_of(to, TARGETS), "--to")
    running = Plans.read(plan)
    require_distinct(out, inputs=files_of_workload(running.workload))
    text = TARGETS[to](*running.plans)
    if out:
        write_atomically(out, text)
        tell(f"written to {out}")
    else:
        print(text, end="")
