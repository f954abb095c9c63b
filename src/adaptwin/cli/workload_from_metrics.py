"""adaptwin workload from-metrics: a fleet file from the counters of a router, by Prometheus or its own page."""

from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.help import default_note, example_lines
from adaptwin.cli.log_ranks import adapter_ranks
from adaptwin.cli.options import AsJson, SkipBad, SkipUnsupported, time_span
from adaptwin.cli.printing import show, tell
from adaptwin.cli.profile_options import files_of_profiles, profile_sources
from adaptwin.cli.rates_over_time import RatesToWrite, write_recorded_rates
from adaptwin.cli.servers import ApiKey
from adaptwin.cli.workload_options import FleetOut, FleetSeed, Profiles, RankOfOthers
from adaptwin.cli.written_fleet import write_fleet
from adaptwin.errors import SpecError
from adaptwin.writable import require_writable

METRICS_EXAMPLES = example_lines(
    "adaptwin workload from-metrics http://prom:9090 --rank 16 --out fleet.yaml",
    "adaptwin workload from-metrics http://prom:9090 --plan plan.yaml --out f.yaml",
    "adaptwin workload from-metrics http://llm:4000 --over 1h --rank 8 --out f.yaml",
)


def from_metrics(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Address of a Prometheus server, such as http://prometheus:9090, or of a router or vLLM server with a "
            "page of /metrics.",
        ),
    ],
    out: FleetOut,
    since: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            help=f"Prometheus: time up to now that is looked at. {default_note('24h')}",
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            help=f"Prometheus: length of a window; the busiest one gives the rates. {default_note('1h')}",
        ),
    ] = None,
    over: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            help=f"Page of /metrics: time between its two readings, which gives the rates. {default_note('60s')}",
        ),
    ] = None,
    rank: RankOfOthers = None,
    ranks_from: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Ranks by name: CSV with columns name,rank, a fleet file, or a folder of PEFT adapters. "
            + default_note("the ranks of --plan"),
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plan whose ranks count and, where only vLLM's own metrics are there, whose shares are scaled. "
            + default_note("none"),
        ),
    ] = None,
    base_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name of the base model in the metrics, which gets rank 0. May be repeated. "
            + default_note("names of the model of --profile or --plan"),
        ),
    ] = None,
    rates_over_time: RatesToWrite = None,
    skip_bad: SkipBad = False,
    skip_unsupported: SkipUnsupported = False,
    profile: Profiles = None,
    api_key: ApiKey = None,
    seed: FleetSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a fleet with the rates of the busiest window, as a router's counters in Prometheus say.

    Without Prometheus, the router's own page is read twice, and the rates are those of the time between. Counters of
    LiteLLM and Envoy AI Gateway name the adapter. vLLM's own do not: with --plan, its shares are scaled.
    """
    from adaptwin.cli.progress import progress_bar
    from adaptwin.live.connection import api_key_of_environment, server_url
    from adaptwin.live.metering.metered_workload import metered_workload, scaled_workload
    from adaptwin.live.metering.read_traffic import AskedTime, read_metered_traffic
    from adaptwin.plan.plan import Plan
    from adaptwin.report.metering import metered_summary, metered_table
    from adaptwin.workload.sources.logged_adapters import AdapterRanks

    sources = profile_sources(
        profile, None, None, vllm_version=None, sizes=None, quantization=None, kv_cache_dtype=None
    )
    require_writable(
        out, rates_over_time, inputs=[*files_of_profiles(sources), *(path for path in (ranks_from, plan) if path)]
    )
    planned = Plan.read(plan) if plan else None
    bases = [*(base_model or ()), *([planned.base] if planned else [])]
    key = api_key or api_key_of_environment()
    with progress_bar() as progress:
        traffic = read_metered_traffic(server_url(url), AskedTime(since, window, over), api_key=key, progress=progress)
    if rates_over_time and len(traffic.ends) < 2:
        raise SpecError("needs several windows: those of Prometheus", "--rates-over-time")
    if not traffic.meter.knows_adapters:
        if planned is None:
            title = traffic.meter.title
            raise SpecError(f"missing: {title}'s counters name no adapters, so a plan must give the shares", "--plan")
        found = scaled_workload(traffic, planned, seed=seed)
    elif planned and rank is None and ranks_from is None:
        known = {adapter.name: adapter for adapter in planned.workload.adapters}
        found = metered_workload(traffic, AdapterRanks(None, known, bases), seed=seed)
    else:
        ranks = adapter_ranks(rank, ranks_from, bases, sources, skip_bad=skip_bad, skip_unsupported=skip_unsupported)
        found = metered_workload(traffic, ranks, seed=seed)
    for line in found.said:
        tell(line)
    if not as_json:
        show(metered_table(traffic))
    if rates_over_time:
        write_recorded_rates(found.rates, rates_over_time, in_utc=True)
    summary = {"metrics": metered_summary(traffic, found.said)}
    write_fleet(found.workload, sources, out, as_json, summary, rates_over_time=rates_over_time)
