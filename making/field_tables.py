"""Tables of the fields of classes that have a file form, and where in a file each class stands."""

import re
from collections.abc import Collection, Iterator
from typing import Any, get_args

from adaptwin.dataset.design import BOUNDS, Design
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.plan.options import PlanOptions
from adaptwin.spec import Spec
from plain_types import Bounds, LinkTo, default_in_words, type_in_words
from reference_text import code, prose, table

NAMES: dict[tuple[type[Spec], str], Collection[str]] = {  # names that are checked against a registry, not by the field
    (PlanOptions, "objective"): OBJECTIVES,
    (PlanOptions, "strategy"): STRATEGIES,
}

MOST_PLACES = 3  # places in a file that are named


def field_table(spec: type[Spec], link_to: LinkTo) -> str:
    """Return the table of a class: every field with its type, default and meaning."""
    rows = []
    for name, field in spec.model_fields.items():
        kind = type_in_words(field, link_to, _checked_bounds(spec, name))
        if names := NAMES.get((spec, name)):
            kind = f"one of {', '.join(map(code, names))}"
        rows.append([code(name), kind, default_in_words(field), meaning_of(spec, name)])
    return table(["field", "type", "default", "meaning"], rows)


def meaning_of(spec: type[Spec], name: str) -> str:
    """Return the description of a field; a value that is None in Python is "none" in the tables."""
    return re.sub(r"\bNone\b", "none", prose(spec.model_fields[name].description or ""))


def _checked_bounds(spec: type[Spec], name: str) -> Bounds | None:
    """Return bounds that a validator of the class checks and its annotations do not have."""
    low, high = BOUNDS.get(name, (None, None)) if spec is Design and name != "max_loras" else (None, None)
    return None if low is None else Bounds(at_least=low, at_most=high)


def classes_in(root: type[Spec], apart: Collection[type[Spec]] = ()) -> dict[type[Spec], list[str]]:
    """Return the classes of which a file is made, the root first, each with its places in the file.

    A place is a path of fields; ``[]`` stands for any entry of a list, ``.*`` for any name of a mapping. Classes that
    are kept `apart`, and what is in them, are left out.
    """
    found: dict[type[Spec], list[str]] = {root: []}
    for spec, place in _below(root, "", apart):
        found.setdefault(spec, []).append(place)
    return found


def _below(spec: type[Spec], path: str, apart: Collection[type[Spec]]) -> Iterator[tuple[type[Spec], str]]:
    for name, field in spec.model_fields.items():
        for inner, suffix in _specs_in(field.annotation):
            place = f"{path}{name}{suffix}"
            if inner not in apart:
                yield inner, place
                yield from _below(inner, f"{place}.", apart)


def _specs_in(annotation: Any) -> Iterator[tuple[type[Spec], str]]:
    """Yield the classes in an annotation, with what their place adds to the name of the field."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation, ""
        return
    origin = getattr(annotation, "__origin__", None)
    suffix = "[]" if origin in (tuple, list) else ".*" if origin is dict else ""
    for part in get_args(annotation):
        for spec, rest in _specs_in(part):
            yield spec, suffix + rest


def places_in_words(places: list[str]) -> str:
    """Say where in a file a class stands."""
    named = [code(place) for place in sorted(places, key=len)[:MOST_PLACES]]
    return f"In the file at {', '.join(named)}{' and other places' if len(places) > MOST_PLACES else ''}."
