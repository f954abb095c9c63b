"""adaptwin plan: a fleet -> a verified plan, a table, and a report."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from adaptwin.cli.options import (
    Arrivals,
    AsJson,
    FleetFile,
    OutFile,
    ProfileNames,
    Seed,
    seconds,
    share,
    share_or_profile,
)
from adaptwin.cli.progress import progress_bar
from adaptwin.errors import Infeasible
from adaptwin.placement.fleet import fleet_profiles, plan_fleet, read_fleet
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.plan.constraints import Constraints
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.page import write_plan_report
from adaptwin.report.plan.table import plan_table
from adaptwin.spec import require_writable
from adaptwin.surrogate.surrogate import Surrogate, load_surrogate


def plan_option(field: str, example: str = "") -> str:
    """The help text of an option of a plan: the description of its field in `PlanOptions`, and an example."""
    description = PlanOptions.model_fields[field].description or ""
    return f"{description[0].upper()}{description[1:]}{f', such as {example}' if example else ''}."


def plan_command(
    fleet: FleetFile,
    profile: ProfileNames = None,
    out: OutFile = None,
    report: Annotated[Path | None, typer.Option(help="HTML report to write.")] = None,
    objective: Annotated[str | None, typer.Option(help=f"One of: {', '.join(OBJECTIVES)}.")] = None,
    strategy: Annotated[str | None, typer.Option(help=f"One of: {', '.join(STRATEGIES)}.")] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help=plan_option("gpus"))] = None,
    headroom: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", help=plan_option("headroom", "20%")),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            parser=share_or_profile,
            metavar="SHARE",
            help=plan_option("margin", "5%"),
        ),
    ] = None,
    ttft_p99: Annotated[
        float | None, typer.Option(parser=seconds, metavar="TIME", help=plan_option("ttft_p99", "2 or 500ms"))
    ] = None,
    itl_p99: Annotated[
        float | None, typer.Option(parser=seconds, metavar="TIME", help=plan_option("itl_p99", "0.05 or 50ms"))
    ] = None,
    latency: Annotated[str | None, typer.Option(help=plan_option("latency"))] = None,
    arrivals: Arrivals = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(metavar="ADAPTER=GPU", help="Adapter that must be on this server. May be repeated."),
    ] = None,
    apart: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B,...", help="Adapters of which no two may share a server. May be repeated."),
    ] = None,
    together: Annotated[
        list[str] | None, typer.Option(metavar="A,B,...", help="Adapters that must share one server. May be repeated.")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(metavar="PROFILE=2.5", help="Price per hour of a GPU, by profile. May be repeated."),
    ] = None,
    spare: Annotated[int | None, typer.Option(min=0, help=plan_option("spare"))] = None,
    time_limit: Annotated[float | None, typer.Option(min=0.001, help=plan_option("time_limit"))] = None,
    surrogate: Annotated[
        str, typer.Option(help="Surrogate that answers where it is sure: a file, `shipped`, or `none`.")
    ] = "shipped",
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Find the fewest or the cheapest GPUs that serve a fleet, and verify the plan."""
    require_writable(out, report)
    known = surrogate_named(surrogate)
    described = read_fleet(fleet)
    profiles = fleet_profiles(described, fleet, profile)
    named = {
        "objective": objective,
        "strategy": strategy,
        "gpus": gpus,
        "headroom": headroom,
        "margin": margin,
        "ttft_p99": ttft_p99,
        "itl_p99": itl_p99,
        "latency": latency,
        "constraints": _constraints(pin, apart, together),
        "prices": _prices(price),
        "spare": spare,
        "time_limit": time_limit,
    }
    with progress_bar() as progress:
        try:
            found = plan_fleet(
                described,
                profiles,
                {name: value for name, value in named.items() if value is not None},
                arrivals=arrivals,
                seed=seed,
                surrogate=known,
                progress=progress,
            )
        except Infeasible as error:
            raise Infeasible(f"{fleet}: {error}") from None
    deliver(found, out, report, lambda: _show_plan(found, as_json))


def deliver(found: Plan, out: Path | None, report: Path | None, show: Callable[[], None]) -> None:
    """Write a plan and its report, show it, and say where they are; exit code 3 where it does not hold as promised."""
    if out:
        found.write(out)
    if report:
        write_plan_report(found, report)
    show()
    for path, what in ((out, "plan"), (report, "report")):
        if path:
            Console(stderr=True).print(f"{what} written to {path}", highlight=False)
    if not found.verified and found.promises:
        raise typer.Exit(3)


def _constraints(pin: list[str] | None, apart: list[str] | None, together: list[str] | None) -> Constraints | None:
    """The constraints of the command line, which replace the fleet's; None where it has none."""
    if not (pin or apart or together):
        return None
    return Constraints(
        pinned=_pinned(pin or []), apart=_groups("--apart", apart), together=_groups("--together", together)
    )


def _pinned(texts: list[str]) -> dict[str, str]:
    pinned: dict[str, str] = {}
    for name, server in map(_pair, texts):
        if pinned.setdefault(name, server) != server:
            raise typer.BadParameter(f"{name!r} is pinned to {pinned[name]} and to {server}", param_hint="--pin")
    return pinned


def _pair(text: str) -> tuple[str, str]:
    name, equals, server = text.rpartition("=")
    if not (name and equals and server):
        raise typer.BadParameter(f"{text!r} is not ADAPTER=GPU", param_hint="--pin")
    return name, server


def _prices(texts: list[str] | None) -> dict[str, float]:
    """The prices of the command line; each replaces the fleet's price of its profile."""
    return dict(map(_price, texts or []))


def _price(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not (name and 0 < value < float("inf")):
        raise typer.BadParameter(f"{text!r} is not PROFILE=PRICE with a price above 0", param_hint="--price")
    return name, value


def _groups(option: str, texts: list[str] | None) -> tuple[tuple[str, ...], ...]:
    groups = tuple(tuple(name.strip() for name in text.split(",")) for text in texts or [])
    for text, group in zip(texts or [], groups, strict=True):
        if len(group) < 2 or not all(group):
            raise typer.BadParameter(f"{text!r} does not name several adapters, as in a,b", param_hint=option)
    return groups


def surrogate_named(name: str) -> Surrogate | Literal["shipped"] | None:
    """The surrogate that an option names: the shipped one, none, or that of a file."""
    if name == "shipped":
        return "shipped"
    return None if name == "none" else load_surrogate(name)


def _show_plan(found: Plan, as_json: bool) -> None:
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        Console().print(plan_table(found))
