"""Types, bounds and defaults of the fields of files, in plain words."""

import functools
import math
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import polars as pl
import yaml
from pydantic import AfterValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from adaptwin.spec import Spec
from reference_text import code

_SINGULAR: dict[Any, str] = {float: "number", int: "whole number", str: "text", bool: "`true` or `false`"}
_PLURAL: dict[Any, str] = {float: "numbers", int: "whole numbers", str: "text", bool: "values `true` or `false`"}
_TABLE = "table, as a mapping from columns to lists"

_BOUNDS = {"ge": "at_least", "gt": "above", "le": "at_most", "lt": "below", "min_length": "fewest"}

LinkTo = Callable[[type[Spec]], str]  # writes the name of a class, with a link where it is described


class Bounds(NamedTuple):
    """Lowest and highest value of a number, and the fewest entries of a list; None where there is no bound."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    fewest: int | None = None  # entries of a list

    def in_words(self) -> str:
        """Return the bounds as they follow a type; nothing if there are none."""
        if self.fewest is not None:
            return ", not empty" if self.fewest == 1 else f", at least {self.fewest} entries"
        if self.at_least is not None and self.at_most is not None:
            return f", from {_number(self.at_least)} to {_number(self.at_most)}"
        named = ("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below)
        words = [f"{name} {_number(value)}" for name, value in named if value is not None]
        return f", {' and '.join(words)}" if words else ""


def bounds_of(metadata: Iterable[Any]) -> Bounds:
    """Return the bounds that annotations such as ``Field(ge=0)`` set."""
    found: dict[str, float] = {}
    for each in metadata:
        if isinstance(each, AfterValidator) and isinstance(each.func, functools.partial):
            found |= {"at_least": each.func.keywords["low"], "at_most": each.func.keywords["high"]}
        if isinstance(each, FieldInfo):
            found |= {name: value for name, value in bounds_of(each.metadata)._asdict().items() if value is not None}
        for name, key in _BOUNDS.items():
            if (value := getattr(each, name, None)) is not None:
                found[key] = value
    return Bounds(**found)  # type: ignore[arg-type]


def type_in_words(field: FieldInfo, link_to: LinkTo, within: Bounds | None = None) -> str:
    """Return the type of a field with its bounds; `within` adds bounds that a validator checks."""
    optional = field.default is None and not field.is_required()
    words = _in_words(field.annotation, link_to, leave_none_out=optional)
    return words + (within or bounds_of(field.metadata)).in_words()


def _in_words(annotation: Any, link_to: LinkTo, *, leave_none_out: bool = False) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _in_words(parts[0], link_to) + bounds_of(parts[1:]).in_words()
    if origin in (types.UnionType, Union):
        kept = [part for part in parts if not (leave_none_out and part is types.NoneType)]
        return ", or ".join(_in_words(part, link_to) for part in kept)
    if origin is Literal:
        return code(parts[0]) if len(parts) == 1 else f"one of {', '.join(map(code, parts))}"
    if origin in (tuple, list):
        return _list_in_words(parts, link_to)
    if origin is dict:
        return f"mapping from names to {_many(parts[1], link_to)}"
    return _name_of(annotation, link_to, _SINGULAR)


def _list_in_words(parts: tuple[Any, ...], link_to: LinkTo) -> str:
    if len(parts) == 2 and parts[1] is not Ellipsis:
        return f"pair of {_many(parts[0], link_to)}"
    return f"list of {_many(parts[0], link_to)}"


def _many(annotation: Any, link_to: LinkTo) -> str:
    """Name several values of a type: numbers, pairs of whole numbers, `Adapter`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _many(parts[0], link_to) + bounds_of(parts[1:]).in_words()
    if origin in (types.UnionType, Union):
        return ", or ".join(_many(part, link_to) for part in parts)
    if origin is Literal:
        return f"{', '.join(map(code, parts[:-1]))} and {code(parts[-1])}"
    if origin in (tuple, list, dict):
        first, _, rest = _in_words(annotation, link_to).partition(" ")
        return f"{first}s {rest}"
    return _name_of(annotation, link_to, _PLURAL)


def _name_of(annotation: Any, link_to: LinkTo, words: dict[Any, str]) -> str:
    if annotation is types.NoneType:
        return "`null`"
    if annotation is pl.DataFrame:
        return _TABLE
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return link_to(annotation)
    return words[annotation]


def default_in_words(field: FieldInfo) -> str:
    """Return the default of a field as a file would hold it."""
    if field.is_required():
        return "*required*"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    if isinstance(value, Spec):
        value = value.model_dump(mode="json", exclude_defaults=True)
        return code(_in_yaml(value)) if value else "its defaults"
    return code(_in_yaml(value)) if value not in ((), {}, "") else "empty"


def _in_yaml(value: Any) -> str:
    """Write a value in one line of YAML."""
    if isinstance(value, bool) or value is None:
        return str(yaml.safe_dump(value).split("\n")[0])
    if isinstance(value, int | float):
        return _number(value).replace(",", "")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_in_yaml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_in_yaml, value)) + "]"
    return str(value)


def _number(value: float) -> str:
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:g}" if abs(value) >= 1e-4 else f"{value:f}".rstrip("0")
