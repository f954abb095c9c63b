"""Rates over time on the command line: the options, and which rates a fleet has."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import time_span
from adaptwin.cli.printing import tell
from adaptwin.errors import SpecError

if TYPE_CHECKING:
    from adaptwin.plan.fleet import Fleet
    from adaptwin.workload.rates_over_time import RatesOverTime

TIME_OF_DAY = "Time of day"  # panel of the help
MOST_WITHOUT_ROW = 8  # adapters in a message

RatesOfPlan = Annotated[
    Path | None,
    typer.Option(
        "--rates-over-time",
        metavar="FILE",
        rich_help_panel=TIME_OF_DAY,
        help="CSV with the rate of each adapter in each period: a column name and one for each hour (0, 1, ... or "
        "00:00, 01:00, ...), or the columns start,name,rate. The plan is made for the busiest period, and held in all "
        f"others. {default_note('the file that the fleet names, or none')}",
    ),
]
PeriodOfPlan = Annotated[
    float | None,
    typer.Option(
        "--period",
        parser=time_span,
        metavar="TIME",
        rich_help_panel=TIME_OF_DAY,
        help="Length of the periods into which the fleet's own window is divided, whose arrivals change over time, "
        f"instead of a file of rates. {default_note('1h with --schedule, or one window for all')}",
    ),
]
RatesToWrite = Annotated[
    Path | None,
    typer.Option(
        "--rates-over-time",
        metavar="FILE",
        help="CSV file to write the rate of each adapter in each period of the whole recording to, which the fleet "
        f"names. {default_note('none')}",
    ),
]
PeriodToWrite = Annotated[
    float | None,
    typer.Option(
        "--period",
        parser=time_span,
        metavar="TIME",
        help=f"Length of the periods of --rates-over-time, such as 30m. {default_note('1h')}",
    ),
]


def rates_of_fleet(
    fleet: "Fleet", path: Path, file: Path | None, period: float | None, *, arrivals: str | None, needed: bool
) -> "RatesOverTime | None":
    """Return the rates over time of a fleet: of the file given, of the one that it names, or of its own window.

    What is assumed is printed on the error stream.

    Args:
        fleet: The fleet, with all its adapters.
        path: File of the fleet.
        file: File of rates, instead of the fleet's.
        period: Seconds of a period, if the window of the fleet is to be divided.
        arrivals: Arrivals instead of the fleet's, of the adapters that have none of their own.
        needed: Whether the window is divided into hours if there is nothing else; else the answer may be None.

    Raises:
        SpecError: The file is wrong, or does not suit the fleet, or its window has too few periods.
    """
    from adaptwin.workload.rates_over_time import HOUR, belongs_to_window
    from adaptwin.workload.sources.rates_over_time_csv import read_rates_over_time
    from adaptwin.workload.sources.recorded_rates import rates_of_workload

    named = file or (Path(fleet.rates_over_time) if fleet.rates_over_time and period is None else None)
    if named is None and period is None and not needed:
        return None
    workload = fleet.workload if arrivals is None else fleet.workload.with_arrivals(arrivals)
    if named is None:
        try:
            rates = rates_of_workload(workload, period or HOUR)
        except SpecError as error:
            more = "" if period else "; give rates with --rates-over-time"
            raise SpecError(f"{error.message}{more}", error.field, path) from None
    elif period is not None:
        raise SpecError("the file of rates gives the periods", "--period")
    else:
        listed = read_rates_over_time(named)
        try:
            rates = listed.of_fleet(workload)
        except SpecError as error:
            raise error.at(named) from None
        _tell_without_row(listed.without_row(workload), named)
    if belongs_to_window(workload):
        tell(
            "note: within a period, requests arrive independently of each other: timestamps and files of factors of "
            "the fleet belong to a window of their own, whose bursts are lost"
        )
    return rates


def require_period_of_rates(file: Path | None, period: float | None) -> None:
    """Raise `SpecError` for a period without a file of rates."""
    if period is not None and file is None:
        raise SpecError("needs --rates-over-time", "--period")


def write_recorded_rates(rates: "RatesOverTime", file: Path, *, in_utc: bool) -> None:
    """Write rates over time to a file, and say what is in it; `in_utc` tells whether the times of day are known."""
    from adaptwin.workload.sources.rates_over_time_csv import write_rates_over_time

    write_rates_over_time(rates, file)
    times = "times of day are in UTC" if in_utc else "the first request counts as midnight, because it has no date"
    first, last = rates.span_of(0), rates.span_of(len(rates) - 1)
    tell(f"rates of {len(rates):,} periods, from {first} to {last}, written to {file}; {times}")


def files_of_rates(file: Path | None) -> list[Path]:
    """Return the file of an option that may not be given."""
    return [file] if file else []


def refuse_front(rates: "RatesOverTime | None", front: bool) -> None:
    """Raise `SpecError` for a front of a fleet whose rates change over time."""
    if rates is not None and front:
        raise SpecError("is for one window of traffic, but the rates change over time", "--front")


def tell_rates_unused(fleet: "Fleet") -> None:
    """Say that a command takes the rates of a fleet's own window, if the fleet names a file of rates over time."""
    if fleet.rates_over_time:
        tell("note: rates over time of the fleet are not used here: the rate of each adapter counts")


def _tell_without_row(names: list[str], file: Path) -> None:
    if names:
        more = f" and {len(names) - MOST_WITHOUT_ROW:,} more" if len(names) > MOST_WITHOUT_ROW else ""
        listed = f"{', '.join(names[:MOST_WITHOUT_ROW])}{more}"
        tell(f"note: not in {file}, and planned with their rates of the fleet in every period: {listed}")
