"""adaptwin workload: fleet files from request traces, from PEFT folders, or synthetic."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptwin.cli.help import default_note, example_lines
from adaptwin.cli.lengths import InputMean, LengthsOption, OutputMean, lengths_of_options
from adaptwin.cli.options import AsJson, SkipUnsupported, complete_profile, share, time_span, window_seconds
from adaptwin.workload.sources.arrival_pattern import MOST_TIMESTAMPS, Keep
from adaptwin.workload.sources.popularity import POPULARITIES

if TYPE_CHECKING:
    from adaptwin.workload.lora_support import ServedModel
    from adaptwin.workload.workload import Workload

TRACE_EXAMPLES = example_lines(
    "adaptwin workload from-trace azure.csv --adapters 99 --ranks 8 --out f.yaml",
    "adaptwin workload from-trace t.csv --adapters 9 --ranks 8,16 --out f.yaml",
)
SYNTH_EXAMPLES = example_lines(
    "adaptwin workload synth --adapters 200 --rate 40 --ranks 8,16,32 --out f.yaml",
)
PEFT_EXAMPLES = example_lines(
    "adaptwin workload from-peft adapters/ --rate 0.1 --out fleet.yaml",
    "adaptwin workload from-peft adapters/ --rates rates.csv --out fleet.yaml",
)

workload_commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Make a fleet file from a trace or PEFT folders, or a synthetic one.",
)

AdapterCount = Annotated[int, typer.Option(metavar="N", help="Number of adapters.")]
Ranks = Annotated[
    str, typer.Option(metavar="RANKS", help="LoRA ranks in turn (8,16,32) or by weight (8:0.6,16:0.3,32:0.1).")
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
FleetOut = Annotated[Path, typer.Option(metavar="FILE", help="Fleet file to write (YAML).")]


@workload_commands.command(epilog=TRACE_EXAMPLES)
def from_trace(
    trace: Annotated[
        Path,
        typer.Argument(metavar="TRACE", help="Requests: CSV with Azure's or Mooncake's columns, or Mooncake's JSONL."),
    ],
    adapters: AdapterCount,
    ranks: Ranks,
    out: FleetOut,
    popularity: Popularity = "dirichlet:0.5",
    base_share: BaseShare = 0.0,
    busiest: Annotated[
        float | None,
        typer.Option(
            parser=window_seconds,
            metavar="TIME",
            help="Length of the window that the fleet is made from, such as 90s, 30m, 1h or 1d: the one with the most "
            f"tokens is taken. 'whole' takes the whole trace. {default_note('1h, or the trace if it is shorter')}",
        ),
    ] = None,
    first_part: Annotated[
        float | None,
        typer.Option(
            parser=share,
            metavar="SHARE",
            help="Share of the trace's time, from its start, that the window lies in, such as 50% or 0.5. "
            + default_note("100%"),
        ),
    ] = None,
    rate_scale: Annotated[float, typer.Option(metavar="FACTOR", help="Factor on the number of requests.")] = 1.0,
    keep: Annotated[
        Keep | None,
        typer.Option(
            help="Keep arrivals as timestamps, each with its own lengths, or as rates that change from second to "
            "second, in a CSV file beside the fleet. "
            + default_note(f"timestamps for up to {MOST_TIMESTAMPS:,} requests"),
        ),
    ] = None,
    profile: Profiles = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a fleet with the arrivals and lengths of a request trace's busiest hour, distributed over adapters."""
    from rich.console import Console

    from adaptwin.profile.profile import load_profile
    from adaptwin.report.trace import trace_summary, trace_table, trace_warnings
    from adaptwin.workload.sources.synthetic import parse_ranks
    from adaptwin.workload.sources.traces import WINDOW_SECONDS, trace_window

    for name in profile or ():
        load_profile(name)
    rank_mix = parse_ranks(ranks)
    window = trace_window(
        trace,
        first_part=1.0 if first_part is None else first_part,
        busiest=WINDOW_SECONDS if busiest is None else busiest,
    )
    workload = window.workload(
        adapters=adapters,
        ranks=rank_mix,
        popularity=popularity,
        base_share=base_share,
        rate_scale=rate_scale,
        keep=keep,
        rates_file=out.with_suffix(".rates.csv"),
        seed=seed,
    )
    for warning in trace_warnings(window.figures):
        typer.echo(f"warning: {warning}", err=True)
    if not as_json:
        Console().print(trace_table(window.figures, popularity))
    _write(workload, profile, out, as_json, {"trace": trace_summary(window.figures)})


@workload_commands.command(epilog=SYNTH_EXAMPLES)
def synth(
    adapters: AdapterCount,
    rate: Annotated[float, typer.Option(metavar="RATE", help="Requests per second of all adapters together.")],
    ranks: Ranks,
    out: FleetOut,
    popularity: Popularity = "dirichlet:0.5",
    lengths: LengthsOption = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    arrivals: FleetArrivals = "poisson",
    base_share: BaseShare = 0.0,
    duration: Duration = 3600.0,
    profile: Profiles = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a synthetic fleet: a total rate, distributed over adapters."""
    from adaptwin.workload.lengths import ASSUMED_LENGTHS
    from adaptwin.workload.sources.synthetic import parse_ranks, synthesize

    workload = synthesize(
        adapters=adapters,
        rate=rate,
        ranks=parse_ranks(ranks),
        popularity=popularity,
        lengths=lengths_of_options(lengths, input_mean, output_mean) or ASSUMED_LENGTHS,
        arrivals=_from_anywhere(arrivals),
        base_share=base_share,
        duration=duration,
        seed=seed,
    )
    _write(workload, profile, out, as_json)


@workload_commands.command(epilog=PEFT_EXAMPLES)
def from_peft(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder that holds adapters, or sub-folders with adapters.")
    ],
    out: FleetOut,
    rate: Annotated[float | None, typer.Option(metavar="RATE", help="Requests per second of each adapter.")] = None,
    rates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV with columns name,rate; takes precedence over --rate.")
    ] = None,
    skip_unsupported: SkipUnsupported = False,
    lengths: LengthsOption = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    arrivals: FleetArrivals = "poisson",
    duration: Duration = 3600.0,
    profile: Profiles = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a fleet of the adapters whose adapter_config.json files are in a folder."""
    from adaptwin.cli.servable import list_left_out, list_warnings
    from adaptwin.workload.lengths import ASSUMED_LENGTHS
    from adaptwin.workload.sources.adapters_csv import read_adapter_rates
    from adaptwin.workload.sources.peft import read_peft_folder
    from adaptwin.workload.workload import Workload

    found = read_peft_folder(
        folder,
        rate=rate,
        rates=read_adapter_rates(rates) if rates else None,
        served=_served_on(profile),
        skip_unsupported=skip_unsupported,
    )
    list_left_out(found.skipped)
    list_warnings(found.warnings)
    workload = Workload(
        adapters=found.adapters,
        lengths=lengths_of_options(lengths, input_mean, output_mean) or ASSUMED_LENGTHS,
        arrivals=_from_anywhere(arrivals),
        duration=duration,
        seed=seed,
    )
    _write(workload, profile, out, as_json)


def _served_on(profiles: list[str] | None) -> "ServedModel | None":
    """The model and the version of vLLM of the profiles, which must have one base model; None without profiles."""
    from adaptwin.plan.served_adapters import served_model
    from adaptwin.profile.profile import load_profile

    return served_model([load_profile(name) for name in profiles]) if profiles else None


def _from_anywhere(arrivals: str) -> str:
    """Arrivals that mean the same wherever the fleet lies, which reads relative paths from its own folder."""
    from adaptwin.workload.arrivals import with_absolute_path

    return with_absolute_path(arrivals, Path())


def _write(
    workload: "Workload", profiles: list[str] | None, out: Path, as_json: bool, more: dict[str, Any] | None = None
) -> None:
    """Write the fleet, once its profiles are known to exist, and say what is in it; `more` is for JSON only."""
    from rich.console import Console
    from rich.text import Text

    from adaptwin.plan.fleet import Fleet
    from adaptwin.profile.profile import load_profile
    from adaptwin.report.workload import workload_summary, workload_table
    from adaptwin.workload.workload import Workload

    names = tuple(profiles or ())
    for name in names:
        load_profile(name)
    fields = {name: getattr(workload, name) for name in Workload.model_fields}
    Fleet(**fields, profile=names).write(out)
    if as_json:
        typer.echo(json.dumps({"file": str(out), **workload_summary(workload), **(more or {})}))
    else:
        console = Console()
        console.print(workload_table(workload))
        console.print(Text(f"written to {out}", style="bold"), soft_wrap=True)
