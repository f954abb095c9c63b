"""ProfileSource: where a profile comes from: a shipped one, a file, or a GPU and a model to derive it from."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, WrapValidator

from adaptwin.profile.derive import derive_profile
from adaptwin.profile.derived_evidence import NEWEST_VLLM
from adaptwin.profile.hardware.model_config import model_meant
from adaptwin.profile.profile import MOST_GPUS_OF_SERVER, MOST_PRICE, Profile, is_profile_file, load_profile
from adaptwin.spec import Line, Name, Spec


class DerivedProfile(Spec):
    """A GPU and a model that nobody measured together: what a profile is derived from."""

    gpu: Name = Field(description="data sheet of the GPU, by its name")
    model: Name = Field(
        description="name of a model that comes with adaptwin, or the path of a Hugging Face configuration or of its "
        "folder, relative to the file"
    )
    vllm_version: Line = Field(default=NEWEST_VLLM, description="version of vLLM that serves the model")
    tensor_parallel_size: int = Field(
        default=1, ge=1, le=MOST_GPUS_OF_SERVER, description="GPUs of a server, which share every layer of the model"
    )
    quantization: Line | None = Field(
        default=None, description="kind of quantised weights; None: as the configuration of the model says"
    )
    kv_cache_dtype: Line = Field(default="auto", description="type of the KV cache; auto: that of the model")
    price_per_hour: float | None = Field(
        default=None,
        gt=0,
        le=MOST_PRICE,
        allow_inf_nan=False,
        description="price of one GPU per hour, in any currency; a group costs that for each of its GPUs",
    )
    name: Name | None = Field(default=None, description="name of the profile; None: that of the GPU and of the model")

    def derive(self, folder: Path = Path()) -> Profile:
        """Derive the profile, with the path of a model relative to a folder; raises `SpecError` naming the field."""
        return derive_profile(
            gpu=self.gpu,
            model=model_meant(self.model, folder),
            tensor_parallel_size=self.tensor_parallel_size,
            quantization=self.quantization,
            kv_cache_dtype=self.kv_cache_dtype,
            vllm_version=self.vllm_version,
            price_per_hour=self.price_per_hour,
            name=self.name,
        )


def _name_or_derived(value: Any, _union: Any) -> Any:
    """Accept a name or a `DerivedProfile`, with errors that name the place and not the branches of a union."""
    if isinstance(value, DerivedProfile):
        return value
    return DerivedProfile.model_validate(value) if isinstance(value, dict) else _NAME.validate_python(value)


_NAME: TypeAdapter[str] = TypeAdapter(Name)
ProfileSource = Annotated[Name | DerivedProfile, WrapValidator(_name_or_derived)]


def profile_from(source: ProfileSource, folder: Path = Path()) -> Profile:
    """Load or derive a profile, with paths relative to a folder; raises `SpecError`."""
    if isinstance(source, DerivedProfile):
        return source.derive(folder)
    return load_profile(folder / source if is_profile_file(source) else source)


def source_beside(source: ProfileSource, folder: Path) -> ProfileSource:
    """Return a source, given from here, as a file in a folder names it, which reads relative paths from there."""
    if isinstance(source, DerivedProfile):
        meant = model_meant(source.model)
        return source.model_copy(update={"model": _path_from(folder, meant)}) if isinstance(meant, Path) else source
    return _path_from(folder, source) if is_profile_file(source) else source


def _path_from(folder: Path, path: str | Path) -> str:
    return str(path) if os.path.isabs(path) else os.path.relpath(path, folder)
