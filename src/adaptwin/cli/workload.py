"""adaptwin workload: fleet files from request traces, from PEFT folders, or synthetic."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from adaptwin.cli.options import AsJson
from adaptwin.errors import SpecError
from adaptwin.plan.fleet import Fleet
from adaptwin.profile.profile import load_profile
from adaptwin.report.workload import workload_summary, workload_table
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.sources.adapters_csv import lengths_of_means, read_adapter_rates
from adaptwin.workload.sources.peft import adapters_from_peft
from adaptwin.workload.sources.popularity import POPULARITIES
from adaptwin.workload.sources.synthetic import SHAREGPT, parse_ranks, synthesize
from adaptwin.workload.sources.traces import workload_from_trace
from adaptwin.workload.workload import Workload

workload_commands = typer.Typer(
    no_args_is_help=True, help="Make a fleet file: from a trace, from PEFT folders, or synthetic."
)

AdapterCount = Annotated[int, typer.Option(help="Number of adapters.")]
Ranks = Annotated[str, typer.Option(help="LoRA ranks in turn (8,16,32) or by weight (8:0.6,16:0.3,32:0.1).")]
Popularity = Annotated[str, typer.Option(help=f"How the traffic is shared among the adapters: {POPULARITIES}.")]
BaseShare = Annotated[float, typer.Option(help="Share of the traffic that goes to the base model.")]
FleetArrivals = Annotated[
    str,
    typer.Option(
        help="Arrivals: poisson, gamma:cv=3, regimes:period=300,factor=1.5 or rates:FILE (CSV of start,factor)."
    ),
]
NamedLengths = Annotated[
    str | None,
    typer.Option("--lengths", help="A published distribution of lengths.", show_default="sharegpt"),
]
InputMean = Annotated[
    float | None,
    typer.Option(help="Mean prompt tokens (lognormal, together with --output-mean; instead of --lengths)."),
]
OutputMean = Annotated[
    float | None, typer.Option(help="Mean answer tokens (lognormal, together with --input-mean; instead of --lengths).")
]
Duration = Annotated[float, typer.Option(help="Seconds of traffic the fleet stands for.")]
Profiles = Annotated[
    list[str] | None,
    typer.Option("--profile", help="Profile to plan for, a shipped name or a file; may be given several times."),
]
FleetSeed = Annotated[int, typer.Option(help="Seed of every random choice; it is stored in the fleet.")]
FleetOut = Annotated[Path, typer.Option(help="Fleet file to write (YAML).")]


@workload_commands.command()
def from_trace(
    trace: Annotated[Path, typer.Argument(help="CSV of requests: Azure's columns, or Mooncake's.")],
    adapters: AdapterCount,
    ranks: Ranks,
    out: FleetOut,
    popularity: Popularity = "dirichlet:0.5",
    base_share: BaseShare = 0.0,
    first_part: Annotated[float, typer.Option(help="Share of the trace's time to take rates from.")] = 0.5,
    rate_scale: Annotated[float, typer.Option(help="Factor on every rate.")] = 1.0,
    duration: Duration = 3600.0,
    profile: Profiles = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Rates and lengths from the first part of a request trace, shared among adapters."""
    workload = workload_from_trace(
        trace,
        adapters=adapters,
        ranks=parse_ranks(ranks),
        popularity=popularity,
        base_share=base_share,
        first_part=first_part,
        duration=duration,
        rate_scale=rate_scale,
        seed=seed,
    )
    _write(workload, profile, out, as_json)


@workload_commands.command()
def synth(
    adapters: AdapterCount,
    rate: Annotated[float, typer.Option(help="Requests per second of all adapters together.")],
    ranks: Ranks,
    out: FleetOut,
    popularity: Popularity = "dirichlet:0.5",
    lengths: NamedLengths = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    arrivals: FleetArrivals = "poisson",
    base_share: BaseShare = 0.0,
    duration: Duration = 3600.0,
    profile: Profiles = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """A synthetic fleet: a total rate, shared among adapters."""
    workload = synthesize(
        adapters=adapters,
        rate=rate,
        ranks=parse_ranks(ranks),
        popularity=popularity,
        lengths=_lengths_of_options(lengths, input_mean, output_mean),
        arrivals=_from_anywhere(arrivals),
        base_share=base_share,
        duration=duration,
        seed=seed,
    )
    _write(workload, profile, out, as_json)


@workload_commands.command()
def from_peft(
    folder: Annotated[Path, typer.Argument(help="Folder with adapters in it or in its sub-folders.")],
    out: FleetOut,
    rate: Annotated[float | None, typer.Option(help="Requests per second of each adapter.")] = None,
    rates: Annotated[
        Path | None, typer.Option(help="CSV with columns name,rate; takes precedence over --rate.")
    ] = None,
    lengths: NamedLengths = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    arrivals: FleetArrivals = "poisson",
    duration: Duration = 3600.0,
    profile: Profiles = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Adapters from the adapter_config.json files in a folder."""
    rate_of = read_adapter_rates(rates) if rates else None
    workload = Workload(
        adapters=adapters_from_peft(folder, rate=rate, rates=rate_of),
        lengths=_lengths_of_options(lengths, input_mean, output_mean),
        arrivals=_from_anywhere(arrivals),
        duration=duration,
        seed=seed,
    )
    _write(workload, profile, out, as_json)


def _lengths_of_options(name: str | None, input_mean: float | None, output_mean: float | None) -> Lengths:
    """The named distribution, or the one with these means."""
    if input_mean is None and output_mean is None:
        return Lengths.named(name) if name else SHAREGPT
    if input_mean is None or output_mean is None:
        raise SpecError("give both or neither", "--input-mean, --output-mean")
    if name:
        raise SpecError("give a named distribution or its means, not both", "--lengths, --input-mean, --output-mean")
    return lengths_of_means(input_mean, output_mean)


def _from_anywhere(arrivals: str) -> str:
    """Arrivals that mean the same wherever the fleet lies, which reads relative paths from its own folder."""
    family, _, file = arrivals.partition(":")
    return f"rates:{Path(file).resolve()}" if family == "rates" else arrivals


def _write(workload: Workload, profiles: list[str] | None, out: Path, as_json: bool) -> None:
    """Write the fleet, once its profiles are known to exist, and say what is in it."""
    names = tuple(profiles or ())
    for name in names:
        load_profile(name)
    fields = {name: getattr(workload, name) for name in Workload.model_fields}
    Fleet(**fields, profile=names).write(out)
    if as_json:
        typer.echo(json.dumps({"file": str(out), **workload_summary(workload)}))
    else:
        console = Console()
        console.print(workload_table(workload))
        console.print(Text(f"written to {out}", style="bold"), soft_wrap=True)
