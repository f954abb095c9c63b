"""adaptwin simulate: one server under a fleet's traffic -> Run."""

from typing import Annotated, Literal

import typer
from rich.console import Console

from adaptwin.cli.options import AsJson, FleetFile, OutFile, ProfileNames, Seed
from adaptwin.errors import OutOfMemory
from adaptwin.placement.fleet import Fleet, fleet_profiles, read_fleet
from adaptwin.report.run import run_table
from adaptwin.spec import require_writable
from adaptwin.twin.server import Server, server_rank
from adaptwin.twin.simulate import simulate

Knob = Annotated[int | None, typer.Option(min=1, rich_help_panel="vLLM's settings")]
Slots = Annotated[int | None, typer.Option(min=0, rich_help_panel="vLLM's settings")]


def simulate_command(
    fleet: FleetFile,
    profile: ProfileNames = None,
    max_loras: Slots = None,
    max_lora_rank: Knob = None,
    max_cpu_loras: Slots = None,
    max_num_seqs: Knob = None,
    max_num_batched_tokens: Knob = None,
    max_model_len: Knob = None,
    gpu_memory_utilization: Annotated[float | None, typer.Option(rich_help_panel="vLLM's settings")] = None,
    duration: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds of traffic; by default the fleet's.")
    ] = None,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds at the start left out of every figure.")] = 0.0,
    window: Annotated[
        Literal["cut", "drain"], typer.Option(help="Stop at the end, or let all requests finish.")
    ] = "cut",
    max_in_flight: Annotated[int | None, typer.Option(min=1, help="Requests the client can have open.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs with seeds that follow, for confidence intervals.")] = 1,
    record: Annotated[bool, typer.Option("--record", help="Keep a time series, one row per second.")] = False,
    seed: Seed = None,
    out: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Simulate one vLLM server that serves the whole fleet.

    Settings not given are the fleet's, or else vLLM's own defaults; max_lora_rank is then the fleet's highest rank.
    """
    require_writable(out)
    described = read_fleet(fleet)
    profiles = fleet_profiles(described, fleet, profile)
    server = _server(
        described,
        max_loras=max_loras,
        max_lora_rank=max_lora_rank,
        max_cpu_loras=max_cpu_loras,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        max_model_len=max_model_len,
        gpu_memory_utilization=gpu_memory_utilization,
    )
    workload = described.workload.model_copy(update={"duration": duration or described.duration})
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
        print(run.to_json())
    else:
        Console().print(run_table(run))


def _server(fleet: Fleet, **settings: float | None) -> Server:
    """The fleet's server with the settings given on the command line."""
    given = {name: value for name, value in settings.items() if value is not None}
    if "max_lora_rank" not in {*given, *fleet.server.model_fields_set}:
        given["max_lora_rank"] = server_rank(fleet.max_rank)
    return Server(**{**fleet.server.model_dump(), **given})
