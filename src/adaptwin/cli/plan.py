"""adaptwin plan: a fleet -> a verified plan, a table, and a report."""

from typing import Annotated, Any, Literal

import typer

from adaptwin.cli.deliver_plans import deliver_plans
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
from adaptwin.cli.plan_call import PlanCall
from adaptwin.cli.plan_constraints import constraints_of_options, prices_of_options
from adaptwin.cli.plan_over_time import plan_over_time, plan_schedule
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
from adaptwin.cli.rates_over_time import PeriodOfPlan, RatesOfPlan, files_of_rates, rates_of_fleet, refuse_front
from adaptwin.cli.schedule_options import (
    AsSchedule,
    Lead,
    MoveCost,
    RestartCost,
    costs_of_options,
    require_schedule_options,
    schedule_files,
)
from adaptwin.errors import SpecError
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.plan.options import PlanOptions
from adaptwin.writable import require_distinct, require_writable


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
    currency: Annotated[
        str | None, typer.Option(metavar="TEXT", rich_help_panel="Goal", help=plan_option("currency", "none"))
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
    rates_over_time: RatesOfPlan = None,
    period: PeriodOfPlan = None,
    schedule: AsSchedule = False,
    lead: Lead = None,
    move_cost: MoveCost = None,
    restart_cost: RestartCost = None,
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

    A fleet whose rates change over the day is planned for its busiest period, and the plan held in all others; with
    --schedule, each period gets the GPUs that it needs.

    Exit code 0: the plan is verified. 1: wrong input. 2: there is no plan. 3: the plan is not verified.
    """
    from adaptwin.cli.servable import servable_by_base
    from adaptwin.placement.fleet import require_known_names
    from adaptwin.plan.fleet import fleet_profiles, read_fleet
    from adaptwin.twin.verdict import require_long_enough

    require_schedule_options(
        schedule,
        {"--front": front, "--report": report, "--stress": under_stress},
        {"--lead": lead, "--move-cost": move_cost, "--restart-cost": restart_cost},
    )
    sources = profile_sources(
        profile,
        gpu,
        model,
        vllm_version=vllm_version,
        sizes=tensor_parallel_size,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
    )
    options_read = [
        *files_of_profiles(sources),
        *files_of_options(arrivals, lengths, surrogate),
        *files_of_rates(rates_over_time),
    ]
    places = schedule_files(out) if schedule else [out, report]
    require_writable(*places, inputs=[fleet, *options_read])
    known, runs = surrogate_named(surrogate), runs_under_stress(under_stress, stress_runs)
    fleet_read = with_lengths(read_fleet(fleet), lengths_of_options(lengths, input_mean, output_mean))
    require_distinct(*places, inputs=files_of_fleet(fleet_read, fleet))
    try:
        require_known_names(fleet_read)
        require_long_enough(fleet_read)
    except SpecError as error:
        raise error.at(fleet) from None
    profiles = fleet_profiles(fleet_read, fleet, sources)
    rates = rates_of_fleet(fleet_read, fleet, rates_over_time, period, arrivals=arrivals, needed=schedule)
    refuse_front(rates, front)
    fleet_read = servable_by_base(fleet_read, profiles, fleet, skip_unsupported)
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
        "constraints": constraints_of_options(pin, apart, together),
        "prices": prices_of_options(price),
        "currency": currency,
        "spare": spare,
        "time_limit": time_limit,
    }
    call = PlanCall(
        file=fleet,
        fleet=fleet_read,
        profiles=profiles,
        overrides={name: value for name, value in named.items() if value is not None},
        arrivals=arrivals,
        seed=seed,
        surrogate=known,
        stress_runs=runs,
        engine=engine,
        address=address,
        out=out,
        report=report,
        as_json=as_json,
    )
    if rates is None:
        _plan_window(call, front=front)
    elif schedule:
        plan_schedule(call, rates, costs_of_options(lead, move_cost, restart_cost))
    else:
        plan_over_time(call, rates)


def _plan_window(call: PlanCall, *, front: bool) -> None:
    """Find the plans of a fleet, or its front, for one window of traffic, and show them."""
    from adaptwin.cli.late_timestamps import warn_of_late_timestamps
    from adaptwin.placement.fleet import front_of_fleet, plan_fleet
    from adaptwin.plan.front import Front
    from adaptwin.plan.plans import Plans

    fleet = call.fleet
    warn_of_late_timestamps(fleet if call.arrivals is None else fleet.workload.with_arrivals(call.arrivals))
    with call.searching() as progress:
        ask = front_of_fleet if front else plan_fleet
        answer = ask(
            fleet,
            call.profiles,
            call.overrides,
            arrivals=call.arrivals,
            seed=call.seed,
            surrogate=call.surrogate,
            progress=progress,
        )
        found = call.stressed(Plans(plans=answer.plans[:1]) if isinstance(answer, Front) else answer, progress)
    more = Front(plans=(*found.plans, *answer.plans[1:])) if isinstance(answer, Front) else None
    deliver_plans(found, call.out, call.report, call.as_json, front=more, surrogate=call.surrogate)
