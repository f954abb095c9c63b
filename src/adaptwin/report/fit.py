"""Tables of a fit for the terminal: residuals by part, errors by regime, gaps in measurements."""

from collections.abc import Iterator

from rich.console import Group, RenderableType

from adaptwin.calibration.fit import Fit
from adaptwin.calibration.undetermined import Undetermined
from adaptwin.profile.profile import Profile
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING


def fit_report(fitted: Fit, start: str) -> RenderableType:
    """Show a fit that began with the profile `start`: how far it is from the measurements, and what they leave open."""
    parts: list[RenderableType] = [Text(f"{fitted.profile.name}: {fitted.profile.server_hardware}", style="bold")]
    parts += [Text("\nResiduals of the fit", style="bold"), _residuals(fitted)]
    if fitted.profile.error:
        parts += [Text("\nWhole runs, each simulated with a fit to the other configurations", style="bold")]
        parts += [_errors(fitted.profile)]
    if fitted.undetermined:
        parts += [Text("\nNot determined by the measurements", style="bold")]
        parts += [Text(f"- {line}", style="yellow") for line in _undetermined(fitted.undetermined, start)]
    if fitted.warnings:
        parts += [Text("\nNot covered by the measurements, or doubtful", style="bold")]
        parts += [Text(f"- {warning}", style="yellow") for warning in fitted.warnings]
    return Group(*parts)


def _residuals(fitted: Fit) -> Table:
    table = _figures_table("part", "points", "mean", "worst")
    for part in fitted.residuals:
        table.add_row(part.part, f"{part.points:,}", f"{part.mean:.1f} %", f"{part.worst:.1f} %")
    return table


def _undetermined(constants: list[Undetermined], start: str) -> Iterator[str]:
    """Yield a sentence for each source of constants that the measurements do not determine, which names them all."""
    of_shapes = {each.constant for each in constants if each.constant.startswith("memory.")}
    kept = [each for each in constants if each.kept]
    groups = {
        f"taken from {start}": [each for each in kept if each.constant not in of_shapes],
        "derived from the shapes of the model": [each for each in kept if each.constant in of_shapes],
        "determined only together with others, or roughly": [each for each in constants if not each.kept],
    }
    for source, group in groups.items():
        if group:
            yield f"{source}: {constants_in_words([each.constant for each in group])}"


def constants_in_words(constants: list[str]) -> str:
    """Write constants such as ``step_cost.host_base`` as lists, one for each part of the profile."""
    parts: dict[str, list[str]] = {}
    for constant in constants:
        part, _, name = constant.partition(".")
        parts.setdefault(part, []).append(name)
    return "; ".join(f"{part} ({', '.join(names)})" if names[0] else part for part, names in parts.items())


def _errors(profile: Profile) -> RenderableType:
    error = profile.error
    assert error is not None
    headline = Text(
        f"Errors over {error.runs} runs: throughput {error.throughput:.1f} %, mean ITL {_percent(error.itl)}, median "
        f"TTFT {_percent(error.ttft)}. Starvation is simulated correctly in {error.starvation:.1f} % of them."
    )
    table = _figures_table("spread (one standard deviation)", "runs", "throughput", "ITL", "TTFT")
    for spread in profile.spread:
        cells = (spread.throughput, spread.itl, spread.ttft)
        table.add_row(spread.regime, str(spread.runs), *(NOTHING if x is None else f"{100 * x:.1f} %" for x in cells))
    return Group(headline, table)


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f} %"


def _figures_table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
