"""adaptwin workload: fleet files from request logs and traces, from PEFT folders, or synthetic."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptwin.cli.help import default_note, example_lines
from adaptwin.cli.inputs import files_of_options
from adaptwin.cli.lengths import InputMean, LengthsOfLog, LengthsOption, OutputMean, lengths_of_options
from adaptwin.cli.log_ranks import adapter_ranks, require_logged
from adaptwin.cli.options import (
    AsJson,
    SkipBad,
    SkipUnsupported,
    out_file,
    share,
    time_span,
    window_seconds,
)
from adaptwin.cli.printing import show, show_json, show_line, tell
from adaptwin.cli.profile_options import (
    GpuNames,
    GroupSizes,
    KvCacheDtype,
    ModelName,
    QuantizationMethod,
    VllmVersion,
    complete_profile,
    files_of_profiles,
    profile_sources,
)
from adaptwin.workload.sources.arrival_pattern import MOST_TIMESTAMPS, Keep
from adaptwin.workload.sources.popularity import POPULARITIES
from adaptwin.workload.sources.request_log.columns import TimeUnit
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adaptwin.profile.profile_source import ProfileSource
    from adaptwin.workload.lora_support import ServedModel
    from adaptwin.workload.workload import Workload

TRACE_EXAMPLES = example_lines(
    "adaptwin workload from-trace azure.csv --adapters 99 --ranks 8 --out f.yaml",
    "adaptwin workload from-trace t.csv --adapters 9 --ranks 8,16 --out f.yaml",
)
LOG_EXAMPLES = example_lines(
    "adaptwin workload from-log log.jsonl --rank 16 --base-model llama --out f.yaml",
    "adaptwin workload from-log logs/ --ranks-from adapters/ --out fleet.yaml",
)
SYNTH_EXAMPLES = example_lines(
    "adaptwin workload synth --adapters 200 --rate 40 --ranks 8,16,32 --out f.yaml",
)
PEFT_EXAMPLES = example_lines(
    "adaptwin workload from-peft adapters/ --rate 0.1 --out fleet.yaml",
    "adaptwin workload from-peft runs/ --rates rates.csv --check --out fleet.yaml",
)

DETECTED = default_note("found by its name")

workload_commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Make a fleet file from a log, a trace or PEFT folders, or a synthetic one.",
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


@workload_commands.command(epilog=TRACE_EXAMPLES)
def from_trace(
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE",
            help="Requests with times and lengths: CSV or JSON lines, such as the traces of Azure, Mooncake and "
            "BurstGPT; .gz and .zst are unpacked.",
        ),
    ],
    adapters: AdapterCount,
    ranks: Ranks,
    out: FleetOut,
    popularity: Popularity = "dirichlet:0.5",
    base_share: BaseShare = 0.0,
    busiest: Busiest = None,
    first_part: FirstPart = None,
    rate_scale: RateScale = 1.0,
    keep: Keeping = None,
    time_unit: TimeUnits = None,
    profile: Profiles = None,
    gpu: GpuNames = None,
    model: ModelName = None,
    vllm_version: VllmVersion = None,
    tensor_parallel_size: GroupSizes = None,
    quantization: QuantizationMethod = None,
    kv_cache_dtype: KvCacheDtype = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a fleet with the arrivals and lengths of a request trace's busiest hour, distributed over adapters."""
    from adaptwin.profile.profile_source import profile_from
    from adaptwin.report.trace import ignored_models, trace_summary, trace_table, trace_warnings
    from adaptwin.workload.sources.recorded_window import WINDOW_SECONDS
    from adaptwin.workload.sources.synthetic import parse_ranks
    from adaptwin.workload.sources.traces import trace_window

    rates_file = out.with_suffix(".rates.csv")
    sources = profile_sources(
        profile,
        gpu,
        model,
        vllm_version=vllm_version,
        sizes=tensor_parallel_size,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
    )
    inputs = [trace, *files_of_profiles(sources)]
    require_writable(out, inputs=inputs)
    require_distinct(out, rates_file, inputs=inputs)
    for source in sources:
        profile_from(source)
    rank_mix = parse_ranks(ranks)
    window = trace_window(
        trace,
        first_part=1.0 if first_part is None else first_part,
        busiest=WINDOW_SECONDS if busiest is None else busiest,
        time_unit=time_unit,
    )
    workload = window.workload(
        adapters=adapters,
        ranks=rank_mix,
        popularity=popularity,
        base_share=base_share,
        rate_scale=rate_scale,
        keep=keep,
        rates_file=rates_file,
        seed=seed,
    )
    for warning in (*trace_warnings(window.figures), *ignored_models(window.log)):
        tell(f"warning: {warning}")
    if not as_json:
        show(trace_table(window.figures, popularity, window.log.left_out))
    summary = {**trace_summary(window.figures), "rows_left_out": window.log.left_out}
    _write(workload, sources, out, as_json, {"trace": summary})


@workload_commands.command(epilog=LOG_EXAMPLES)
def from_log(
    logs: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG...",
            help="Files or folders with a request per row that names its model: CSV, TSV, JSON lines, a JSON list, "
            "Parquet, or the log of vLLM; .gz and .zst are unpacked.",
        ),
    ],
    out: FleetOut,
    rank: Annotated[
        int | None, typer.Option(metavar="RANK", help="Rank of all adapters that --ranks-from does not list.")
    ] = None,
    ranks_from: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Ranks by name: CSV with columns name,rank, a fleet file, or a folder of PEFT adapters. Without "
            "--rank, requests for other names are left out.",
        ),
    ] = None,
    skip_bad: SkipBad = False,
    skip_unsupported: SkipUnsupported = False,
    base_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name of the base model in the log, which gets rank 0. May be repeated. "
            + default_note("names of the model of --profile"),
        ),
    ] = None,
    adapter_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column with the adapter. " + DETECTED)
    ] = None,
    time_column: Annotated[str | None, typer.Option(metavar="NAME", help="Column with the time. " + DETECTED)] = None,
    input_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column with the prompt tokens. " + DETECTED)
    ] = None,
    output_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column with the answer tokens. " + DETECTED)
    ] = None,
    time_unit: TimeUnits = None,
    lengths: LengthsOfLog = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    busiest: Busiest = None,
    first_part: FirstPart = None,
    rate_scale: RateScale = 1.0,
    keep: Keeping = None,
    profile: Profiles = None,
    gpu: GpuNames = None,
    model: ModelName = None,
    vllm_version: VllmVersion = None,
    tensor_parallel_size: GroupSizes = None,
    quantization: QuantizationMethod = None,
    kv_cache_dtype: KvCacheDtype = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a fleet of the adapters that a log names, with the arrivals and lengths of its busiest hour."""
    from adaptwin.report.log import log_summary, log_table, lost_bursts, top_table
    from adaptwin.report.trace import trace_warnings
    from adaptwin.workload.sources.logged_adapters import log_window
    from adaptwin.workload.sources.recorded_window import WINDOW_SECONDS
    from adaptwin.workload.sources.request_log.request_log import LogColumns, read_request_log

    rates_file = out.with_suffix(".rates.csv")
    sources = profile_sources(
        profile,
        gpu,
        model,
        vllm_version=vllm_version,
        sizes=tensor_parallel_size,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
    )
    inputs = [*logs, *files_of_profiles(sources), *files_of_options(lengths), *([ranks_from] if ranks_from else [])]
    require_writable(out, inputs=inputs)
    require_distinct(out, rates_file, inputs=inputs)
    ranks = adapter_ranks(rank, ranks_from, base_model, sources, skip_bad=skip_bad, skip_unsupported=skip_unsupported)
    given_lengths = lengths_of_options(lengths, input_mean, output_mean)
    log = read_request_log(
        logs,
        columns=LogColumns(time_column, input_column, output_column, adapter_column),
        time_unit=time_unit,
        lengths_needed=given_lengths is None,
    )
    require_logged(base_model or (), log.names)
    if not ranks.base_models and rank is not None:
        tell("warning: no base model is known (--profile or --base-model): all models in the log count as adapters")
    window = log_window(
        log,
        ranks,
        lengths=given_lengths,
        first_part=1.0 if first_part is None else first_part,
        busiest=WINDOW_SECONDS if busiest is None else busiest,
    )
    workload = window.workload(rate_scale=rate_scale, keep=keep, rates_file=rates_file, seed=seed)
    lost = lost_bursts(window, keep, round(rate_scale * window.figures.kept))
    for warning in (*trace_warnings(window.figures), *lost):
        tell(f"warning: {warning}")
    if not as_json:
        show(log_table(window), top_table(window))
    _write(workload, sources, out, as_json, {"log": log_summary(window)})


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
    gpu: GpuNames = None,
    model: ModelName = None,
    vllm_version: VllmVersion = None,
    tensor_parallel_size: GroupSizes = None,
    quantization: QuantizationMethod = None,
    kv_cache_dtype: KvCacheDtype = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a synthetic fleet: a total rate, distributed over adapters."""
    from adaptwin.workload.lengths import ASSUMED_LENGTHS
    from adaptwin.workload.sources.synthetic import parse_ranks, synthesize

    sources = profile_sources(
        profile,
        gpu,
        model,
        vllm_version=vllm_version,
        sizes=tensor_parallel_size,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
    )
    require_writable(out, inputs=[*files_of_profiles(sources), *files_of_options(arrivals, lengths)])
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
    _write(workload, sources, out, as_json)


@workload_commands.command(epilog=PEFT_EXAMPLES)
def from_peft(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Folders of adapters, trainer runs or caches of the Hugging Face hub; or files adapter_config.json.",
        ),
    ],
    out: FleetOut,
    rate: Annotated[float | None, typer.Option(metavar="RATE", help="Requests per second of each adapter.")] = None,
    rates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV with columns name,rate; takes precedence over --rate.")
    ] = None,
    checkpoint: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="STEP",
            help="Take the folder checkpoint-STEP of every trainer run. "
            + default_note("the final adapter, or else the newest checkpoint"),
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Look at the weights too: whether they are there and whole, and fit adapter_config.json and the model "
            "of the profile.",
        ),
    ] = False,
    skip_bad: SkipBad = False,
    skip_unsupported: SkipUnsupported = False,
    lengths: LengthsOption = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    arrivals: FleetArrivals = "poisson",
    duration: Duration = 3600.0,
    profile: Profiles = None,
    gpu: GpuNames = None,
    model: ModelName = None,
    vllm_version: VllmVersion = None,
    tensor_parallel_size: GroupSizes = None,
    quantization: QuantizationMethod = None,
    kv_cache_dtype: KvCacheDtype = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a fleet of the adapters whose adapter_config.json files are in folders or below them."""
    from adaptwin.cli.servable import list_left_out, list_warnings
    from adaptwin.report.peft import peft_summary, peft_table
    from adaptwin.workload.lengths import ASSUMED_LENGTHS
    from adaptwin.workload.sources.adapters_csv import read_adapter_rates
    from adaptwin.workload.sources.peft import read_peft_folder
    from adaptwin.workload.workload import Workload

    configs = (file for folder in folders for file in folder.rglob("*.json"))
    sources = profile_sources(
        profile,
        gpu,
        model,
        vllm_version=vllm_version,
        sizes=tensor_parallel_size,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
    )
    named = [*files_of_profiles(sources), *files_of_options(arrivals, lengths)]
    require_writable(out, inputs=chain(named, [rates] if rates else [], configs))
    found = read_peft_folder(
        *folders,
        rate=rate,
        rates=read_adapter_rates(rates) if rates else None,
        served=_served_on(sources),
        checkpoint=checkpoint,
        check=check,
        skip_bad=skip_bad,
        skip_unsupported=skip_unsupported,
    )
    list_left_out(found.bad)
    list_left_out(found.skipped)
    list_warnings(found.warnings)
    workload = Workload(
        adapters=found.adapters,
        lengths=lengths_of_options(lengths, input_mean, output_mean) or ASSUMED_LENGTHS,
        arrivals=_from_anywhere(arrivals),
        duration=duration,
        seed=seed,
    )
    if not as_json:
        show(peft_table(found))
    _write(workload, sources, out, as_json, {"peft": peft_summary(found)})


def _served_on(sources: "Sequence[ProfileSource]") -> "list[ServedModel]":
    """The base models of the profiles, each with its version of vLLM."""
    from adaptwin.plan.served_adapters import served_models
    from adaptwin.profile.profile_source import profile_from

    return served_models([profile_from(source) for source in sources])


def _from_anywhere(arrivals: str) -> str:
    """Arrivals that mean the same wherever the fleet lies, which reads relative paths from its own folder."""
    from adaptwin.workload.arrivals import with_absolute_path

    return with_absolute_path(arrivals, Path())


def _write(
    workload: "Workload",
    sources: "Sequence[ProfileSource]",
    out: Path,
    as_json: bool,
    more: dict[str, Any] | None = None,
) -> None:
    """Write the fleet, once its profiles are known to exist, and say what is in it; `more` is for JSON only."""
    from adaptwin.plan.fleet import Fleet
    from adaptwin.profile.profile_source import profile_from, source_beside
    from adaptwin.report.workload import workload_summary, workload_table
    from adaptwin.vllm_versions import oldest
    from adaptwin.workload.arrivals import with_path_beside
    from adaptwin.workload.workload import Workload

    versions = [profile_from(source).vllm_version for source in sources]
    vllm_version = oldest(versions) if versions else None
    fields = {name: getattr(workload, name) for name in Workload.model_fields}
    fleet = Fleet(**fields, profile=tuple(source_beside(source, out.parent) for source in sources))
    if isinstance(fleet.arrivals, str):  # so that fleet and rates can be moved together
        fleet = fleet.model_copy(update={"arrivals": with_path_beside(fleet.arrivals, out.parent)})
    fleet.write(out)
    if as_json:
        show_json({"file": str(out), **workload_summary(workload, vllm_version), **(more or {})}, indent=None)
    else:
        show(workload_table(workload, vllm_version))
        rates_file = out.with_suffix(".rates.csv")
        is_written = workload.arrivals == f"rates:{rates_file.resolve()}"
        show_line(f"written to {out}{f' and {rates_file}, which belong together' if is_written else ''}")
