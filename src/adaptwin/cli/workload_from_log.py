"""adaptwin workload from-log: a fleet file from a log of requests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note, example_lines
from adaptwin.cli.inputs import files_of_options
from adaptwin.cli.lengths import InputMean, LengthsOfLog, OutputMean, lengths_of_options
from adaptwin.cli.log_ranks import adapter_ranks, require_logged
from adaptwin.cli.options import (
    AsJson,
    SkipBad,
    SkipUnsupported,
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
    DETECTED,
    Busiest,
    FirstPart,
    FleetOut,
    FleetSeed,
    Keeping,
    Profiles,
    RankOfOthers,
    RateScale,
    TimeUnits,
)
from adaptwin.cli.written_fleet import write_fleet
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    pass

LOG_EXAMPLES = example_lines(
    "adaptwin workload from-log log.jsonl --rank 16 --base-model llama --out f.yaml",
    "adaptwin workload from-log logs/ --ranks-from adapters/ --out fleet.yaml",
)


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
    rank: RankOfOthers = None,
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
    prompt_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column with the texts of prompts, or their messages, from which is seen which prompts begin alike; "
            f"only hashes of the texts are kept, in memory. {default_note('none')}",
        ),
    ] = None,
    time_unit: TimeUnits = None,
    lengths: LengthsOfLog = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    busiest: Busiest = None,
    first_part: FirstPart = None,
    rate_scale: RateScale = 1.0,
    keep: Keeping = None,
    rates_over_time: RatesToWrite = None,
    period: PeriodToWrite = None,
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
    from adaptwin.report.trace import lost_prefixes, trace_warnings
    from adaptwin.workload.rates_over_time import HOUR
    from adaptwin.workload.sources.conversations import shared_in_trace
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
    require_period_of_rates(rates_over_time, period)
    require_writable(out, rates_over_time, inputs=inputs)
    require_distinct(out, rates_over_time, rates_file, inputs=inputs)
    ranks = adapter_ranks(rank, ranks_from, base_model, sources, skip_bad=skip_bad, skip_unsupported=skip_unsupported)
    given_lengths = lengths_of_options(lengths, input_mean, output_mean)
    log = read_request_log(
        logs,
        columns=LogColumns(time_column, input_column, output_column, adapter_column, prompt_column),
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
    shared = shared_in_trace(window.recording, workload)
    for warning in (*trace_warnings(window.figures), *lost, *lost_prefixes(shared)):
        tell(f"warning: {warning}")
    if not as_json:
        show(log_table(window, shared), top_table(window))
    if rates_over_time:
        rates = window.rates_over_time(period=period or HOUR, rate_scale=rate_scale)
        write_recorded_rates(rates, rates_over_time, in_utc=log.start is not None)
    write_fleet(workload, sources, out, as_json, {"log": log_summary(window)}, rates_over_time=rates_over_time)
