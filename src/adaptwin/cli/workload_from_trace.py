"""adaptwin workload from-trace: a fleet file from a trace of requests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import example_lines
from adaptwin.cli.options import (
    AsJson,
)
from adaptwin.cli.printing import show, tell
from adaptwin.cli.profile_options import (
    GpuNames,
    GroupSizes,
    KvCacheDtype,
    ModelName,
    QuantizationMethod,
    VllmVersion,
    files_of_profiles,
    profile_sources,
)
from adaptwin.cli.rates_over_time import (
    PeriodToWrite,
    RatesToWrite,
    require_period_of_rates,
    write_recorded_rates,
)
from adaptwin.cli.workload_options import (
    AdapterCount,
    BaseShare,
    Busiest,
    FirstPart,
    FleetOut,
    FleetSeed,
    Keeping,
    Popularity,
    Profiles,
    Ranks,
    RateScale,
    TimeUnits,
)
from adaptwin.cli.written_fleet import write_fleet
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    pass

TRACE_EXAMPLES = example_lines(
    "adaptwin workload from-trace azure.csv --adapters 99 --ranks 8 --out f.yaml",
    "adaptwin workload from-trace t.csv --adapters 9 --ranks 8,16 --out f.yaml",
)


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
    rates_over_time: RatesToWrite = None,
    period: PeriodToWrite = None,
    time_unit: TimeUnits = None,
    prefixes: Annotated[
        bool,
        typer.Option(
            "--prefixes/--no-prefixes",
            help="Keep which prompts begin alike, where the trace has hashes of their blocks (hash_ids).",
        ),
    ] = True,
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
    from adaptwin.report.trace import ignored_models, lost_prefixes, trace_summary, trace_table, trace_warnings
    from adaptwin.workload.rates_over_time import HOUR
    from adaptwin.workload.sources.conversations import shared_in_trace
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
    require_period_of_rates(rates_over_time, period)
    require_writable(out, rates_over_time, inputs=inputs)
    require_distinct(out, rates_over_time, rates_file, inputs=inputs)
    for source in sources:
        profile_from(source)
    rank_mix = parse_ranks(ranks)
    window = trace_window(
        trace,
        first_part=1.0 if first_part is None else first_part,
        busiest=WINDOW_SECONDS if busiest is None else busiest,
        time_unit=time_unit,
        prefixes=prefixes,
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
    shared = shared_in_trace(window.recording, workload)
    for warning in (*trace_warnings(window.figures), *ignored_models(window.log), *lost_prefixes(shared)):
        tell(f"warning: {warning}")
    if not as_json:
        show(trace_table(window.figures, popularity, window.log.left_out, shared))
    summary = {
        **trace_summary(window.figures),
        "rows_left_out": window.log.left_out,
        **({"prefixes": shared._asdict()} if shared else {}),
    }
    if rates_over_time:
        rates = window.rates_over_time(workload.adapters, period=period or HOUR, rate_scale=rate_scale)
        write_recorded_rates(rates, rates_over_time, in_utc=window.log.start is not None)
    write_fleet(workload, sources, out, as_json, {"trace": summary}, rates_over_time=rates_over_time)
