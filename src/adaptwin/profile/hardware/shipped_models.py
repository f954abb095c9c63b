"""Shapes of known models, by their names on Hugging Face, as a table of shortened configurations."""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from adaptwin.model_names import same_weights
from adaptwin.shipped_files import shipped_files
from adaptwin.spec import Name, Spec, read_mapping


class KnownModel(Spec):
    """Models of one shape."""

    names: dict[Name, int] = Field(description="longest context in tokens, by the model's name on Hugging Face")
    config: dict[str, Any] = Field(description="fields of the model's config.json")
    early_stops: dict[Name, dict[str, float]] = Field(
        default={}, description="early_stop_share and early_stop_reach of the shape, by name, where they were measured"
    )


@cache
def known_models() -> dict[str, KnownModel]:
    """Return the models that come with adaptwin, by name."""
    file = table_of_models()
    models = [KnownModel.parse(row, file=file) for row in read_mapping(file)["models"]]
    return {name: model for model in models for name in model.names}


def table_of_models() -> Path:
    """Return the file of the table."""
    return shipped_files("adaptwin.profile.hardware", ".yaml", "models")["models"]


def early_stops(name: str) -> dict[str, float]:
    """Return how often and how early answers of a model end before their length; empty where it was not measured."""
    measured = (item for model in known_models().values() for item in model.early_stops.items())
    return next((stops for known, stops in measured if same_weights(known, name)), {})
