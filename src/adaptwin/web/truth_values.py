"""Truth values in requests: JSON's true and false are no numbers, although Python takes them for 1 and 0."""

from typing import Any, get_args

from pydantic import BaseModel


def require_no_truth_values(fields: Any, spec: type[BaseModel]) -> Any:
    """Return the fields of a request as they are; raises `ValueError` where true or false stands for a number."""
    for name, value in fields.items() if isinstance(fields, dict) else ():
        field = spec.model_fields.get(name)
        if field is None:
            continue
        kinds = get_args(field.annotation) or (field.annotation,)
        if isinstance(value, bool) and bool not in kinds:
            raise ValueError(f"{name}: {str(value).lower()} is not a number")
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                require_no_truth_values(value, kind)
    return fields
