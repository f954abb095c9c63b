"""Base models of profiles: those of a plan have the same one, those of a fleet may have several."""

import itertools
from collections.abc import Sequence

from adaptwin.errors import SpecError
from adaptwin.model_names import differs, same_shapes, same_weights
from adaptwin.profile.profile import Profile

_NOT_SHAPE = {
    "name", "max_model_len", "bytes_per_weight", "bytes_per_value", "bytes_per_kv_value", "lora_embeddings",
    "early_stop_share", "early_stop_reach",
}  # fmt: skip


def require_one_model(profiles: Sequence[Profile]) -> None:
    """Raise `SpecError` if the profiles are not of one base model: answers would depend on the server.

    Copies of a model in several precisions count as one.
    """
    first, *others = profiles
    for other in others:
        if (difference := _difference(first, other)) is not None:
            message = (
                f"{first.name} serves {first.model.name}, {other.name} serves {other.model.name}{difference}: all "
                "profiles of a plan must have the same base model, so make a plan for each"
            )
            raise SpecError(message, "profile")


def by_model(profiles: Sequence[Profile]) -> dict[str, tuple[Profile, ...]]:
    """Return the profiles of each base model, by the name of the model in the first of them.

    Copies of a model in several precisions count as one.

    Raises:
        SpecError: Profiles have a model of the same name, but with other shapes.
    """
    groups: list[list[Profile]] = []
    for profile in profiles:
        group = next((group for group in groups if _difference(group[0], profile) is None), None)
        if group is None:
            groups.append(group := [])
        group.append(profile)
    for one, other in itertools.combinations((group[0] for group in groups), 2):
        if same_weights(one.model.name, other.model.name):
            require_one_model((one, other))
    return {group[0].model.name: tuple(group) for group in groups}


def _difference(first: Profile, other: Profile) -> str | None:
    """Return what to add to the names of two models that differ; None if they are the same model."""
    one, two = (profile.model.model_dump(exclude=_NOT_SHAPE) for profile in (first, other))
    if shapes := [f"{name} {one[name]} and {two[name]}" for name in one if one[name] != two[name]]:
        return f" ({', '.join(shapes)})"
    names = first.model.name, other.model.name
    if differs(*names):
        return ""
    return " (other weights of the same shapes)" if same_shapes(*names) and not same_weights(*names) else None
