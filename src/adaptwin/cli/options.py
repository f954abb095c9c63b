"""Options that several commands share, and how their values are read."""

from pathlib import Path
from typing import Annotated

import typer

FleetFile = Annotated[Path, typer.Argument(help="Fleet file (YAML), or adapters as CSV.", show_default=False)]
PlanFile = Annotated[Path, typer.Argument(help="Plan file (YAML).", show_default=False)]
ProfileNames = Annotated[
    list[str] | None,
    typer.Option("--profile", help="Shipped profile or profile file; overrides the fleet's. May be repeated."),
]
OutFile = Annotated[Path | None, typer.Option("--out", help="File to write the result to.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of every random draw; by default the fleet's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Arrivals = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Arrivals of adapters without their own, instead of the fleet's: poisson, gamma:cv=3, rates:FILE.",
    ),
]


def seconds(text: str) -> float:
    """``500ms``, ``2s`` or ``2`` in seconds."""
    number, unit = (text[:-2], 1e-3) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        value = float(number) * unit
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time, such as 500ms or 2s") from None
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{text!r} must be above 0")
    return value


def share(text: str) -> float:
    """``20%`` or ``0.2`` as 0.2."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a share, such as 20% or 0.2") from None
    if value > 1 and not text.endswith("%"):
        raise typer.BadParameter(f"{text!r} is {100 * value:g}%: write {text}% or {value / 100:g} if that was meant")
    if not 0 <= value <= 10:
        raise typer.BadParameter(f"{text!r} must be from 0 to 1000%")
    return value


def share_or_profile(text: str) -> float | str:
    """``profile`` as it is, anything else as a share."""
    return text if text == "profile" else share(text)
