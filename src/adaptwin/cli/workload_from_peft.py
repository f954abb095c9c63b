"""adaptwin workload from-peft: a fleet file from folders of LoRA weights."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note, example_lines
from adaptwin.cli.inputs import files_of_options
from adaptwin.cli.lengths import InputMean, LengthsOption, OutputMean, lengths_of_options
from adaptwin.cli.options import (
    AsJson,
    SkipBad,
    SkipUnsupported,
)
from adaptwin.cli.printing import show
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
from adaptwin.cli.workload_options import (
    Duration,
    FleetArrivals,
    FleetOut,
    FleetSeed,
    Profiles,
)
from adaptwin.cli.written_fleet import from_anywhere, write_fleet
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adaptwin.profile.profile_source import ProfileSource
    from adaptwin.workload.lora_support import ServedModel

PEFT_EXAMPLES = example_lines(
    "adaptwin workload from-peft adapters/ --rate 0.1 --out fleet.yaml",
    "adaptwin workload from-peft runs/ --rates rates.csv --check --out fleet.yaml",
)


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
        arrivals=from_anywhere(arrivals),
        duration=duration,
        seed=seed,
    )
    if not as_json:
        show(peft_table(found))
    write_fleet(workload, sources, out, as_json, {"peft": peft_summary(found)})


def _served_on(sources: "Sequence[ProfileSource]") -> "list[ServedModel]":
    """The base models of the profiles, each with its version of vLLM."""
    from adaptwin.plan.served_adapters import served_models
    from adaptwin.profile.profile_source import profile_from

    return served_models([profile_from(source) for source in sources])
