"""adaptwin explain: why a plan is as it is, what it could still take, and what would save a GPU."""

from typing import Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson, PlanFile
from adaptwin.cli.printing import show, show_json
from adaptwin.errors import OutOfMemory, SpecError, not_one_of


def explain_command(
    plan: PlanFile,
    rank: Annotated[
        int | None,
        typer.Option(metavar="N", help=f"Rank of one more adapter. {default_note('the median of the plan')}"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help=f"Requests per second of one more adapter. {default_note('the median of the plan')}",
        ),
    ] = None,
    gpu: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"GPU to show, such as gpu-0. May be repeated. {default_note('all')}"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain a plan: what limits each GPU, what it can still take, and what would save a GPU.

    Also estimates how latency changes on each GPU with one more adapter.
    """
    from adaptwin.cli.progress import progress_bar
    from adaptwin.explanation.explain import explain
    from adaptwin.plan.plan import Plan
    from adaptwin.report.plan.explanation import explanation_table

    running = Plan.read(plan)
    known = {server.name for server in running.servers}
    if unknown := [name for name in gpu or () if name not in known]:
        raise SpecError(not_one_of(unknown[0], sorted(known)), "servers", plan)
    try:
        with progress_bar() as progress:
            found = explain(running, rank=rank, rate=rate, progress=progress)
    except OutOfMemory as error:
        raise OutOfMemory(f"{plan}: {error}") from None
    except SpecError as error:
        raise (error.at(plan) if error.field == "servers" else error) from None
    if as_json:
        show_json(found.model_dump_json(indent=1))
    else:
        show(explanation_table(found, gpu or ()))
