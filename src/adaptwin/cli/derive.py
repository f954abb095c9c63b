"""adaptwin derive: the data sheet of a GPU and the shapes of a model -> Profile."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson, OutFile
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.cli.profile_options import complete_gpu, complete_model, files_of_profiles
from adaptwin.profile.derived_evidence import NEWEST_VLLM
from adaptwin.profile.hardware.quantization import QUANTIZATIONS
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    from adaptwin.profile.profile import Profile


def derive_command(
    gpu: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_gpu,
            help="GPU, by the name of its data sheet ('adaptwin profiles --gpus' lists them) or the start of it.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            autocompletion=complete_model,
            help="Model: a name ('adaptwin profiles --models' lists them), or the path of a Hugging Face config.json "
            "or of its folder.",
        ),
    ],
    out: OutFile = None,
    as_json: AsJson = False,
    vllm_version: Annotated[
        str, typer.Option(metavar="VERSION", help="Version of vLLM that serves the model.")
    ] = NEWEST_VLLM,
    price_per_hour: Annotated[
        float | None,
        typer.Option("--price", metavar="PRICE", help="Price of the GPU per hour, in any currency."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Name of the profile. {default_note('that of GPU and model')}"),
    ] = None,
    tensor_parallel_size: Annotated[
        int, typer.Option(metavar="N", help="GPUs of a server, which share every layer of the model (1 to 8).")
    ] = 1,
    quantization: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help=f"Method by which the weights are quantised: {', '.join(QUANTIZATIONS)}. "
            + default_note("as the model's files say, else 16 bits"),
        ),
    ] = None,
    kv_cache_dtype: Annotated[
        str, typer.Option(metavar="TYPE", help="Type of the KV cache: auto, bfloat16 or fp8.")
    ] = "auto",
) -> None:
    """Derive a profile of a GPU and a model that nobody measured together.

    The base model's costs follow from the data sheet of the GPU and the shapes of the model, those of LoRA from the
    measured profiles. The table says how far such profiles were from real servers, and where every constant comes from.
    """
    from adaptwin.profile.derive import derive_profile
    from adaptwin.profile.hardware.gpu import typical_price
    from adaptwin.profile.measured_alike import measured_alike
    from adaptwin.profile.profile_source import DerivedProfile
    from adaptwin.report.derived import derived_report

    require_writable(out, inputs=files_of_profiles([DerivedProfile(gpu=gpu, model=model)]))
    profile = derive_profile(
        gpu=gpu,
        model=model,
        tensor_parallel_size=tensor_parallel_size,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
        vllm_version=vllm_version,
        price_per_hour=price_per_hour,
        name=name,
    )
    alike, typical = measured_alike(profile), typical_price(profile.hardware)
    if out:
        profile.write(out)
    if as_json:
        show_json(_derived_as_data(profile, alike, typical))
    else:
        show(derived_report(profile, alike, typical))
    if out:
        tell(f"profile written to {out}")


def _derived_as_data(profile: "Profile", alike: list[str], typical: float | None) -> dict[str, Any]:
    from adaptwin.report.kv_cache import usual_kv_tokens

    return {
        "profile": profile.file_form(),
        "grade": profile.grade,
        "measured_as": alike,
        "kv_cache_tokens": usual_kv_tokens(profile),
        "typical_price": typical,
    }
