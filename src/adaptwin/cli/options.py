"""Options that several commands share, their help texts, and how their values are read."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adaptwin.cli.help import default_note
from adaptwin.plan.stress import STRESS_RUNS
from adaptwin.quantities import parse_latency, parse_seconds, parse_share
from adaptwin.spec import Spec
from adaptwin.visible import quoted

if TYPE_CHECKING:
    from adaptwin.surrogate.surrogate import Surrogate

_OTHER_FILES = (".csv", ".tsv", ".parquet", ".xlsx", ".jsonl", ".html", ".sh")
SHIPPED: Literal["shipped"] = "shipped"


def described(spec: type[Spec], field: str, default: str = "", values: str = "") -> str:
    """Return the help text of an option: the description of a field of a file, examples of values, and the default."""
    description = spec.model_fields[field].description or ""
    sentence = f"{description[0].upper()}{description[1:]}{f', such as {values}' if values else ''}."
    return f"{sentence} {default_note(default)}" if default else sentence


def completing(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function that completes one of these names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


FleetFile = Annotated[
    Path,
    typer.Argument(
        metavar="FLEET",
        help="Fleet file (YAML), or a CSV with the columns name,rank,rate and, if known, input_mean,output_mean.",
        show_default=False,
    ),
]
PlanFile = Annotated[
    Path,
    typer.Argument(metavar="PLAN", help="Plan file (YAML), as written by 'adaptwin plan --out'.", show_default=False),
]


def out_file(path: Path | None) -> Path | None:
    """Return the path of a result, which is YAML or JSON; refuse what reads as another kind of file."""
    if path is not None and str(path) == "-":
        raise typer.BadParameter("'-' is not a file: --json prints the result, and /dev/stdout is a file")
    if path is not None and path.suffix.lower() in _OTHER_FILES:
        raise typer.BadParameter(f"{quoted(str(path))} would hold YAML: call it .yaml, or .json for JSON")
    return path


OutFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", callback=out_file, help="File to write the result to.")
]
ReportFile = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="HTML report to write.")]
Seed = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help=f"Seed of every random draw. {default_note('the seed of the fleet, or 0')}"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
CostOfMove = Annotated[
    float, typer.Option(min=0, metavar="GPUS", help="Cost of moving an adapter that is being served.")
]
CostOfRestart = Annotated[float, typer.Option(min=0, metavar="GPUS", help="Cost of restarting a server.")]
Arrivals = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Arrivals of the adapters that have none of their own: poisson, gamma:cv=3, "
        "regimes:period=300,factor=1.5, rates:FILE or rates:cv=2,FILE. "
        f"{default_note('those of the file, or poisson')}",
    ),
]
SurrogateName = Annotated[
    str,
    typer.Option(
        "--surrogate", metavar="NAME", help="Surrogate to use where it is confident: shipped, none, or a file."
    ),
]

SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="Leave out adapters that cannot be read or are damaged, and list them with the reasons. Those that vLLM "
        "refuses are another matter: see --skip-unsupported.",
    ),
]

SkipUnsupported = Annotated[
    bool,
    typer.Option(
        "--skip-unsupported",
        help="Leave out adapters that vLLM cannot serve, such as those of another base model, and list them with the "
        "reasons.",
    ),
]


UnderStress = Annotated[
    bool,
    typer.Option(
        "--stress",
        help="Simulate the plan also under traffic that it was not made for: 3, 10 and 25 % more of it, each rate "
        "wrong by 20 %, bursts, and regimes. Exit codes do not depend on the result.",
    ),
]
StressRuns = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help=f"Runs of the whole fleet for each kind of traffic of --stress. {default_note(str(STRESS_RUNS))}",
    ),
]


def runs_under_stress(wanted: bool, runs: int | None) -> int:
    """Return the number of runs for each kind of traffic: 0 without `--stress`."""
    if runs is not None and not wanted:
        raise typer.BadParameter("needs --stress", param_hint="--stress-runs")
    return (runs or STRESS_RUNS) if wanted else 0


def latency_limit(text: str) -> float:
    """``500ms`` or ``2s`` in seconds; a number without a unit is refused."""
    return _understood(parse_latency, text)


def time_span(text: str | float) -> float:
    """``90s``, ``30m``, ``1h``, ``1d`` or ``90`` in seconds, above 0."""
    value = _understood(parse_seconds, str(text))
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{text!r} must be above 0")
    return value


def time_from_zero(text: str | float) -> float:
    """``0``, or what `time_span` takes."""
    value = _understood(parse_seconds, str(text))
    return value if value == 0 else time_span(text)


def window_seconds(text: str) -> float:
    """What `time_span` takes; ``whole`` is infinite."""
    return float("inf") if text == "whole" else time_span(text)


def share(text: str | float) -> float:
    """``20%`` or ``0.2`` as 0.2."""
    value = _understood(parse_share, str(text))
    if not 0 <= value <= 10:
        raise typer.BadParameter(f"{text!r} must be from 0 to 1000%")
    return value


def share_or_profile(text: str) -> float | str:
    """``profile`` as it is, anything else as a share."""
    return text if text == "profile" else share(text)


def _understood(parse: Callable[[str], float], text: str) -> float:
    """The value of an option in words; what is wrong with it is a usage error."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def surrogate_named(name: str) -> "Surrogate | Literal['shipped'] | None":
    """Return the surrogate that an option names: ``shipped`` as it is, None for ``none``, or that of a file."""
    from adaptwin.surrogate.surrogate import load_surrogate

    if name == SHIPPED:
        return SHIPPED
    return None if name == "none" else load_surrogate(name)
