"""RequestSpec: a value that a client sends as JSON."""

from typing import Any, get_args

from pydantic import BaseModel, model_validator

from adaptwin.spec import Spec


class RequestSpec(Spec):
    """A value that a client sends as JSON, whose true and false are no numbers, although Python takes them for such."""

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_numbers(cls, fields: Any) -> Any:
        _require_no_truth_values(fields, cls)
        return fields


def _require_no_truth_values(fields: Any, spec: type[BaseModel]) -> None:
    """Raise `ValueError` where true or false stands for a number."""
    for name, value in fields.items() if isinstance(fields, dict) else ():
        field = spec.model_fields.get(name)
        if field is None:
            continue
        kinds = get_args(field.annotation) or (field.annotation,)
        if isinstance(value, bool) and bool not in kinds:
            raise ValueError(f"{name}: {str(value).lower()} is not a number")
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                _require_no_truth_values(value, kind)
