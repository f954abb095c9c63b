"""adaptwin plan: a fleet -> a verified plan, a table, and a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.inputs import files_of_fleet, files_of_options
from adaptwin.cli.lengths import InputMean, LengthsOption, OutputMean, lengths_of_options, with_lengths
from adaptwin.cli.options import (
    SHIPPED,
    Arrivals,
    AsJson,
    FleetFile,
    OutFile,
    ReportFile,
    Seed,
    SkipUnsupported,
    StressRuns,
    SurrogateName,
    UnderStress,
    completing,
    described,
    latency_limit,
    runs_under_stress,
    share,
    share_or_profile,
    surrogate_named,
    time_span,
)
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.cli.profile_options import (
    GpuNames,
    GroupSizes,
    KvCacheDtype,
    ModelNames,
    ProfileNames,
    QuantizationMethod,
    VllmVersion,
    files_of_profiles,
    profile_sources,
)
from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.plan.constraints import Constraints
from adaptwin.plan.options import PlanOptions
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    from adaptwin.plan.front import Front
    from adaptwin.plan.plans import Plans

NOT_PROMISED = 3  # exit code of a plan or a check that does not keep what was promised


def plan_option(field: str, default: object = None, values: str = "") -> str:
    """Return the help text of an option that is a field of `PlanOptions`; its default is that of the field."""
    known = default if default is not None else PlanOptions.model_fields[field].default
    return described(PlanOptions, field, "" if known is None else f"the fleet's, or {known}", values)


def one_of(names: dict[str, Any], default: str) -> str:
    """Return the help text of an option whose values are names."""
    note = default_note(f"the fleet's, or {default}")
    return f"One of {', '.join(names)}. {note}"


def plan_command(
    fleet: FleetFile,
    profile: ProfileNames = None,
    gpu: GpuNames = None,
    model: ModelNames = None,
    vllm_version: VllmVersion = None,
    tensor_parallel_size: GroupSizes = None,
    quantization: QuantizationMethod = None,
    kv_cache_dtype: KvCacheDtype = None,
    out: OutFile = None,
    report: ReportFile = None,
    as_json: AsJson = False,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completing(OBJECTIVES),
            rich_help_panel="Goal",
            help=one_of(OBJECTIVES, "min-gpus"),
        ),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=1, metavar="N", rich_help_panel="Goal", help=plan_option("gpus"))
    ] = None,
    latency: Annotated[
        str | None, typer.Option(metavar="itl|ttft", rich_help_panel="Goal", help=plan_option("latency"))
    ] = None,
    ttft_p99: Annotated[
        float | None,
        typer.Option(
            parser=latency_limit,
            metavar="TIME",
            rich_help_panel="Goal",
            help=plan_option("ttft_p99", "no limit"),
        ),
    ] = None,
    itl_p99: Annotated[
        float | None,
        typer.Option(
            parser=latency_limit,
            metavar="TIME",
            rich_help_panel="Goal",
            help=plan_option("itl_p99", "no limit"),
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", rich_help_panel="Goal", help=plan_option("confidence", "none")),
    ] = None,
    rate_uncertainty: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", rich_help_panel="Goal", help=plan_option("rate_uncertainty", "0")),
    ] = None,
    allow_merged: Annotated[
        bool | None,
        typer.Option("--allow-merged", rich_help_panel="Goal", help=plan_option("allow_merged", "merge none")),
    ] = None,
    front: Annotated[
        bool,
        typer.Option(
            "--front",
            rich_help_panel="Goal",
            help="Also plan for one, two and three servers more than the fewest (5, 10 and 15 % of a large fleet), "
            "each time with the lowest --latency, and show what they gain. --out takes the plan with the fewest GPUs; "
            "--report shows all of them.",
        ),
    ] = False,
    host_memory_gib: Annotated[
        float | None,
        typer.Option(metavar="GIB", rich_help_panel="Constraints", help=plan_option("host_memory_gib", "no limit")),
    ] = None,
    accept_rough: Annotated[
        bool | None,
        typer.Option("--accept-rough", rich_help_panel="Constraints", help=plan_option("accept_rough", "refuse them")),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROFILE=PRICE",
            rich_help_panel="Goal",
            help="Price of one GPU per hour, by profile, in any currency; a group costs that for each of its GPUs. "
            "May be repeated. " + default_note("the fleet's, or the profile's"),
        ),
    ] = None,
    headroom: Annotated[
        float | None,
        typer.Option(
            parser=share, metavar="SHARE", rich_help_panel="Safety", help=plan_option("headroom", "none", "20% or 0.2")
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            parser=share_or_profile, metavar="SHARE", rich_help_panel="Safety", help=plan_option("margin", "none", "5%")
        ),
    ] = None,
    spare: Annotated[
        int | None, typer.Option(min=0, metavar="N", rich_help_panel="Safety", help=plan_option("spare", "none"))
    ] = None,
    under_stress: UnderStress = False,
    stress_runs: StressRuns = None,
    arrivals: Arrivals = None,
    lengths: LengthsOption = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    skip_unsupported: SkipUnsupported = False,
    pin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADAPTER=GPU",
            rich_help_panel="Constraints",
            help="Place this adapter on the server of this name, such as gpu-0. May be repeated.",
        ),
    ] = None,
    apart: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B,...",
            rich_help_panel="Constraints",
            help="Place no two of these adapters on the same server. May be repeated.",
        ),
    ] = None,
    together: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B,...",
            rich_help_panel="Constraints",
            help="Place all of these adapters on the same server. May be repeated.",
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completing(STRATEGIES),
            rich_help_panel="Search",
            help=one_of(STRATEGIES, "pack"),
        ),
    ] = None,
    surrogate: SurrogateName = SHIPPED,
    verify: Annotated[
        Literal["samples", "all"] | None,
        typer.Option("--verify", rich_help_panel="Search", help=plan_option("verify", "samples")),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(rich_help_panel="Search", help="Where the plan is verified.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            rich_help_panel="Search",
            help="Address of the head of a Ray cluster, such as host:6379, or auto.",
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            rich_help_panel="Search",
            help=plan_option("time_limit", "no limit", "90s or 5m"),
        ),
    ] = None,
    seed: Seed = None,
) -> None:
    """Find the fewest or the cheapest GPUs that serve a fleet, and verify the plan.

    Where the profiles have several base models, every adapter must name its own, and each base model has a plan of its
    own, with the options given here. --time-limit is for all of them together.

    Exit code 0: the plan is verified. 1: wrong input. 2: there is no plan. 3: the plan is not verified.
    """
    from adaptwin.cli.late_timestamps import warn_of_late_timestamps
    from adaptwin.cli.progress import progress_bar
    from adaptwin.cli.servable import servable_by_base
    from adaptwin.engine import workers
    from adaptwin.placement.fleet import front_of_fleet, plan_fleet, require_known_names
    from adaptwin.placement.verification.stress import stress
    from adaptwin.plan.fleet import fleet_profiles, read_fleet
    from adaptwin.plan.front import Front
    from adaptwin.plan.plans import Plans
    from adaptwin.twin.verdict import require_long_enough

    sources = profile_sources(
        profile,
        gpu,
        model,
        vllm_version=vllm_version,
        sizes=tensor_parallel_size,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
    )
    options_read = [*files_of_profiles(sources), *files_of_options(arrivals, lengths, surrogate)]
    require_writable(out, report, inputs=[fleet, *options_read])
    known, runs = surrogate_named(surrogate), runs_under_stress(under_stress, stress_runs)
    fleet_read = with_lengths(read_fleet(fleet), lengths_of_options(lengths, input_mean, output_mean))
    require_distinct(out, report, inputs=files_of_fleet(fleet_read, fleet))
    try:
        require_known_names(fleet_read)
        require_long_enough(fleet_read)
    except SpecError as error:
        raise error.at(fleet) from None
    profiles = fleet_profiles(fleet_read, fleet, sources)
    fleet_read = servable_by_base(fleet_read, profiles, fleet, skip_unsupported)
    warn_of_late_timestamps(fleet_read if arrivals is None else fleet_read.workload.with_arrivals(arrivals))
    named = {
        "objective": objective,
        "strategy": strategy,
        "gpus": gpus,
        "headroom": headroom,
        "margin": margin,
        "ttft_p99": ttft_p99,
        "itl_p99": itl_p99,
        "latency": latency,
        "confidence": confidence,
        "rate_uncertainty": rate_uncertainty,
        "allow_merged": allow_merged,
        "verify": verify,
        "host_memory_gib": host_memory_gib,
        "accept_rough": accept_rough,
        "constraints": _constraints(pin, apart, together),
        "prices": _prices(price),
        "spare": spare,
        "time_limit": time_limit,
    }
    with progress_bar() as progress, workers(engine, address):
        try:
            ask = front_of_fleet if front else plan_fleet
            answer = ask(
                fleet_read,
                profiles,
                {name: value for name, value in named.items() if value is not None},
                arrivals=arrivals,
                seed=seed,
                surrogate=known,
                progress=progress,
            )
        except Infeasible as error:
            raise Infeasible(f"{fleet}: {error}") from None
        except SpecError as error:
            raise (error.at(fleet) if error.field.startswith("server.") else error) from None
        found = Plans(plans=answer.plans[:1]) if isinstance(answer, Front) else answer
        if runs:
            stressed = (
                plan.model_copy(update={"stress": stress(plan, runs=runs, progress=progress)}) for plan in found.plans
            )
            found = Plans(plans=tuple(stressed))
    more = Front(plans=(*found.plans, *answer.plans[1:])) if isinstance(answer, Front) else None
    deliver(found, out, report, as_json, front=more)


def deliver(
    found: "Plans", out: Path | None, report: Path | None, as_json: bool, *, front: "Front | None" = None
) -> None:
    """Write plans and their report, show them, and say where they are; exit code 3 where they break a promise.

    If a front is given, it is shown and reported together with its first plan, which is the one to be written.
    """
    if out:
        found.write(out)
    if report:
        from adaptwin.report.plan.plans_page import write_plans_report

        write_plans_report(found, report, front)
    if front and as_json:
        points = [point.model_dump(mode="json") for point in front.points]
        show_json({"points": points, "plans": [plan.model_dump(mode="json") for plan in front.plans]})
    else:
        _show_plans(found, as_json)
    if front and not as_json:
        from adaptwin.report.plan.front import front_table

        show(*front_table(front))
    for path, what in ((out, "plan"), (report, "report")):
        if path:
            tell(f"{what} written to {path}")
    if found.breaks_promise:
        raise typer.Exit(NOT_PROMISED)


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


def _show_plans(found: "Plans", as_json: bool) -> None:
    from adaptwin.report.plan.migration import migration_table
    from adaptwin.report.plan.plans_table import base_heading, totals_table
    from adaptwin.report.plan.table import plan_table

    if as_json:
        show_json((found if found.are_several else found.plans[0]).model_dump_json(indent=1))
        return
    if found.are_several:
        show(totals_table(found))
    for plan in found.plans:
        steps = [migration_table(plan.migration, plan.gpus)] if plan.migration else []
        show(*base_heading(found, plan), plan_table(plan), *steps)
