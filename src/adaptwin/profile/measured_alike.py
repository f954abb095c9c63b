"""measured_alike: the shipped profiles that were measured with the GPU and the model of a derived one."""

from adaptwin.profile.derive import measured_profiles
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.profile import Profile

_OF_THE_NAME = ("name", "max_model_len", "early_stop_share", "early_stop_reach", "lora_embeddings")


def measured_alike(profile: Profile) -> list[str]:
    """Return the names of shipped profiles of the same GPU, size of group and matrices of the model."""
    return [
        each.profile.name
        for each in measured_profiles()
        if each.profile.tensor_parallel_size == profile.tensor_parallel_size
        and each.gpu.hardware == profile.hardware
        and _matrices(each.profile.model) == _matrices(profile.model)
    ]


def _matrices(model: ModelShape) -> dict[str, object]:
    """Return the fields of a shape that do not depend on the name of the model or on the version of vLLM."""
    return model.model_dump(exclude=set(_OF_THE_NAME))
