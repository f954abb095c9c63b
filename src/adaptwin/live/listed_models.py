"""ServedModel: what a server lists as its models, which are the base model and the adapters."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from adaptwin.errors import ServerError
from adaptwin.visible import visible


class ListedModel(NamedTuple):
    """A name that requests may ask for."""

    name: str
    root: str  # path or repository of the weights
    parent: str | None  # the base model of an adapter; None for the base model itself
    max_model_len: int | None


class ListedModels(NamedTuple):
    """The base model that a server serves, by its first name, and its adapters."""

    base: ListedModel
    adapters: tuple[ListedModel, ...]

    @property
    def names(self) -> set[str]:
        """All names of the list."""
        return {self.base.name, *(adapter.name for adapter in self.adapters)}


def listed_models(data: Any, url: str) -> ListedModels:
    """Return the models in an answer of ``/v1/models``; raises `ServerError` if it lists none."""
    rows = data.get("data") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise ServerError("/v1/models lists no models, so this is no server with the API of OpenAI", url)
    models = [
        ListedModel(row["id"], str(row.get("root") or row["id"]), row.get("parent"), row.get("max_model_len"))
        for row in rows
    ]
    bases = [model for model in models if model.parent is None]
    if not bases:
        raise ServerError("/v1/models lists no base model", url)
    return ListedModels(bases[0], tuple(model for model in models if model.parent is not None))


def require_served(names: Sequence[str], models: ListedModels, url: str) -> None:
    """Raise `ServerError` if the server does not serve one of these adapters."""
    if missing := [name for name in names if name not in models.names]:
        shown = ", ".join(visible(name) for name in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ServerError(
            f"{len(missing)} of {len(names)} adapters are not loaded there: {shown}{more}; load them with "
            "POST /v1/load_lora_adapter, or start the server with --lora-modules",
            url,
        )
