"""adaptwin explain: why a plan is as it is, what it could still take, and what would save a GPU."""

import json
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

    Also estimates how latency changes on each GPU with one more adapter. A plan for several base models is explained
    base model by base model.
    """
    from adaptwin.cli.progress import progress_bar
    from adaptwin.explanation.explain import explain
    from adaptwin.plan.plans import Plans
    from adaptwin.report.plan.explanation import explanation_table
    from adaptwin.report.plan.plans_table import base_heading

    running = Plans.read(plan)
    known = {server.name for each in running.plans for server in each.servers}
    if unknown := [name for name in gpu or () if name not in known]:
        raise SpecError(not_one_of(unknown[0], sorted(known)), "servers", plan)
    chosen = [each for each in running.plans if not gpu or any(server.name in gpu for server in each.servers)]
    try:
        with progress_bar() as progress:
            found = [(each, explain(each, rank=rank, rate=rate, progress=progress)) for each in chosen]
    except OutOfMemory as error:
        raise OutOfMemory(f"{plan}: {error}") from None
    except SpecError as error:
        raise (error.at(plan) if error.field == "servers" else error) from None
    if not as_json:
        for each, explained in found:
            show(*base_heading(running, each), explanation_table(explained, gpu or ()))
    elif running.are_several:
        data = [{"base": each.base, **json.loads(explained.model_dump_json())} for each, explained in found]
        show_json({"plans": data})
    else:
        show_json(found[0][1].model_dump_json(indent=1))
