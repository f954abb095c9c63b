"""adaptwin simulate: one server under a fleet's traffic -> Run."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.inputs import files_of_fleet, files_of_options
from adaptwin.cli.lengths import InputMean, LengthsOption, OutputMean, lengths_of_options, with_lengths
from adaptwin.cli.options import (
    AsJson,
    FleetFile,
    OutFile,
    Seed,
    SkipUnsupported,
    described,
    share,
    time_from_zero,
    time_span,
)
from adaptwin.cli.printing import show, show_json
from adaptwin.cli.profile_options import (
    GpuNames,
    GroupSizes,
    KvCacheDtype,
    ModelName,
    ProfileNames,
    QuantizationMethod,
    VllmVersion,
    files_of_profiles,
    profile_sources,
)
from adaptwin.cli.rates_over_time import tell_rates_unused
from adaptwin.errors import OutOfMemory
from adaptwin.twin.server import Server, server_rank
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    from adaptwin.plan.fleet import Fleet
    from adaptwin.profile.profile import Profile


def setting(field: str, default: str, least: int = 1) -> Any:
    """Return the option for one of vLLM's settings, described as in `Server`."""
    return typer.Option(
        min=least,
        metavar="N",
        rich_help_panel="vLLM's settings",
        help=described(Server, field, f"the fleet's, or {default}"),
    )


def simulate_command(
    fleet: FleetFile,
    profile: ProfileNames = None,
    gpu: GpuNames = None,
    model: ModelName = None,
    vllm_version: VllmVersion = None,
    tensor_parallel_size: GroupSizes = None,
    quantization: QuantizationMethod = None,
    kv_cache_dtype: KvCacheDtype = None,
    out: OutFile = None,
    as_json: AsJson = False,
    max_loras: Annotated[int | None, setting("max_loras", "1", least=0)] = None,
    max_lora_rank: Annotated[int | None, setting("max_lora_rank", "the highest rank in the fleet")] = None,
    max_cpu_loras: Annotated[int | None, setting("max_cpu_loras", "max_loras", least=0)] = None,
    max_num_seqs: Annotated[int | None, setting("max_num_seqs", "vLLM's for the GPU")] = None,
    max_num_batched_tokens: Annotated[int | None, setting("max_num_batched_tokens", "vLLM's for the GPU")] = None,
    max_model_len: Annotated[int | None, setting("max_model_len", "the model's")] = None,
    gpu_memory_utilization: Annotated[
        float | None,
        typer.Option(
            parser=share,
            metavar="SHARE",
            rich_help_panel="vLLM's settings",
            help=described(Server, "gpu_memory_utilization", "the fleet's, or vLLM's"),
        ),
    ] = None,
    enable_prefix_caching: Annotated[
        bool | None,
        typer.Option(
            "--enable-prefix-caching/--no-enable-prefix-caching",
            rich_help_panel="vLLM's settings",
            help=described(Server, "enable_prefix_caching", "the fleet's, or on from vLLM 0.8 on"),
        ),
    ] = None,
    merged: Annotated[
        bool | None,
        typer.Option(
            "--merged",
            rich_help_panel="vLLM's settings",
            help=f"{described(Server, 'merged')} {default_note('the setting of the fleet')}",
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            rich_help_panel="Run",
            help=f"Time of traffic, such as 90s or 1h. {default_note('the duration of the fleet')}",
        ),
    ] = None,
    warmup: Annotated[
        float,
        typer.Option(
            parser=time_from_zero,
            metavar="TIME",
            rich_help_panel="Run",
            help="Time at the start that rates, latencies, time averages and verdicts leave out.",
        ),
    ] = 0.0,
    window: Annotated[
        Literal["cut", "drain"],
        typer.Option(
            rich_help_panel="Run",
            help="End of the run: cut stops it with the last arrival, drain lets all requests finish.",
        ),
    ] = "cut",
    max_in_flight: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel="Run",
            help=f"Number of requests that the client keeps open at most. {default_note('no limit')}",
        ),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel="Run",
            help="Number of runs with successive seeds, for confidence intervals.",
        ),
    ] = 1,
    record: Annotated[
        bool, typer.Option("--record", rich_help_panel="Run", help="Keep a time series, one row per second.")
    ] = False,
    lengths: LengthsOption = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    skip_unsupported: SkipUnsupported = False,
    seed: Seed = None,
) -> None:
    """Simulate one vLLM server that serves the whole fleet.

    The first profile is used. Exit code 2: the server would not start with these settings.
    """
    from adaptwin.cli.late_timestamps import warn_of_late_timestamps
    from adaptwin.cli.progress import progress_bar
    from adaptwin.cli.servable import servable
    from adaptwin.plan.fleet import fleet_profiles, read_fleet
    from adaptwin.report.run import run_table
    from adaptwin.twin.compilation import compile_twin
    from adaptwin.twin.simulate import simulate

    sources = profile_sources(
        profile,
        gpu,
        model,
        vllm_version=vllm_version,
        sizes=tensor_parallel_size,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
    )
    if profile and gpu:
        raise typer.BadParameter("--gpu does not go with --profile: one server is simulated")
    require_writable(out, inputs=[fleet, *files_of_profiles(sources), *files_of_options(lengths)])
    fleet_read = with_lengths(read_fleet(fleet), lengths_of_options(lengths, input_mean, output_mean))
    require_distinct(out, inputs=files_of_fleet(fleet_read, fleet))
    tell_rates_unused(fleet_read)
    profiles = fleet_profiles(fleet_read, fleet, sources)
    fleet_read = servable(fleet_read, profiles[:1], fleet, skip_unsupported)
    server = _server(
        fleet_read,
        profiles[0],
        max_loras=max_loras,
        max_lora_rank=max_lora_rank,
        max_cpu_loras=max_cpu_loras,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        enable_prefix_caching=enable_prefix_caching,
        max_model_len=max_model_len,
        gpu_memory_utilization=gpu_memory_utilization,
        merged=merged,
    )
    workload = fleet_read.workload.model_copy(update={"duration": duration or fleet_read.duration})
    warn_of_late_timestamps(workload)
    with progress_bar() as progress:
        compile_twin(progress)
    try:
        run = simulate(
            profiles[0],
            server,
            workload,
            seed=seed,
            repeats=repeats,
            window=window,
            warmup=warmup,
            max_in_flight=max_in_flight,
            record=record,
        )
    except OutOfMemory as error:
        raise OutOfMemory(f"{fleet}: {error}") from None
    if out:
        run.write(out)
    if as_json:
        show_json(run.to_json())
    else:
        show(run_table(run))


def _server(fleet: "Fleet", profile: "Profile", **settings: float | None) -> Server:
    """The fleet's server with the settings given on the command line, without slots if weights are merged there."""
    given = {name: value for name, value in settings.items() if value is not None}
    if given.get("merged"):
        given.setdefault("max_loras", 0)
        given.setdefault("max_cpu_loras", given["max_loras"])
    if "max_lora_rank" not in {*given, *fleet.server.model_fields_set}:
        given["max_lora_rank"] = server_rank(fleet.max_rank, profile)
    return Server(**{**fleet.server.model_dump(), **given})
