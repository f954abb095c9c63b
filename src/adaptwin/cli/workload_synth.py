"""adaptwin workload synth: a synthetic fleet file."""

from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note, example_lines
from adaptwin.cli.inputs import files_of_options
from adaptwin.cli.lengths import InputMean, LengthsOption, OutputMean, lengths_of_options
from adaptwin.cli.options import AsJson, time_span
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
    AdapterCount,
    BaseShare,
    Duration,
    FleetArrivals,
    FleetOut,
    FleetSeed,
    Popularity,
    Profiles,
    Ranks,
)
from adaptwin.cli.written_fleet import from_anywhere, write_fleet
from adaptwin.errors import SpecError
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    pass

SYNTH_EXAMPLES = example_lines(
    "adaptwin workload synth --adapters 200 --rate 40 --ranks 8,16,32 --out f.yaml",
)


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
    system_prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOKENS[:SHARE]",
            help="Tokens of their lengths with which the prompts of each adapter begin alike, all or a share of them; "
            f"repeatable for several templates. {default_note('none')}",
        ),
    ] = None,
    turns: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Mean turns of a conversation; each sends all that was said before. "
            f"{default_note('no conversations')}",
        ),
    ] = None,
    think: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            help=f"Mean time from one turn to the next, such as 60s; needs --turns. {default_note('none')}",
        ),
    ] = None,
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
    from adaptwin.workload.sources.turns import ConversationTurns
    from adaptwin.workload.templates import parse_template

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
    if (turns is None) != (think is None):
        raise SpecError("conversations need both --turns and --think", "turns" if turns is None else "think")
    workload = synthesize(
        adapters=adapters,
        rate=rate,
        ranks=parse_ranks(ranks),
        popularity=popularity,
        lengths=lengths_of_options(lengths, input_mean, output_mean) or ASSUMED_LENGTHS,
        arrivals=from_anywhere(arrivals),
        base_share=base_share,
        duration=duration,
        templates=[parse_template(text) for text in system_prompt or ()],
        turns=None if turns is None or think is None else ConversationTurns(turns, think),
        seed=seed,
    )
    write_fleet(workload, sources, out, as_json)
