"""Options of adaptwin plan --schedule, and the folder that it writes to."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import time_from_zero
from adaptwin.cli.rates_over_time import TIME_OF_DAY
from adaptwin.errors import SpecError
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST

if TYPE_CHECKING:
    from adaptwin.replanning.find_schedule import ChangeCosts

_FILE_SUFFIXES = (".yaml", ".yml", ".json")

AsSchedule = Annotated[
    bool,
    typer.Option(
        "--schedule",
        rich_help_panel=TIME_OF_DAY,
        help="Find a plan for each period, with few moves from each to the next, and show the GPU-hours that this "
        "saves against one plan for all periods. --out is a folder for the plans.",
    ),
]
Lead = Annotated[
    float | None,
    typer.Option(
        parser=time_from_zero,
        metavar="TIME",
        rich_help_panel=TIME_OF_DAY,
        help=f"Time that servers of --schedule start before they serve, which is paid for. {default_note('10m')}",
    ),
]
MoveCost = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="GPU_HOURS",
        rich_help_panel=TIME_OF_DAY,
        help=f"What --schedule may pay for moving an adapter, in GPU-hours. {default_note(f'{MOVE_COST}')}",
    ),
]
RestartCost = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="GPU_HOURS",
        rich_help_panel=TIME_OF_DAY,
        help=f"What --schedule may pay for restarting a server, in GPU-hours. {default_note(f'{RESTART_COST}')}",
    ),
]


def require_schedule_options(schedule: bool, refused: Mapping[str, object], only: Mapping[str, object]) -> None:
    """Refuse options that contradict ``--schedule``, and without it those that need it, by their names and values."""
    for name, value in (refused if schedule else only).items():
        if value is not None and value is not False:
            what = "cannot be used with --schedule" if schedule else "needs --schedule"
            raise SpecError(what, name)


def schedule_files(out: Path | None) -> list[Path]:
    """Make the folder of a schedule, and return the files that are always in it; raises `SpecError`."""
    from adaptwin.plan.schedule import SCHEDULE_FILE, STATIC_FILE

    if out is None:
        return []
    if out.suffix.lower() in _FILE_SUFFIXES and not out.is_dir():
        raise SpecError(f"{out} would be a folder of plans: give it a name without {out.suffix}", "--out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"cannot be made a folder: {error.strerror}", file=out) from None
    return [out / SCHEDULE_FILE, out / STATIC_FILE]


def costs_of_options(lead: float | None, move_cost: float | None, restart_cost: float | None) -> "ChangeCosts":
    """Return the costs of changes; those that are not given have their defaults."""
    from adaptwin.replanning.find_schedule import ChangeCosts

    given = {"lead": lead, "move": move_cost, "restart": restart_cost}
    return ChangeCosts(**{name: value for name, value in given.items() if value is not None})
