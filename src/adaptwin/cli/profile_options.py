"""Options that say which profiles a command uses: by name, by file, or derived from a GPU and a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.profile.derived_evidence import NEWEST_VLLM
from adaptwin.profile.hardware.gpu import shipped_gpus
from adaptwin.profile.hardware.model_config import CONFIG_FILE, shipped_models
from adaptwin.profile.profile import MOST_GPUS_OF_SERVER, shipped_profiles
from adaptwin.profile.profile_source import DerivedProfile, ProfileSource


def complete_profile(incomplete: str) -> list[str]:
    """Names of shipped profiles that begin with what has been typed."""
    return [name for name in shipped_profiles() if name.startswith(incomplete)]


def complete_gpu(incomplete: str) -> list[str]:
    """Names of data sheets that begin with what has been typed."""
    return [name for name in shipped_gpus() if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Names of shipped models that begin with what has been typed."""
    return [name for name in shipped_models() if name.startswith(incomplete)]


ProfileNames = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        autocompletion=complete_profile,
        help="Shipped profile ('adaptwin profiles' lists them) or profile file. May be repeated. "
        + default_note("the fleet's"),
    ),
]
GpuNames = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        metavar="NAME",
        autocompletion=complete_gpu,
        help="GPU to derive a profile for, from its data sheet ('adaptwin profiles --gpus' lists them); needs --model. "
        "May be repeated.",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        autocompletion=complete_model,
        help="Model that the GPUs of --gpu serve: a name ('adaptwin profiles --models' lists them), or the path of a "
        "Hugging Face config.json or of its folder.",
    ),
]
ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        autocompletion=complete_model,
        help="Model that the GPUs of --gpu serve: a name ('adaptwin profiles --models' lists them), or the path of a "
        "Hugging Face config.json or of its folder. May be repeated, for a fleet with several base models.",
    ),
]
VllmVersion = Annotated[
    str | None,
    typer.Option(
        "--vllm-version",
        metavar="VERSION",
        help=f"Version of vLLM for which --gpu derives a profile. {default_note(NEWEST_VLLM)}",
    ),
]

GroupSizes = Annotated[
    list[int] | None,
    typer.Option(
        "--tensor-parallel-size",
        metavar="N",
        min=1,
        max=MOST_GPUS_OF_SERVER,
        help="GPUs of each server of --gpu, which share every layer of the model. May be repeated: each GPU with each "
        f"size is a profile. {default_note(1)}",
    ),
]
QuantizationMethod = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Kind of quantised weights for which --gpu derives a profile. "
        + default_note("as the model's configuration says"),
    ),
]
KvCacheDtype = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        help=f"Type of the KV cache for which --gpu derives a profile. {default_note('auto, that of the model')}",
    ),
]


def profile_sources(
    profile: list[str] | None,
    gpu: list[str] | None,
    model: str | list[str] | None,
    *,
    vllm_version: str | None,
    sizes: list[int] | None,
    quantization: str | None,
    kv_cache_dtype: str | None,
) -> list[ProfileSource]:
    """Return the profiles that these options ask for, the named ones first; a part that is missing is a usage error.

    There is a profile for each of the models on each of the GPUs, in groups of each of the sizes.
    """
    models = [model] if isinstance(model, str) else model or []
    if gpu and not models:
        raise typer.BadParameter("--gpu needs --model, the model that the GPU serves")
    if models and not gpu:
        raise typer.BadParameter("--model needs --gpu, the GPU that serves it")
    described = {"vllm_version": vllm_version, "quantization": quantization, "kv_cache_dtype": kv_cache_dtype}
    given = {field: value for field, value in described.items() if value is not None}
    if (given or sizes) and not gpu:
        option = next(iter(given), "tensor_parallel_size").replace("_", "-")
        raise typer.BadParameter(f"--{option} needs --gpu and --model, whose profile it is for")
    derived = [
        DerivedProfile.parse({"gpu": name, "model": served, "tensor_parallel_size": size, **given})
        for served in models
        for name in gpu or ()
        for size in sizes or (1,)
    ]
    return [*(profile or ()), *derived]


def files_of_profiles(sources: Sequence[ProfileSource], folder: Path = Path()) -> list[Path]:
    """Return the files that profiles may come from, with paths relative to a folder, whether they exist or not."""
    named = [source.model if isinstance(source, DerivedProfile) else source for source in sources]
    models = [source.model for source in sources if isinstance(source, DerivedProfile)]
    return [folder / name for name in named] + [folder / model / CONFIG_FILE for model in models]
