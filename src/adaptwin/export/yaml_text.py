"""YAML text of exported documents: names stay text for every reader, of YAML 1.1 or 1.2."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

Manifest = dict[str, Any]  # plain data of a document

NO_TEXT_TO_SOME = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # other than text to some reader

_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z/][A-Za-z0-9_./+@-]*|--[a-z][a-z0-9-]*(=[A-Za-z0-9_./+-]+)?")


class _ManifestDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """A dumper that puts all text in quotes except plain words and flags, and writes out what occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as PyYAML calls it
        return True


def _text(dumper: Any, text: str) -> Any:
    if "\n" in text:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    plain = _NEEDS_NO_QUOTES.fullmatch(text) and text.lower() not in NO_TEXT_TO_SOME
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_ManifestDumper.add_representer(str, _text)


def yaml_text(documents: Iterable[Any]) -> str:
    """Return documents of plain data as one YAML text, in their order, with fields in theirs."""
    texts = (
        yaml.dump(document, Dumper=_ManifestDumper, sort_keys=False, allow_unicode=True, width=1_000_000)
        for document in documents
    )
    return "---\n".join(texts)
