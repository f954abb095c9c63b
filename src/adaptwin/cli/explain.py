"""adaptwin explain: why a plan is as it is, what it could still take, and what would save a GPU."""

from typing import Annotated

import typer
from rich.console import Console

from adaptwin.cli.options import AsJson, PlanFile
from adaptwin.cli.progress import progress_bar
from adaptwin.errors import OutOfMemory, SpecError
from adaptwin.explanation.explain import explain
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.explanation import explanation_table


def explain_command(
    plan: PlanFile,
    rank: Annotated[
        int | None, typer.Option(help="Rank of one more adapter; by default the median of the plan's.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests per second of one more adapter; by default the median of the plan's.")
    ] = None,
    gpu: Annotated[list[str] | None, typer.Option(help="GPU to show; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Why each GPU is full, what it could still take, what one more adapter would do, and what would save a GPU."""
    described = Plan.read(plan)
    known = {server.name for server in described.servers}
    if unknown := [name for name in gpu or () if name not in known]:
        raise SpecError(f"has no GPU {unknown[0]!r}", "servers", plan)
    try:
        with progress_bar() as progress:
            found = explain(described, rank=rank, rate=rate, progress=progress)
    except OutOfMemory as error:
        raise OutOfMemory(f"{plan}: {error}") from None
    except SpecError as error:
        raise (error.at(plan) if error.field == "servers" else error) from None
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        Console().print(explanation_table(found, gpu or ()))
