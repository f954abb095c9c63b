"""Flags: the data of a file, with true and false where the fields of a value take them."""

import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from adaptwin.plain_data import Ambiguous, plain


def with_flags(data: Any, kind: Any) -> Any:
    """Return the data of a file with true and false where a type takes them.

    All other `Ambiguous` scalars stay, so that the validation refuses them.

    Args:
        data: Data as `parse_yaml` and `parse_json` return it.
        kind: The type, such as a `Spec` or ``tuple[bool, ...]``.
    """
    if kind is bool:
        return data.truth if isinstance(data, Ambiguous) and data.truth is not None else data
    if _is_model(kind):
        return _fields_with_flags(data, kind)
    parts, origin = get_args(kind), get_origin(kind)
    if origin is Annotated:
        return with_flags(data, parts[0])
    if origin in (Union, types.UnionType):
        for part in parts:
            data = with_flags(data, part)
        return data
    return _parts_with_flags(data, parts, origin) if _takes_flags(kind, ()) else data


def _parts_with_flags(data: Any, parts: tuple[Any, ...], origin: Any) -> Any:
    if not isinstance(origin, type):
        return plain(data)
    if issubclass(origin, Mapping):
        return {key: with_flags(value, parts[1]) for key, value in data.items()} if isinstance(data, dict) else data
    if issubclass(origin, list | tuple):
        return [with_flags(value, parts[0]) for value in data] if isinstance(data, list) else data
    return plain(data)


def _fields_with_flags(data: Any, model: type[BaseModel]) -> Any:
    flagged = _flagged_fields(model)
    if not isinstance(data, dict) or not flagged:
        return data
    return {key: with_flags(value, flagged[key]) if key in flagged else value for key, value in data.items()}


@lru_cache(maxsize=256)
def _flagged_fields(model: type[BaseModel]) -> dict[str, Any]:
    """The types of the fields that take true or false, or hold a value that does."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if _takes_flags(kind, (model,))}


def _takes_flags(kind: Any, within: tuple[Any, ...]) -> bool:
    """Whether a type takes true or false somewhere; `within` are the models that the type is a part of."""
    if _is_model(kind):
        fields = kind.model_fields.values()
        return kind in within or any(_takes_flags(each.annotation, (*within, kind)) for each in fields)
    if kind in (str, int, float, type(None), ...) or get_origin(kind) is Literal:
        return False
    if get_origin(kind) is Annotated:
        return _takes_flags(get_args(kind)[0], within)
    parts = get_args(kind)
    return any(_takes_flags(part, within) for part in parts) if parts else True  # bool, or of a kind of its own


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
