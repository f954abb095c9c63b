"""Options that say which profiles a command uses: by name, by file, or derived from a GPU and a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.profile.derived_evidence import NEWEST_VLLM
from adaptwin.profile.hardware.gpu import shipped_gpus
from adaptwin.profile.hardware.model_config import CONFIG_FILE, shipped_models
from adaptwin.profile.profile import shipped_profiles
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


def profile_sources(
    profile: list[str] | None, gpu: list[str] | None, model: str | list[str] | None, vllm_version: str | None
) -> list[ProfileSource]:
    """Return the profiles that these options ask for, the named ones first; a part that is missing is a usage error.

    With several models, there is a profile for each of them on each of the GPUs.
    """
    models = [model] if isinstance(model, str) else model or []
    if gpu and not models:
        raise typer.BadParameter("--gpu needs --model, the model that the GPU serves")
    if models and not gpu:
        raise typer.BadParameter("--model needs --gpu, the GPU that serves it")
    if vllm_version is not None and not gpu:
        raise typer.BadParameter("--vllm-version needs --gpu and --model, whose profile it is for")
    derived = [
        DerivedProfile(gpu=name, model=served, vllm_version=NEWEST_VLLM if vllm_version is None else vllm_version)
        for served in models
        for name in gpu or ()
    ]
    return [*(profile or ()), *derived]


def files_of_profiles(sources: Sequence[ProfileSource], folder: Path = Path()) -> list[Path]:
    """Return the files that profiles may come from, with paths relative to a folder, whether they exist or not."""
    named = [source.model if isinstance(source, DerivedProfile) else source for source in sources]
    models = [source.model for source in sources if isinstance(source, DerivedProfile)]
    return [folder / name for name in named] + [folder / model / CONFIG_FILE for model in models]
