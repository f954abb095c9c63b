"""Adapters of a workload that the servers of a plan can load, and those that they cannot."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from adaptwin.errors import SpecError
from adaptwin.plan.base_models import by_model, require_one_model
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.profile import Profile
from adaptwin.vllm_versions import oldest
from adaptwin.workload.lora_support import BaseShape, ServedModel, named_with_reasons, not_applied, refusals
from adaptwin.workload.workload import Adapter, Workload

AnyWorkload = TypeVar("AnyWorkload", bound=Workload)


def require_servable(workload: Workload, profiles: Sequence[Profile]) -> None:
    """Raise `SpecError` naming all adapters that vLLM cannot serve on the profiles, with the reasons."""
    if reasons := unsupported(workload, profiles):
        raise SpecError(named_with_reasons(reasons, len(workload), served_model(profiles)), "adapters")


def without_unsupported(workload: AnyWorkload, profiles: Sequence[Profile]) -> tuple[AnyWorkload, dict[str, str]]:
    """Return the workload without the adapters that vLLM cannot serve on the profiles, and why each is left out.

    The traffic of the other adapters stays the same.

    Raises:
        SpecError: No adapter is left.
    """
    reasons = unsupported(workload, profiles)
    if not reasons:
        return workload, {}
    if len(reasons) == len(workload):
        raise SpecError(named_with_reasons(reasons, len(workload), served_model(profiles)), "adapters")
    return workload.without(reasons), reasons


def unsupported(workload: Workload, profiles: Sequence[Profile]) -> dict[str, str]:
    """Return the adapters that vLLM cannot serve on the profiles, each with the reason; raises `SpecError`."""
    served = served_model(profiles)
    return {
        adapter.name: "; ".join(reasons)
        for adapter in _adapters_described(workload)
        if (reasons := refusals(adapter.base, adapter.target_modules, adapter.features, served))
    }


def served_otherwise(workload: Workload, profiles: Sequence[Profile]) -> dict[str, str]:
    """Return the adapters that vLLM serves otherwise than they were trained, each with what differs."""
    served = served_model(profiles)
    return {
        adapter.name: "; ".join(told)
        for adapter in _adapters_described(workload)
        if (told := not_applied(adapter.base, adapter.features, served))
    }


def served_model(profiles: Sequence[Profile]) -> ServedModel:
    """Return what an adapter must fit to be served on each of the profiles.

    Raises:
        SpecError: The profiles are not of one base model.
    """
    require_one_model(profiles)
    return ServedModel(
        name=profiles[0].model.name,
        vllm_version=oldest(profile.vllm_version for profile in profiles),
        lora_embeddings=all(profile.model.lora_embeddings for profile in profiles),
        shape=_base_shape(profiles[0].model),
        experts=profiles[0].model.experts > 0,
        lora_experts=all(profile.model.lora_experts for profile in profiles),
    )


def served_models(profiles: Sequence[Profile]) -> list[ServedModel]:
    """Return what an adapter must fit to be served on the profiles of its base, for each base model of the profiles."""
    return [served_model(alike) for alike in by_model(profiles).values()]


def _base_shape(model: ModelShape) -> BaseShape:
    """Return the widths of a model's modules; those of the vocabulary are not known exactly, as vLLM pads it."""
    (hidden, query), (_, key) = model.module_widths["q_proj"], model.module_widths["k_proj"]
    fused = {"qkv_proj": (hidden, query + 2 * key), "gate_up_proj": (hidden, 2 * model.intermediate)}
    return BaseShape(
        model.layers, {**model.module_widths, **fused, "embed_tokens": (None, hidden), "lm_head": (hidden, None)}
    )


def _adapters_described(workload: Workload) -> Iterator[Adapter]:
    """Yield the adapters of which more than the rank is known."""
    for adapter in workload.adapters:
        if (adapter.base, adapter.target_modules, adapter.features) != (None, None, None):
            yield adapter
