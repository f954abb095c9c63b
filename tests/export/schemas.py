"""The serving stacks' own schemas, in reduced copies (tests/schemas), which refuse unknown fields."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8")))


@cache
def _by_kind() -> dict[str, str]:
    """Return the schema of each kind of object of a cluster: ``Deployment.apps.v1``."""
    found = [path.relative_to(SCHEMAS).with_suffix("").as_posix() for path in SCHEMAS.glob("*/*.*.json")]
    return {name.partition("/")[2]: name for name in found}


def problems_of(document: Any, schema: str) -> list[str]:
    """Return what is wrong with a document by a schema, such as ``compose/compose-spec``; one line each."""
    found = _validator(schema).iter_errors(document)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def problems_of_object(document: dict[str, Any]) -> list[str]:
    """Return what is wrong with an object of a cluster by the schema of its kind; raises `KeyError` without one."""
    group, _, version = document["apiVersion"].rpartition("/")
    kind = ".".join(part for part in (document["kind"], group, version) if part)
    return problems_of(document, _by_kind()[kind])
