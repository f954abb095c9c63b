"""Base models of a plan: all profiles have the same one, and all adapters were trained on it."""

from collections.abc import Sequence

from adaptwin.errors import SpecError
from adaptwin.model_names import differs, model_key
from adaptwin.profile.profile import Profile
from adaptwin.workload.workload import Workload

_NOT_SHAPE = {
    "name", "max_model_len", "bytes_per_weight", "lora_embeddings", "early_stop_share", "early_stop_reach",
}  # fmt: skip
_MOST_NAMED = 8


def require_one_model(profiles: Sequence[Profile]) -> None:
    """Raise `SpecError` if the profiles are not of one base model: no adapter can be served on several."""
    first, *others = profiles
    for other in others:
        one, two = (profile.model.model_dump(exclude=_NOT_SHAPE) for profile in (first, other))
        if one != two or model_key(first.model.name) != model_key(other.model.name):
            message = (
                f"{first.name} is of the model {first.model.name}, {other.name} of {other.model.name}: an adapter fits "
                "one base model, so all profiles of a plan must be of the same"
            )
            raise SpecError(message, "profile")


def require_trained_on(model: str, workload: Workload) -> None:
    """Raise `SpecError` naming the adapters of the workload that were trained on another base model."""
    others = [(index, adapter) for index, adapter in enumerate(workload.adapters) if differs(adapter.base_model, model)]
    if others:
        index, first = others[0]
        names = ", ".join(adapter.name for _, adapter in others[:_MOST_NAMED])
        more = f" and {len(others) - _MOST_NAMED:,} more" if len(others) > _MOST_NAMED else ""
        message = (
            f"{first.base_model!r} is not the model of the profile, {model}; adapters of other models: {names}{more}. "
            "Plan them apart, or leave them out"
        )
        raise SpecError(message, f"adapters[{index}].base_model")
