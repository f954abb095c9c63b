"""adaptwin profiles: the measured profiles with their errors, and the GPUs and models to derive others for."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptwin.cli.options import AsJson
from adaptwin.cli.printing import show, show_json
from adaptwin.profile.hardware.gpu import load_gpu, shipped_gpus
from adaptwin.profile.hardware.held_out import held_out
from adaptwin.profile.hardware.model_config import read_model, shipped_models
from adaptwin.profile.profile import load_profile, shipped_profiles

if TYPE_CHECKING:
    from adaptwin.profile.hardware.model_sheet import ModelSheet


def profiles_command(
    only_gpus: Annotated[
        bool, typer.Option("--gpus", help="List only the GPUs that profiles are derived for.")
    ] = False,
    only_models: Annotated[
        bool, typer.Option("--models", help="List only the models that profiles are derived for.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List measured profiles with their errors, and the GPUs and models to derive others for.

    A profile holds the costs of one GPU, model and vLLM version; 'adaptwin fit' makes one for your own server, and
    'adaptwin derive' one for hardware that nobody measured. With --json, the profiles are listed, or what --gpus or
    --models asks for.
    """
    from adaptwin.report.profiles import gpus_table, models_table, profiles_table

    if only_gpus and only_models:
        raise typer.BadParameter("--gpus does not go with --models: without them, all is listed")
    profiles = [load_profile(name) for name in shipped_profiles()]
    gpus = [load_gpu(name) for name in shipped_gpus()]
    models = [read_model(name) for name in shipped_models()]
    errors = held_out()
    if as_json:
        listed: list[dict[str, Any]] = [each.model_dump(mode="json") for each in profiles]
        if only_gpus:
            listed = [{**gpu.model_dump(mode="json"), "grade": errors.grade_of(gpu.name)} for gpu in gpus]
        elif only_models:
            listed = [_model_as_data(model) for model in models]
        show_json(listed)
        return
    if not (only_gpus or only_models):
        show(profiles_table(profiles))
    if not only_models:
        show(gpus_table([(gpu, errors.grade_of(gpu.name)) for gpu in gpus]))
    if not only_gpus:
        show(models_table(models))


def _model_as_data(model: "ModelSheet") -> dict[str, Any]:
    """Return what is known of a model; it has a grade only where no profile of it is claimed."""
    figures = {"weights": model.shape.weights, "kv_bytes_per_token": model.shape.kv_bytes_per_token}
    grade = model.at_best
    return {**model.shape.model_dump(mode="json"), **figures, "notes": model.notes, "grade": grade}
