"""Secrets that exported objects refer to, found in the objects themselves."""

from collections.abc import Iterable, Iterator
from typing import Any


def said_of_secrets(documents: Iterable[Any]) -> list[str]:
    """Say which secrets the objects of a cluster refer to, and whether they may be absent; nothing without any."""
    needed: dict[str, str] = {}
    for name, what, is_optional in _references(list(documents)):
        needed.setdefault(name, f"{name} ({what}{', may be absent' if is_optional else ''})")
    return [f"Secrets that the objects refer to: {', '.join(needed.values())}."] if needed else []


def _references(value: Any) -> Iterator[tuple[str, str, bool]]:
    """Yield name, key and whether it may be absent, of every secret in some plain data."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("secretKeyRef", "secretRef") and isinstance(inner, dict) and "name" in inner:
                what = f"key {inner['key']}" if "key" in inner else "environment variables"
                yield inner["name"], what, bool(inner.get("optional"))
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
