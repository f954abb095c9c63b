"""Options that commands of `adaptwin workload` share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import (
    out_file,
    share,
    time_span,
    window_seconds,
)
from adaptwin.cli.profile_options import (
    complete_profile,
)
from adaptwin.workload.sources.arrival_pattern import MOST_TIMESTAMPS, Keep
from adaptwin.workload.sources.popularity import POPULARITIES
from adaptwin.workload.sources.request_log.columns import TimeUnit

if TYPE_CHECKING:
    pass

DETECTED = default_note("found by its name")

AdapterCount = Annotated[int, typer.Option(metavar="N", help="Number of adapters.")]
Ranks = Annotated[
    str, typer.Option(metavar="RANKS", help="LoRA ranks in turn (8,16,32) or by weight (8:0.6,16:0.3,32:0.1).")
]
RankOfOthers = Annotated[
    int | None, typer.Option(metavar="RANK", help="Rank of all adapters that --ranks-from does not list.")
]
Popularity = Annotated[
    str, typer.Option(metavar="KIND", help=f"Distribution of the traffic over the adapters: {POPULARITIES}.")
]
BaseShare = Annotated[
    float,
    typer.Option(
        parser=share, metavar="SHARE", help="Share of the traffic that goes to the base model, such as 20% or 0.2."
    ),
]
FleetArrivals = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="Arrivals: poisson, gamma:cv=3, regimes:period=300,factor=1.5, or rates:FILE or rates:cv=2,FILE (CSV with "
        "columns start,factor).",
    ),
]
Duration = Annotated[
    float,
    typer.Option(parser=time_span, metavar="TIME", help="Time of traffic that the fleet stands for, such as 1h."),
]
Profiles = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        autocompletion=complete_profile,
        help="Profile to plan for: a shipped one or a file. May be repeated.",
    ),
]
FleetSeed = Annotated[int, typer.Option(metavar="N", help="Seed of every random draw, which is stored in the fleet.")]
FleetOut = Annotated[
    Path, typer.Option(metavar="FILE", callback=out_file, help="Fleet file to write: YAML, or JSON if called .json.")
]


Busiest = Annotated[
    float | None,
    typer.Option(
        parser=window_seconds,
        metavar="TIME",
        help="Length of the window that the fleet is made from, such as 90s, 30m, 1h or 1d: the one with the most "
        f"tokens is taken. 'whole' takes everything. {default_note('1h, or everything if it is shorter')}",
    ),
]
FirstPart = Annotated[
    float | None,
    typer.Option(
        parser=share,
        metavar="SHARE",
        help="Share of the recorded time, from its start, that the window lies in, such as 50% or 0.5. "
        + default_note("100%"),
    ),
]
RateScale = Annotated[float, typer.Option(metavar="FACTOR", help="Factor on the number of requests.")]
Keeping = Annotated[
    Keep | None,
    typer.Option(
        help="Keep arrivals as timestamps, each with its own lengths, or as rates that change from second to "
        "second, in a CSV file beside the fleet. " + default_note(f"timestamps for up to {MOST_TIMESTAMPS:,} requests"),
    ),
]
TimeUnits = Annotated[
    TimeUnit | None,
    typer.Option(
        help="Unit of times that are numbers. " + default_note("that of the format, or seen from numbers since 1970")
    ),
]
